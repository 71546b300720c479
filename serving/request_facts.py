"""What the log and the trace say of a request: its id, its route, how many items; never what was in it."""

from __future__ import annotations

import re
import uuid
from collections.abc import MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

_SANE = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


@dataclass
class RequestFacts:
    """Facts about a request on its way; shared by every thread that works on it.

    Attributes
    ----------
    request_id
        Names it in logs, problems and the answer's header.
    items
        Responses that it held.
    """

    request_id: str
    items: int | None = None


current: ContextVar[RequestFacts | None] = ContextVar("whyscore_request", default=None)


def request_id() -> str | None:
    """Give the id of the request that is being answered, None outside one."""
    facts = current.get()
    return None if facts is None else facts.request_id


def note_items(count: int) -> None:
    """Say how many responses the request held."""
    facts = current.get()
    if facts is not None:
        facts.items = count


def accepted_id(given: str | None) -> str:
    """Give the caller's id where it is one (no spaces, no quotes, at most 128 characters), else a new one."""
    return given if given is not None and _SANE.fullmatch(given) else uuid.uuid4().hex


def route_of(scope: MutableMapping[str, Any]) -> str:
    """Give the template of a request's address, such as ``/v1/models/{version}/tag``.

    An address that leads nowhere is ``unmatched``: it could hold anything.
    """
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "unmatched"
