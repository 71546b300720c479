"""Pages of follow-ups: which ones, and where the next page begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, literal, tuple_

from data.cells import whole_text
from data.errors import InputError
from data.follow_up_schema import follow_ups
from data.store_schema import UtcDateTime

if TYPE_CHECKING:
    from data.follow_ups import FollowUp, Kind, State


@dataclass(frozen=True, slots=True)
class FollowUpFilter:
    """Which follow-ups: all those that meet every condition that is set.

    Attributes
    ----------
    state, kind, owner, response_id
        Of this state, this kind, this owner, or about this response.
    overdue
        True: past their deadline and still to be done.
    """

    state: State | None = None
    kind: Kind | None = None
    owner: str | None = None
    response_id: str | None = None
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class FollowUpPage:
    """Some follow-ups, newest first, and where the next page begins (None after the last one)."""

    rows: tuple[FollowUp, ...]
    cursor: str | None


def conditions(wanted: FollowUpFilter, now: datetime, still_open: Sequence[str]) -> list[ColumnElement[bool]]:
    """Give a filter as SQL conditions on table ``follow_ups``."""
    found: list[ColumnElement[bool]] = []
    for name in ("state", "kind", "owner", "response_id"):
        value = getattr(wanted, name)
        if value is not None:
            found.append(follow_ups.c[name] == value)
    if wanted.overdue:
        found += [follow_ups.c.state.in_(still_open), follow_ups.c.due_at < now]
    return found


def cursor_after(opened_at: datetime, key: str) -> str:
    """Give the cursor of the page that begins after a follow-up."""
    return base64.urlsafe_b64encode(json.dumps([opened_at.isoformat(), key]).encode()).decode().rstrip("=")


def after_cursor(cursor: str) -> ColumnElement[bool]:
    """Give the SQL condition of the rows behind a cursor; raises `InputError` where it is none."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        moment, key = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
        at = datetime.fromisoformat(moment).astimezone(UTC)
        if whole_text(key) != key:
            raise ValueError("not an id")
    except (ValueError, TypeError, binascii.Error, RecursionError, OverflowError):
        raise InputError("the cursor is not one that a page gave", column="cursor") from None
    return tuple_(follow_ups.c.opened_at, follow_ups.c.follow_up_id) < tuple_(
        literal(at, UtcDateTime()), literal(key)
    )
