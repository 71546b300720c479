"""One webhook on its way out: where it may go, how it is signed, and how long it may take.

The address is looked up once, checked, and then called by its number: a name that points somewhere else a
moment later (DNS rebinding) leads nowhere. Redirects are not followed, since they could lead inside. All of a
delivery has one deadline, and of an answer only so much is read: a timeout of each read bounds neither.

References
----------
OWASP. Server-Side Request Forgery Prevention Cheat Sheet.
Standard Webhooks (2023). Specification 1.0.0. https://www.standardwebhooks.com
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import httpcore
import httpx

from data.errors import InputError
from data.webhook_outbox import Parcel
from serving.connectors.signatures import standard_key, standard_signature

TIMEOUT_SECONDS = 10.0
"""For each step."""

DEADLINE_SECONDS = 2 * TIMEOUT_SECONDS
"""For all of them, but for looking the name up, which the system bounds."""

LARGEST_ANSWER = 2**18
"""In bytes. Headers alone are read, but any number of informational answers may stand before them."""

_PIECE = 2**14
_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}", re.ASCII)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # stands for an IPv4 address, whichever it is
Resolver = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a name and a port; raises `OSError` where there are none."""


class UnsafeAddressError(InputError):
    """An address that webhooks may not go to."""


def addresses_of(host: str, port: int) -> list[str]:
    """Look a name up."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked_url(url: str, *, allow_private: bool) -> httpx.URL:
    """Give a URL that webhooks may go to, as far as it tells by itself.

    Parameters
    ----------
    url
        As somebody typed it.
    allow_private
        Whether addresses of this machine and this network may be called, also without encryption.

    Raises
    ------
    UnsafeAddressError
        If it is no URL of HTTPS, holds a password or a fragment, or is a private address.
    """
    try:
        parsed = httpx.URL(url)
        host, name = parsed.host, parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError, UnicodeError):
        raise UnsafeAddressError("the url is not one") from None
    schemes = ("https", "http") if allow_private else ("https",)
    if parsed.scheme not in schemes or not host:
        raise UnsafeAddressError(f"the url must begin with {' or '.join(f'{one}://' for one in schemes)}")
    if parsed.userinfo or parsed.fragment:
        raise UnsafeAddressError("the url must hold no password and no fragment")
    if not 0 < (parsed.port or 443) < 65536:
        raise UnsafeAddressError("the url's port is not one")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(name):
            raise UnsafeAddressError("the url's host is not a name") from None
        return parsed
    _check_address(host, allow_private)
    return parsed


def _check_address(address: str, allow_private: bool) -> None:
    number = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(number, "ipv4_mapped", None) or getattr(number, "sixtofour", None)
    if number in _NAT64:
        mapped = ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
    public = number.is_global and not number.is_multicast and (mapped is None or mapped.is_global)
    if not public and not allow_private:
        raise UnsafeAddressError("the url leads to an address of this machine or of a private network")


class _BoundedStream(httpcore.NetworkStream):
    """A connection that ends at a moment, and that brings only so many bytes."""

    def __init__(self, stream: httpcore.NetworkStream, end: float) -> None:
        self._stream, self._end, self._left = stream, end, LARGEST_ANSWER

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left <= 0:
            raise httpcore.ReadError("the answer is too large")
        part = self._stream.read(min(max_bytes, self._left), _seconds_to(self._end, timeout))
        self._left -= len(part)
        return part

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):  # the timeout begins anew with each piece that is taken
            self._stream.write(buffer[start : start + _PIECE], _seconds_to(self._end, timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        limit = _seconds_to(self._end, timeout)  # of the whole handshake
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, limit), self._end)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


class _BoundedNetwork(httpcore.SyncBackend):
    """The network, for one delivery."""

    def __init__(self, end: float) -> None:
        self._end = end

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        limit = _seconds_to(self._end, timeout)
        stream = super().connect_tcp(host, port, limit, local_address, socket_options)
        return _BoundedStream(stream, self._end)


def _seconds_to(end: float, timeout: float | None) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise httpcore.TimeoutException("the deadline has passed")
    return left if timeout is None else min(left, timeout)


class _BoundedTransport(httpx.BaseTransport):
    """Carries each request on a connection of its own, and fetches no more of the answer than its status."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._tls = httpx.create_ssl_context(trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        target = request.url
        url = httpcore.URL(
            scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path
        )
        asked = httpcore.Request(
            request.method,
            url,
            headers=request.headers.raw,
            content=request.read(),
            extensions=request.extensions,
        )
        network = _BoundedNetwork(time.monotonic() + self._deadline_s)
        try:
            with httpcore.HTTPConnection(url.origin, self._tls, network_backend=network) as connection:
                return httpx.Response(connection.handle_request(asked).status)
        except httpcore.TimeoutException as error:
            raise httpx.TimeoutException(str(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise httpx.TransportError(str(error)) from error


class Courier:
    """Delivers webhooks.

    Parameters
    ----------
    allow_private
        As `checked_url` takes it.
    resolve
        Looks names up.
    transport
        Carries requests; the network where None, and then with a deadline.
    deadline_s
        Seconds that a delivery may take.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        resolve: Resolver = addresses_of,
        transport: httpx.BaseTransport | None = None,
        deadline_s: float = DEADLINE_SECONDS,
    ) -> None:
        self._allow_private, self._resolve = allow_private, resolve
        self._client = httpx.Client(
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,  # a proxy would look the name up anew
            transport=transport or _BoundedTransport(deadline_s),
        )

    def close(self) -> None:
        """Let connections go."""
        self._client.close()

    def deliver(self, parcel: Parcel, now: datetime) -> tuple[int | None, str | None]:
        """Send a message once.

        Returns
        -------
        tuple
            The HTTP status, None where there was no answer; and the kind of failure, None where it arrived.
        """
        try:
            status = self._post(parcel, now)
        except UnsafeAddressError:
            return None, "private address"
        except InputError:
            return None, "secret"
        except httpx.TimeoutException:
            return None, "timeout"
        except httpx.HTTPError:
            return None, "connection"
        except (OSError, UnicodeError):
            return None, "name not found"
        return status, None if 200 <= status < 300 else "status"

    def _post(self, parcel: Parcel, now: datetime) -> int:
        url = checked_url(parcel.url, allow_private=self._allow_private)
        name = url.raw_host.decode("ascii")
        found = self._resolve(name, url.port or (443 if url.scheme == "https" else 80))
        for address in found:  # all of them: one that is inside is reason enough
            _check_address(address, self._allow_private)
        if not found:
            raise OSError("no address")
        body, moment = parcel.body.encode(), int(now.timestamp())
        headers = {
            "host": url.netloc.decode("ascii"),
            "content-type": "application/json",
            "user-agent": "Whyscore",
            "webhook-id": parcel.message_id,
            "webhook-timestamp": str(moment),
            "webhook-signature": standard_signature(
                parcel.message_id, moment, body, standard_key(parcel.secret)
            ),
        }
        request = self._client.build_request(
            "POST",
            url.copy_with(host=found[0].partition("%")[0]),
            content=body,
            headers=headers,
            extensions={"sni_hostname": name} if url.scheme == "https" else {},
        )
        answer = self._client.send(request, stream=True)  # its body is of no use, and may be endless
        answer.close()
        return answer.status_code
