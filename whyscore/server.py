"""``serve``: the API and the page behind uvicorn."""

from __future__ import annotations

import os
import socket
from typing import Any

from data.errors import InputError
from data.settings import Settings
from whyscore.terminal import print_json, progress_bar, say


def run_server(host: str, port: int, model: str | None, settings: Settings) -> None:
    """Serve until interrupted.

    Raises
    ------
    InputError
        If the address is not to be had, or is open to others while `WHYSCORE_ALLOW_REMOTE` is not set.
    """
    import uvicorn

    listener = listen(host, port, settings)
    try:
        app = make_app(model, settings)
        say(f"Whyscore is at {address_of(listener)} (stop it with Ctrl-C)")
        uvicorn.Server(server_config(app)).run(sockets=[listener])
    finally:
        listener.close()


def server_config(app: Any) -> Any:
    """Give uvicorn's settings: its logs go where the program's go; the program itself tells of requests."""
    import uvicorn

    return uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, server_header=False, lifespan="on"
    )


def make_app(model: str | None, settings: Settings) -> Any:
    """Build the application with its model loaded; one that is not there yet leaves it not ready.

    A model that is named stays; without one the champion of the registry is followed.
    """
    from serving.api import create_app
    from serving.logs import set_up_logs
    from serving.tagging import load_tagger

    set_up_logs(settings.log)
    # A registry that is gone is asked again soon anyway; MLflow alone would hold a request for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

    app = create_app(settings, tagger=load_tagger(model, settings) if model is not None else None)
    loaded = app.state.service.loaded
    if isinstance(loaded, str):
        say(f"Serving without a model, so nothing can be tagged: {loaded}")
    return app


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


def run_retagging(model: str | None, as_json: bool, settings: Settings) -> None:
    """Tag again what the store has from other models."""
    from data.store import Store
    from serving.retag import retag
    from serving.tagging import load_tagger

    tagger = load_tagger(model, settings)
    with Store.open(settings.store) as store, progress_bar("Tagging again") as tell:
        total = store.count()
        written = retag(store, tagger, lambda done: tell(done, total, ""))
    if as_json:
        print_json({"model": tagger.name, "responses": total, "retagged": written})
        return
    say(f"{written} of {total} responses were tagged again, by {tagger.name}.")
