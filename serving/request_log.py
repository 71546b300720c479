"""What watches every request: its id, its time, a line of the log, the metrics, and a trace if wanted."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import metrics
from serving.request_facts import RequestFacts, accepted_id, current, route_of
from serving.tracing import Tracer

REQUEST_ID = "X-Request-ID"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = logging.getLogger("whyscore.access")


class RequestLog:
    """Gives each request an id and tells of it once it is answered: method, route, status, time, items.

    It tells the template of the address, never the address: that, and the query, may hold what people wrote.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer | None = None) -> None:
        self.app, self.tracer = app, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        facts = RequestFacts(accepted_id(headers.get(REQUEST_ID)))
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status = 499  # nginx's number for: the client went away

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = facts.request_id
            await send(message)

        token = current.set(facts)
        start = time.perf_counter()
        span = None if self.tracer is None else self.tracer.begin(headers.get("traceparent"))
        try:
            with metrics.one_in_flight():
                await self.app(scope, receive, send_noted)
        finally:
            seconds = time.perf_counter() - start
            route = route_of(scope)
            saw_answer(method, route, status, seconds, facts)
            if span is not None:
                span.end(method, route, status, facts)
            current.reset(token)


def saw_answer(method: str, route: str, status: int, seconds: float, facts: RequestFacts) -> None:
    """Tell the metrics and the log of an answered request, under its route's template."""
    metrics.saw_request(method, route, status, seconds)
    if log.isEnabledFor(logging.INFO):
        milliseconds = round(seconds * 1000, 3)
        told = {"method": method, "route": route, "status": status, "milliseconds": milliseconds}
        log.info("%s %s %d", method, route, status, extra=told | {"items": facts.items})
