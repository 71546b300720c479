"""The HTTP API as one application: endpoints, errors, limits, and the workspace page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from data.scale import scale_named
from data.settings import Settings
from data.store import Store
from serving import endpoints_health, endpoints_models, endpoints_reading, endpoints_tagging, page
from serving.ingest import ResponseTagger
from serving.live_models import LiveModels
from serving.middleware import BodyLimit, LocalHosts, SecurityHeaders, UnexpectedErrors
from serving.openapi import describe
from serving.problems import handle_errors
from serving.ranking import StoredRanking
from serving.request_log import RequestLog
from serving.state import ServiceState
from serving.tracing import Tracer, tracer_on_request

API_VERSION = "1.0"
"""Of the promises under ``/v1``, not of the program."""


def create_app(
    settings: Settings, tagger: ResponseTagger | None = None, store: Store | None = None
) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    settings
        Where things are, and their limits.
    tagger
        The model; None follows the champion of the registry. Where there is none yet, the application
        starts without, says so under ``/readyz``, and refuses what needs a model until there is one.
    store
        The store; the one that the settings name where None.

    Raises
    ------
    WhyscoreError
        If the store cannot be opened.
    """
    opened = store is None
    store = store if store is not None else Store.open(settings.store)
    scale = scale_named(settings.scale)
    models = LiveModels(settings, tagger)
    tracer = tracer_on_request()
    app = FastAPI(
        title="Whyscore",
        version=API_VERSION,
        summary="Reason codes of survey comments, and the root causes of lost points.",
        description="Every time is ISO 8601 in UTC. Every error is a problem document (RFC 9457).",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=partial(_while_up, models=models, tracer=tracer, store=store if opened else None),
    )
    app.state.service = ServiceState(settings, scale, store, StoredRanking(store, scale), models)
    for room in (endpoints_tagging, endpoints_models, endpoints_reading, endpoints_health, page):
        app.include_router(room.router)
    handle_errors(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_mb * 2**20)
    app.add_middleware(UnexpectedErrors)
    if not settings.allow_remote:
        app.add_middleware(LocalHosts)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestLog, tracer=tracer)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]  # as FastAPI's manual does
    return app


@asynccontextmanager
async def _while_up(
    app: FastAPI, models: LiveModels, tracer: Tracer | None, store: Store | None
) -> AsyncIterator[None]:
    models.start()
    yield
    models.stop()
    if tracer is not None:
        tracer.close()
    if store is not None:  # a store that was handed in is its owner's to close
        store.close()
