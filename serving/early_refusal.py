"""Refusals that cost next to nothing: what they cost under overload is lost to those who are served."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import metrics
from serving.admission import OverloadedError
from serving.middleware import SECURITY_HEADERS
from serving.problems import MEDIA_TYPE, problem_of
from serving.request_facts import RequestFacts, accepted_id, current
from serving.request_log import REQUEST_ID, saw_answer
from serving.tracing import Tracer

_ID_HEADER = REQUEST_ID.lower().encode()
_HEADERS = [
    (b"content-type", MEDIA_TYPE.encode()),
    *((name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()),
]


class EarlyRefusal:
    """Refuses requests of one address before anything of them is read, while there is no room for more.

    It stands outside all the rest, framework included, and does by itself what that would do for such a
    request: id, headers, metrics, log and trace. A page of another origin would not be let see such an
    answer; what has an ``Origin`` goes the long way, and is refused there.

    Parameters
    ----------
    app
        What answers.
    path
        The address; a request is refused if it is a POST.
    refusal
        Gives why there is no room, None while there is some.
    tracer
        As for `RequestLog`.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        refusal: Callable[[], OverloadedError | None],
        tracer: Tracer | None = None,
    ) -> None:
        self.app, self._path, self._refusal, self._tracer = app, path, refusal, tracer
        self._documents: dict[int, bytes] = {}  # by the seconds after which to try again: at most a minute's

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and scope["path"] == self._path and scope["method"] == "POST":
            refusal = self._refusal()
            if refusal is not None:
                headers = Headers(scope=scope)
                if "origin" not in headers:
                    await self._refuse(refusal, headers, send)
                    return
        await self.app(scope, receive, send)

    async def _refuse(self, refusal: OverloadedError, headers: Headers, send: Send) -> None:
        start = time.perf_counter()
        metrics.refused_request("queue_full")
        facts = RequestFacts(accepted_id(headers.get(REQUEST_ID)))
        span = None if self._tracer is None else self._tracer.begin(headers.get("traceparent"))
        body = self._document(refusal, facts.request_id)
        told = [
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", b"%d" % refusal.retry_after_s),
            (_ID_HEADER, facts.request_id.encode()),
        ]
        await send({"type": "http.response.start", "status": 429, "headers": _HEADERS + told})
        await send({"type": "http.response.body", "body": body})
        token = current.set(facts)
        saw_answer("POST", self._path, 429, time.perf_counter() - start, facts)
        current.reset(token)
        if span is not None:
            span.end("POST", self._path, 429, facts)

    def _document(self, refusal: OverloadedError, request_id: str) -> bytes:
        """Give the problem document: all but the id is made once, and an id holds nothing to be escaped."""
        seconds = refusal.retry_after_s
        if seconds not in self._documents:
            problem = problem_of(refusal).model_dump(exclude_none=True)
            self._documents[seconds] = orjson.dumps(problem).removesuffix(b"}")
        return b'%s,"request_id":"%s"}' % (self._documents[seconds], request_id.encode())
