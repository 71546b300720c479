"""One webhook on its way out: where it may go, how it is signed, and how long it may take.

The address is looked up once, checked, and then called by its number: a name that points somewhere else a
moment later (DNS rebinding) leads nowhere. Redirects are not followed, since they could lead inside.

References
----------
OWASP. Server-Side Request Forgery Prevention Cheat Sheet.
Standard Webhooks (2023). Specification 1.0.0. https://www.standardwebhooks.com
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from datetime import datetime

import httpx

from data.errors import InputError
from data.webhook_outbox import Parcel
from serving.connectors.signatures import standard_key, standard_signature

TIMEOUT_SECONDS = 10.0
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


class Courier:
    """Delivers webhooks.

    Parameters
    ----------
    allow_private
        As `checked_url` takes it.
    resolve
        Looks names up.
    transport
        Carries requests; the network where None.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        resolve: Resolver = addresses_of,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._allow_private, self._resolve = allow_private, resolve
        self._client = httpx.Client(
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,  # a proxy would look the name up anew
            transport=transport,
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
