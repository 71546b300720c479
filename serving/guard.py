"""Who may come in: API keys with scopes, a browser's sessions, and rate limits.

While there is no key and none is required, the service is open to this machine alone. From the first key
on, revoked ones among them, every address needs one, but for those that `serving.access` calls open.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.api_keys import ApiKey, ApiKeys, Keyring
from data.api_keys import Scope as KeyScope
from data.errors import WhyscoreError
from data.rates import Rate, parse_rate
from serving import metrics
from serving.access import Access, access_of
from serving.middleware import LocalHosts
from serving.problems import new_problem, problem_response
from serving.rate_limits import Allowance, RateLimits

COOKIE = "whyscore_session"
FRESH_SECONDS = 2.0
"""How long what was read of the keys is used: a revoked key may go on for so long in another worker."""
BAD_KEYS = Rate(30, 60)
"""Keys that do not fit, from one address; then it must wait."""
SESSION_SCOPES: tuple[KeyScope, ...] = ("read", "tag", "write")
"""What a browser's session can do at most: a stolen cookie makes no keys."""
CHALLENGE = 'Bearer realm="whyscore"'

_REASONS = {401: "key", 403: "scope", 429: "rate"}

log = logging.getLogger("whyscore.serving")


class KeyWatch:
    """The keys as the store had them a moment ago; also while the store cannot be reached.

    Parameters
    ----------
    keys
        Where they are.
    required
        Whether a key is needed before there is any.
    """

    def __init__(self, keys: ApiKeys, *, required: bool = False) -> None:
        self.keys, self._required = keys, required
        self._lane = CapacityLimiter(1)  # its own: the threads of requests may all be busy
        self._reading = False
        self._used: set[str] = set()
        self._noted: dict[str, datetime] = {}
        self.read()

    @property
    def needed(self) -> bool:
        """Whether requests need a key."""
        return self._required or bool(self.ring.keys)

    def read(self) -> None:
        """Read the keys anew, and note which were used; blocks."""
        self._at = time.monotonic()
        self.ring: Keyring = self.keys.keyring()
        self._note_uses(datetime.now(UTC).replace(minute=0, second=0, microsecond=0))

    def _note_uses(self, hour: datetime) -> None:
        used, self._used = self._used, set()
        due = [key_id for key_id in used if self._noted.get(key_id) != hour]
        if due:
            self.keys.note_use(due, hour)
            self._noted.update(dict.fromkeys(due, hour))

    async def refresh(self, *, now: bool = False) -> None:
        """Read the keys anew where that is due; a store that is gone leaves them as they were."""
        if not now and (self._reading or time.monotonic() - self._at < FRESH_SECONDS):
            return
        self._reading = True
        try:
            await to_thread.run_sync(self.read, limiter=self._lane)
        except WhyscoreError as error:
            log.error("the API keys cannot be read anew: %s", error.message)
        finally:
            self._reading = False

    def noticed(self, key: ApiKey) -> None:
        """Remember that a key was used."""
        self._used.add(key.key_id)


class Refusal(Exception):
    """A request that may not pass.

    Parameters
    ----------
    status, title, detail
        Of the problem; the detail is a sentence for people.
    headers
        Of the answer.
    """

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.headers = status, title, detail, headers

    def response(self) -> Response:
        """Give it as a problem."""
        return problem_response(new_problem(self.status, self.title, self.detail), self.headers)


def unauthorised(detail: str) -> Refusal:
    """Give the refusal of a request without a good key."""
    return Refusal(401, "Unauthorized", detail, {"WWW-Authenticate": CHALLENGE})


def too_many(allowance: Allowance, detail: str) -> Refusal:
    """Give the refusal of a request that came too soon."""
    return Refusal(429, "Too many requests", detail, allowance.headers())


class Gate:
    """Decides who may pass.

    Parameters
    ----------
    watch
        The keys.
    rate
        What each key or address may ask for, where the key has no rate of its own; None for no limit.
    limits
        The buckets.
    """

    def __init__(self, watch: KeyWatch, rate: Rate | None, limits: RateLimits) -> None:
        self.watch, self.rate, self.limits = watch, rate, limits

    async def admit(self, scope: Scope, access: Access) -> ApiKey | None:
        """Give the key that lets a request pass, or None where none is needed; raises `Refusal`."""
        headers = Headers(scope=scope)
        if not self.watch.needed or access == "open":
            return None
        shown = shown_key(headers)
        session = cookie_parser(headers.get("cookie", "")).get(COOKIE)
        if shown is None and session is None:
            raise unauthorised("this needs an API key, as Authorization: Bearer or X-API-Key")
        key = await self.identify(scope, shown, None if shown is not None else session)
        by_session = shown is None
        if by_session and scope["method"] not in ("GET", "HEAD") and not is_own_page(headers):
            raise forbidden("a browser's session may change things from this server's own page alone")
        if not key.allows(access) or (by_session and access not in SESSION_SCOPES):
            held = ", ".join(key.scopes)
            more = "; this needs the key itself, not a browser's session" if key.allows(access) else ""
            raise forbidden(f"this needs the scope {access}; the key has {held}{more}", access)
        self.watch.noticed(key)
        return key

    async def identify(self, scope: Scope, shown: str | None, session: str | None) -> ApiKey:
        """Give the key that a request shows or has a session of.

        Raises
        ------
        Refusal
            If it is none that is good; 429 if too many came from this address that were not.
        """
        found = self._find(shown, session)
        if found is not None:
            return found
        bucket = f"bad:{address_of(scope)}"
        if not self.limits.look(bucket, BAD_KEYS).allowed:
            raise too_many(
                self.limits.take(bucket, BAD_KEYS), "too many keys that are not good; wait a little"
            )
        await self.watch.refresh(now=True)  # it may be new, made by another process
        found = self._find(shown, session)
        if found is None:
            self.limits.take(bucket, BAD_KEYS)
            what = "the session has ended" if shown is None else "the API key is not good"
            raise unauthorised(f"{what}: unknown, revoked or past its time")
        return found

    def _find(self, shown: str | None, session: str | None) -> ApiKey | None:
        now = datetime.now(UTC)
        if shown is not None:
            return self.watch.ring.find(shown, now)
        return self.watch.ring.find_session(session or "", now)

    def take(self, scope: Scope, key: ApiKey | None) -> Allowance | None:
        """Count a request against its key's rate, or its address's; raises `Refusal`."""
        own = None if key is None or key.rate is None else parse_rate(key.rate)
        rate = own if key is not None and key.rate is not None else self.rate
        if rate is None:
            return None
        allowance = self.limits.take(f"at:{address_of(scope)}" if key is None else f"key:{key.key_id}", rate)
        if not allowance.allowed:
            raise too_many(
                allowance, f"more than {rate.requests} requests in {rate.seconds} s; wait a little"
            )
        return allowance


class Guard:
    """Lets a request pass if its key has the scope and its rate the room; tells the others why not.

    Parameters
    ----------
    app
        What it guards.
    gate
        Who decides.
    any_host
        Whether, while no key is needed, names of other machines are answered; see `LocalHosts`.
    origins
        Of other pages that may change things while no key is needed.
    """

    def __init__(
        self, app: ASGIApp, gate: Gate, *, any_host: bool = False, origins: Collection[str] = ()
    ) -> None:
        self.app, self.gate, self._origins = app, gate, frozenset(origins)
        self.unguarded = app if any_host else LocalHosts(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks anything else, so nobody would guard it
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.gate.watch.refresh()
        access = access_of(scope["method"], scope["path"])
        free = access == "open" and scope["method"] in ("GET", "HEAD")
        try:
            key = await self.gate.admit(scope, access)
            if key is None and access != "open":
                self._refuse_strangers(scope)
            allowance = None if free else self.gate.take(scope, key)
        except Refusal as refusal:
            metrics.refused_request(_REASONS[refusal.status])
            await refusal.response()(scope, receive, send)
            return
        scope.setdefault("state", {})["api_key"] = key
        app = self.app if self.gate.watch.needed else self.unguarded
        await app(scope, receive, _with_headers(send, allowance))

    def _refuse_strangers(self, scope: Scope) -> None:
        """Raise `Refusal` where another page has a browser change something, while nobody shows a key.

        A browser asks nobody before it sends a POST without a body.
        """
        headers = Headers(scope=scope)
        if scope["method"] in ("GET", "HEAD", "OPTIONS") or headers.get("origin") in self._origins:
            return
        if from_another_page(headers):
            raise forbidden("a page of another origin may change nothing here; show a key")


def forbidden(detail: str, scope: str | None = None) -> Refusal:
    """Give the refusal of a request whose key lacks a scope, or that another page sent."""
    named = f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'
    return Refusal(403, "Forbidden", detail, {} if scope is None else {"WWW-Authenticate": named})


def shown_key(headers: Headers) -> str | None:
    """Give the key in a request's headers: ``Authorization: Bearer``, then ``X-API-Key``."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if kind.casefold() == "bearer" else headers.get("x-api-key")


def is_own_page(headers: Headers) -> bool:
    """Tell whether a browser says that this server's own page sent a request.

    Cookies go to every port of a host, and SameSite does not tell ports apart; these headers do.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        return urlsplit(origin).netloc == headers.get("host", "")
    return site is not None


def from_another_page(headers: Headers) -> bool:
    """Tell whether a browser says that a page of another origin sent a request; programs say nothing."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


def address_of(scope: Scope) -> str:
    """Give the address that a request came from; of IPv6 the network, which is one customer's."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    return host if address.version == 4 else str(ipaddress.ip_network(f"{host}/64", strict=False))


def _with_headers(send: Send, allowance: Allowance | None) -> Send:
    if allowance is None:
        return send
    told = allowance.headers()

    async def send_told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in told.items():
                headers.setdefault(name, value)
        await send(message)

    return send_told
