"""``serve``: the API and the page behind uvicorn."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import socket
import ssl
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.settings import Settings
from whyscore.terminal import print_json, progress_bar, say

# Of glibc's malloc.h.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
KEEP_ALIVE_S = 75
"""For the next request of a connection. Where a client sends it just as the server closes, it is lost; so the
server waits longer than clients and proxies usually keep a connection (60 seconds)."""


def run_server(
    host: str,
    port: int,
    model: str | None,
    settings: Settings,
    workers: int = 1,
    tls: tuple[Path, Path] | None = None,
) -> None:
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
    tls
        Files of the certificate (with its chain) and of its key, both PEM, to serve HTTPS.

    Raises
    ------
    InputError
        If the address is not to be had, if it is open to others while there is no API key, or if the
        certificate cannot be used.
    """
    import uvicorn

    from whyscore.workers import Workers

    if tls is not None:
        check_certificate(*tls)
    listener = listen(host, port, settings)
    address = address_of(listener).replace("http:", "http:" if tls is None else "https:")
    try:
        if workers > 1:
            say(f"Whyscore starts {workers} workers at {address} (stop it with Ctrl-C)")
            Workers(workers, listener, model, settings, tls).run()
            return
        app = make_app(model, settings)
        say(f"Whyscore is at {address} (stop it with Ctrl-C)")
        uvicorn.Server(server_config(app, settings, tls)).run(sockets=[listener])
    finally:
        listener.close()


def server_config(app: Any, settings: Settings, tls: tuple[Path, Path] | None = None) -> Any:
    """Give uvicorn's settings: an end within a deadline, and logs that go where the program's go.

    The program itself tells of requests.
    """
    import uvicorn

    from serving.timed_protocol import TimedProtocol

    return uvicorn.Config(
        app,
        http=TimedProtocol,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        proxy_headers=False,  # WHYSCORE_TRUSTED_PROXIES says whose count
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout_s)),
        ssl_certfile=None if tls is None else tls[0],
        ssl_keyfile=None if tls is None else tls[1],
    )


def check_certificate(certificate: Path, key: Path) -> None:
    """Raise `InputError` unless two files are a certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(
            certificate, key, password=""
        )  # a key with a password is refused, not asked for
    except FileNotFoundError:
        missing = certificate if not certificate.is_file() else key
        raise InputError("there is no such file", file=missing) from None
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise InputError("not a PEM certificate with its key", file=certificate) from error


def make_app(model: str | None, settings: Settings) -> Any:
    """Build the application with its model loaded; one that is not there yet leaves it not ready.

    A model that is named stays; without one the champion of the registry is followed.
    """
    from serving.api import create_app
    from serving.logs import set_up_logs
    from serving.tagging import load_tagger

    hold_little()
    allow_connections()
    collect_seldom()
    set_up_logs(settings.log)
    # A registry that is gone is asked again soon anyway; MLflow alone would hold a request for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

    app = create_app(settings, tagger=load_tagger(model, settings) if model is not None else None)
    loaded = app.state.service.loaded
    if isinstance(loaded, str):
        say(f"Serving without a model, so nothing can be tagged: {loaded}")
    return app


def hold_little() -> None:
    """Let glibc hold less memory that nobody uses.

    Threads share two heaps; by default each has its own, and none gives back what it once held. Buffers of
    128 kB and more are given back as they are let go: those of a network grow with the largest batch so far,
    and leave gaps in a heap.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # there is none of it outside glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 2)
        libc.mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def collect_seldom() -> None:
    """Let Python look for cyclic garbage less often: thousands of waiting requests would be looked through.

    With its defaults (700, 10, 10) a third of the answers at 1.5 times capacity was lost to that
    (``benchmarks/serving_overload.py``).
    """
    gc.set_threshold(20_000, 20, 20)


def allow_connections() -> None:
    """Open as many files as the system lets this process: each request that waits holds a connection.

    Many systems begin with 1,024, less than the queue of comments can hold; beyond it connections would
    break, where there should be 429.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):  # there is none of it on Windows
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listen(host: str, port: int, settings: Settings) -> socket.socket:
    """Open the listening socket; raises `InputError` where it is not to be had."""
    from serving.middleware import is_loopback

    if not is_loopback(host) and not settings.allow_remote and not asks_for_keys(settings):
        raise InputError(
            f"{host} is open to other machines and the API asks nobody for a key; make one first "
            "(whyscore keys create), or set WHYSCORE_ALLOW_REMOTE=true where something in front of it asks"
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


def asks_for_keys(settings: Settings) -> bool:
    """Tell whether the API lets nobody in without a key."""
    from data.api_keys import ApiKeys
    from data.store import Store

    if settings.require_key:
        return True
    with Store.open(settings.store) as store:
        return ApiKeys(store.engine).exist()


def address_of(listener: socket.socket) -> str:
    """Give the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def run_retagging(model: str | None, as_json: bool, settings: Settings) -> None:
    """Tag again what the store has from other models."""
    from data.store import Store
    from serving.retag import retag
    from serving.tagging import load_tagger

    tagger = load_tagger(model, settings)
    key = settings.home / "erasure.key"
    store = Store.open(settings.store, mask=settings.mask_kinds, erasure_key=key)
    with store, progress_bar("Tagging again") as tell:
        total = store.count()
        written = retag(store, tagger, lambda done: tell(done, total, ""))
    if as_json:
        print_json({"model": tagger.name, "responses": total, "retagged": written})
        return
    say(f"{written} of {total} responses were tagged again, by {tagger.name}.")
