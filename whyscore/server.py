"""``serve``: the API and the page behind uvicorn."""

from __future__ import annotations

import contextlib
import ctypes
import socket
from typing import Any

from data.errors import InputError
from data.settings import Settings
from whyscore.terminal import say

_M_ARENA_MAX = -8  # of glibc's malloc.h


def run_server(host: str, port: int, model: str | None, settings: Settings, workers: int = 1) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    host, port
        Where to listen.
    model
        None for the champion.
    settings
        Of the service.
    workers
        Processes that share the port.

    Raises
    ------
    InputError
        If the address is not to be had, or is open to others while `WHYSCORE_ALLOW_REMOTE` is not set.
    """
    import uvicorn

    from whyscore.workers import Workers

    listener = listen(host, port, settings)
    try:
        if workers > 1:
            say(f"Whyscore starts {workers} workers at {address_of(listener)} (stop it with Ctrl-C)")
            Workers(workers, listener, model, settings).run()
            return
        app = make_app(model, settings)
        say(f"Whyscore is at {address_of(listener)} (stop it with Ctrl-C)")
        uvicorn.Server(server_config(app, settings)).run(sockets=[listener])
    finally:
        listener.close()


def server_config(app: Any, settings: Settings) -> Any:
    """Give uvicorn's settings: quiet, without a log line for each request, and an end within a deadline."""
    import uvicorn

    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout_s)),
    )


def make_app(model: str | None, settings: Settings) -> Any:
    """Build the application with its model loaded; one that is not there yet leaves it not ready."""
    from serving.api import create_app
    from serving.tagging import load_tagger

    share_arenas()
    app = create_app(settings, tagger=load_tagger(model, settings) if model is not None else None)
    loaded = app.state.service.loaded
    if isinstance(loaded, str):
        say(f"Serving without a model, so nothing can be tagged: {loaded}")
    return app


def share_arenas() -> None:
    """Let the threads share two heaps; by default each has its own, and none gives back what it once held."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # there is none of it outside glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def listen(host: str, port: int, settings: Settings) -> socket.socket:
    """Open the listening socket; raises `InputError` where it is not to be had."""
    from serving.middleware import is_loopback

    if not is_loopback(host) and not settings.allow_remote:
        raise InputError(
            f"{host} is open to other machines and the API asks nobody for a key; "
            "set WHYSCORE_ALLOW_REMOTE=true where something in front of it does"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise InputError(f"cannot listen on {host}:{port}: {reason}; choose another with --port") from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Give the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
