"""What every request passes through: the limit of its body, the headers of its answer, the last resort."""

from __future__ import annotations

import ipaddress
import traceback
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import http_problem, log, unexpected
from serving.request_facts import route_of

# The page is served from here and loads nothing from elsewhere; nobody may frame it.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # answers hold personal data
}


class SecurityHeaders:
    """Sets `SECURITY_HEADERS` on every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                # A browser would hold every port of localhost to it.
                if scope["scheme"] == "https" and not is_loopback(host_of(scope)):
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        await self.app(scope, receive, send_with_headers)


class LocalHosts:
    """Refuses a request whose Host is not this machine's own name with 421.

    Otherwise a web page could point a name of its own at 127.0.0.1 (DNS rebinding) and read the comments.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it was meant for this machine."""
        if scope["type"] == "http":
            if not is_loopback(host_of(scope)):
                refusal = HTTPException(421, "this server answers to localhost alone")
                await http_problem(refusal)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def host_of(scope: Scope) -> str:
    """Give the name in a request's Host, without the port."""
    host: str = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name.strip("[]")


def is_loopback(host: str) -> bool:
    """Tell whether a name or address is this machine's own, which no other can reach."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class BodyLimit:
    """Refuses a body above a number of bytes with 413, before it is read and also while it is.

    Parameters
    ----------
    app
        What answers.
    max_bytes
        The limit.
    others
        Addresses with a limit of their own; None for none at all.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, others: Mapping[str, int | None] | None = None) -> None:
        self.app, self.max_bytes, self._others = app, max_bytes, others or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on while its body keeps within the limit."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self._others.get(scope["path"], self.max_bytes)
        if most is None:
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > most:
            await http_problem(_too_large(most))(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise _too_large(most)
            return message

        await self.app(scope, receive_counted, send)


def _too_large(most: int) -> HTTPException:
    # The rest of the body stays unread, so the connection cannot serve another request.
    return HTTPException(
        413, f"the body is larger than {most / 2**20:g} MB; send it in parts", {"Connection": "close"}
    )


class UnexpectedErrors:
    """Answers what nobody foresaw with a plain 500, and logs where it happened.

    The log names files, lines and the kind of error, not its message, which could quote a comment.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and catch what comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        except ClientDisconnect:
            log.info("%s %s: the client went away", scope["method"], route_of(scope))
        except Exception as error:
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s %s: %s\n%s", scope["method"], route_of(scope), type(error).__name__, frames)
            if not started:
                await unexpected()(scope, receive, send)
