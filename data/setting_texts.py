"""Settings that are texts with a form of their own: lists, rates, origins."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from data.errors import InputError
from data.personal_data import parse_kinds
from data.rates import parse_rate


def parts_of(text: str | None) -> tuple[str, ...]:
    """Give the parts of a list with commas between; blank ones are left out."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def check_setting(name: str, text: str) -> None:
    """Raise `ValueError`, with a sentence, where a text is not what its setting takes."""
    try:
        if name == "rate_limit":
            parse_rate(text)
        elif name == "mask":
            parse_kinds(parts_of(text))
    except InputError as error:
        raise ValueError(error.message) from None
    if name == "cors_origins":
        for origin in parts_of(text):
            _check_origin(origin)
    if name == "trusted_proxies":
        for address in parts_of(text):
            ipaddress.ip_network(address)  # raises a ValueError that names it


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    if (
        parts.scheme not in ("http", "https")
        or f"{parts.scheme}://{parts.netloc}" != origin
        or not parts.netloc
    ):
        raise ValueError(f"'{origin}' is not an origin, such as https://app.example.com; name each one")
