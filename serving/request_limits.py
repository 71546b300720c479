"""Limits that keep a slow or a bloated request from holding the service up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from anyio import move_on_after
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import http_problem

MAX_HEADER_BYTES = 32 * 2**10
"""Of a request's line and headers: several times what any browser or proxy sends."""


class HeaderLimit:
    """Refuses a request whose address and headers are larger than `MAX_HEADER_BYTES` with 431."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request of a sensible size on."""
        if scope["type"] == "http":
            size = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
            size += sum(len(name) + len(value) for name, value in scope["headers"])
            if size > MAX_HEADER_BYTES:
                detail = f"address and headers are larger than {MAX_HEADER_BYTES // 2**10} kB"
                refusal = HTTPException(431, detail, {"Connection": "close"})
                await http_problem(refusal)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyDeadline:
    """Refuses a body that has not arrived in full after some seconds with 408.

    Parameters
    ----------
    app
        What answers.
    seconds
        The limit.
    patient
        Addresses whose bodies may take as long as they like, if each part comes within the limit.
    """

    def __init__(self, app: ASGIApp, seconds: float, patient: Collection[str] = ()) -> None:
        self.app, self.seconds, self._patient = app, seconds, patient

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and watch its body arrive."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        end, whole, patient = loop.time() + self.seconds, False, scope["path"] in self._patient

        async def receive_in_time() -> Message:
            nonlocal whole
            if whole:  # what comes now is that the client left, whenever it does
                return await receive()
            with move_on_after(self.seconds if patient else max(0.0, end - loop.time())):
                message = await receive()
                whole = not message.get("more_body", False)
                return message
            # The rest of the body may still come, so the connection cannot serve another request.
            what = "the next part of the body" if patient else "the body"
            detail = f"{what} did not arrive within {self.seconds:g} s"
            raise HTTPException(408, detail, {"Connection": "close"})

        await self.app(scope, receive_in_time, send)
