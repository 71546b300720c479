"""A typed client of Whyscore's HTTP API, synchronous and asynchronous."""

from whyscore_client.asynchronous import AsyncClient
from whyscore_client.errors import ConnectionFailedError, JobFailedError, ProblemError
from whyscore_client.synchronous import Client

__all__ = ["AsyncClient", "Client", "ConnectionFailedError", "JobFailedError", "ProblemError"]
__version__ = "0.1.0"
