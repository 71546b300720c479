"""The HTTP API as one application: endpoints, errors, limits, and the workspace page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from data.api_keys import ApiKeys
from data.kept_answers import KeptAnswers
from data.rates import parse_rate
from data.scale import scale_named
from data.setting_texts import parts_of
from data.settings import Settings
from data.store import Store
from serving import (
    endpoints_annotations,
    endpoints_follow_ups,
    endpoints_health,
    endpoints_items,
    endpoints_jobs,
    endpoints_keys,
    endpoints_models,
    endpoints_reading,
    endpoints_series,
    endpoints_stream,
    endpoints_tagging,
    endpoints_webhooks,
    page,
)
from serving.connectors.fetching import Fetcher
from serving.customer_loop import make_loop
from serving.early_refusal import EarlyRefusal
from serving.entity_tags import handle_unchanged
from serving.guard import Gate, Guard, KeyWatch
from serving.idempotency import IdempotencyKeys
from serving.import_jobs import ImportWorker
from serving.ingest import ResponseTagger
from serving.live_models import LiveModels
from serving.methods import HeadAsGet
from serving.micro_batches import MicroBatches
from serving.middleware import BodyLimit, SecurityHeaders, UnexpectedErrors
from serving.notice_worker import NoticeWorker
from serving.openapi import describe
from serving.problems import handle_errors
from serving.ranking import StoredRanking
from serving.rate_limits import RateLimits
from serving.request_limits import BodyDeadline, HeaderLimit
from serving.request_log import RequestLog
from serving.state import ServiceState
from serving.tracing import Tracer, tracer_on_request
from serving.webhook_delivery import Courier
from serving.webhook_worker import WebhookWorker

API_VERSION = "1.0"
"""Of the promises under ``/v1``, not of the program."""

# What pages of other origins may send and see. Cookies are not among it: they show a key.
CORS_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CORS_HEADERS = (
    "Authorization",
    "X-API-Key",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
)
CORS_EXPOSED = (
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "ETag",
    "Link",
    "Location",
    "Idempotency-Replayed",
)

ROOMS = (
    endpoints_tagging,
    endpoints_stream,
    endpoints_items,
    endpoints_reading,
    endpoints_series,
    endpoints_annotations,
    endpoints_models,
    endpoints_jobs,
    endpoints_follow_ups,
    endpoints_webhooks,
    endpoints_keys,
    endpoints_health,
    page,
)


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
    if store is None:
        store = Store.open(
            settings.store, mask=settings.mask_kinds, erasure_key=settings.home / "erasure.key"
        )
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
    app.state.loop = make_loop(settings, store, scale)
    app.state.worker = ImportWorker(store, settings.home, scale, lambda: app.state.service.tagger)
    app.state.micro_batches = _micro_batches(settings)
    for room in ROOMS:
        app.include_router(room.router)
    handle_errors(app)
    handle_unchanged(app)
    watch = KeyWatch(ApiKeys(store.engine), required=settings.require_key)
    app.state.gate = Gate(watch, parse_rate(settings.rate_limit), RateLimits())
    _add_middleware(app, settings, app.state.gate, store)
    app.add_middleware(RequestLog, tracer=tracer)
    app.build_middleware_stack = partial(_stack, app, tracer)  # type: ignore[method-assign]
    app.openapi = partial(describe, app)  # type: ignore[method-assign]  # as FastAPI's manual does
    return app


def _stack(app: FastAPI, tracer: Tracer | None) -> ASGIApp:
    """Put early refusals outside everything else that a request passes through."""
    # The queue is asked for anew: each time that the application comes up it has another.
    whole = FastAPI.build_middleware_stack(app)
    return EarlyRefusal(whole, "/v1/tag", lambda: app.state.micro_batches.refusal(), tracer)


def _add_middleware(app: FastAPI, settings: Settings, gate: Gate, store: Store) -> None:
    """Add what every request passes through; the last one added is the outermost."""
    app.add_middleware(IdempotencyKeys, answers=KeptAnswers(store))
    app.add_middleware(HeadAsGet)
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_mb * 2**20,
        others={"/v1/jobs": settings.max_upload_mb * 2**20, "/v1/tag/stream": None},
    )
    app.add_middleware(
        BodyDeadline, seconds=settings.body_seconds, patient=frozenset({"/v1/jobs", "/v1/tag/stream"})
    )
    app.add_middleware(
        GZipMiddleware,
        minimum_size=1024,
        compresslevel=5,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, endpoints_stream.NDJSON),
    )
    origins = parts_of(settings.cors_origins)
    app.add_middleware(Guard, gate=gate, any_host=settings.allow_remote, origins=origins)
    app.add_middleware(HeaderLimit)
    app.add_middleware(UnexpectedErrors)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=CORS_METHODS,
            allow_headers=CORS_HEADERS,
            expose_headers=CORS_EXPOSED,
        )
    app.add_middleware(SecurityHeaders)
    if proxies := parts_of(settings.trusted_proxies):
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(proxies))


def _micro_batches(settings: Settings) -> MicroBatches:
    return MicroBatches(settings.queue_tokens, settings.request_timeout_s)


def _notice_worker(app: FastAPI) -> NoticeWorker | None:
    """Make the thread that fetches responses; None where no source has a token to fetch with."""
    service: ServiceState = app.state.service
    if not app.state.loop.connectors.tokens:
        return None
    return NoticeWorker(app.state.loop, Fetcher(), lambda: service.tagger, service.store, service.scale)


@asynccontextmanager
async def _while_up(
    app: FastAPI, models: LiveModels, tracer: Tracer | None, store: Store | None
) -> AsyncIterator[None]:
    allow_private = app.state.service.settings.webhook_allow_private
    courier = WebhookWorker(app.state.loop, Courier(allow_private=allow_private))
    app.state.webhook_worker = courier
    importer: ImportWorker = app.state.worker
    # Anew: those of an application that was down before take no more work.
    app.state.micro_batches = _micro_batches(app.state.service.settings)
    fetching = _notice_worker(app)
    models.start()
    courier.start()
    if fetching is not None:
        fetching.start()
    importer.start()
    yield
    app.state.micro_batches.close()
    if fetching is not None:
        await run_in_threadpool(fetching.stop)
    await run_in_threadpool(courier.stop)
    await run_in_threadpool(importer.stop)
    await run_in_threadpool(models.stop)
    if tracer is not None:
        tracer.close()
    if store is not None:  # a store that was handed in is its owner's to close
        store.close()
