"""Signatures of webhooks: what proves that a body comes from who knows the secret, to the byte.

References
----------
Krawczyk, H., Bellare, M. & Canetti, R. (1997). HMAC: Keyed-Hashing for Message Authentication. RFC 2104.
Standard Webhooks (2023). Specification 1.0.0. https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from data.errors import InputError, WhyscoreError

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]

TOLERANCE_SECONDS = 300
"""How far the clock of who signed may be from ours, where the moment is signed too."""

_PREFIX = "whsec_"


class SignatureError(WhyscoreError):
    """A webhook that is not signed as its source signs."""

    exit_code = 2
    status = 401
    title = "Signature not accepted"


class SignatureScheme(Protocol):
    """A way to sign."""

    def holds(self, body: bytes, headers: Mapping[str, str], secret: bytes) -> bool:
        """Tell whether a body is signed with a secret; takes the same time whatever the signature is.

        Parameters
        ----------
        body
            The bytes as they came.
        headers
            By name; names of any case.
        secret
            What the source and this service know.
        """
        ...


@dataclass(frozen=True, slots=True)
class BodyHmac:
    """An HMAC of the body in a header.

    Attributes
    ----------
    header
        The header's name.
    algorithm, encoding
        Of the HMAC, and of its bytes as text.
    prefix
        What stands before it, such as ``sha256=``.
    """

    header: str
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""

    def sign(self, body: bytes, secret: bytes) -> str:
        """Give the header's value."""
        digest = hmac.new(secret, body, getattr(hashlib, self.algorithm)).digest()
        text = digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode()
        return self.prefix + text

    def holds(self, body: bytes, headers: Mapping[str, str], secret: bytes) -> bool:
        """Tell whether the header has the body's HMAC."""
        given = headers.get(self.header, "")
        if self.encoding == "hex":
            given = given[: len(self.prefix)] + given[len(self.prefix) :].lower()
        return _same(given, self.sign(body, secret))


@dataclass(frozen=True, slots=True)
class SharedToken:
    """The secret itself in a header: for sources that sign nothing, but send headers of one's own."""

    header: str

    def holds(self, body: bytes, headers: Mapping[str, str], secret: bytes) -> bool:
        """Tell whether the header has the secret."""
        return hmac.compare_digest(headers.get(self.header, "").encode(), secret)


@dataclass(frozen=True, slots=True)
class StandardSignature:
    """The scheme of the Standard Webhooks specification: id, moment and body are signed together."""

    def holds(self, body: bytes, headers: Mapping[str, str], secret: bytes) -> bool:
        """Tell whether one of the signatures is right and the moment is near."""
        moment, key = headers.get("webhook-timestamp", ""), standard_key(secret.decode())
        if not (moment.isascii() and moment.isdigit() and len(moment) < 16):
            return False
        expected = standard_signature(headers.get("webhook-id", ""), int(moment), body, key)
        given = headers.get("webhook-signature", "").split(" ")[:20]
        found = [_same(one, expected) for one in given]
        return any(found) and abs(time.time() - int(moment)) <= TOLERANCE_SECONDS


def standard_key(secret: str) -> bytes:
    """Give the key behind a secret such as ``whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw``.

    Raises
    ------
    InputError
        If what follows the prefix is not base64.
    """
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("a secret is 'whsec_' and base64 of 24 to 64 bytes") from None


def standard_secret(key: bytes) -> str:
    """Give a key as the secret that people copy."""
    return _PREFIX + base64.b64encode(key).decode()


def standard_signature(message_id: str, moment: int, body: bytes, key: bytes) -> str:
    """Give the value of ``webhook-signature``.

    Parameters
    ----------
    message_id
        ``webhook-id``.
    moment
        ``webhook-timestamp``, seconds since 1970.
    body, key
        What is sent, and the key of `standard_key`.
    """
    signed = f"{message_id}.{moment}.".encode("utf-8", "surrogateescape") + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
