"""Pages of follow-ups: which ones, and where the next page begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, literal, tuple_

from data.cursors import cursor_of, moment_of, position_of
from data.follow_up_schema import follow_ups
from data.store_schema import UtcDateTime

if TYPE_CHECKING:
    from data.follow_ups import FollowUp, Kind, State

_LIST = "follow-ups"


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
    return cursor_of(_LIST, opened_at.isoformat(), key)


def after_cursor(cursor: str) -> ColumnElement[bool]:
    """Give the SQL condition of the rows behind a cursor; raises `InputError` where it is none."""
    moment, key = position_of(cursor, _LIST, 2)
    at = literal(moment_of(moment), UtcDateTime())
    return tuple_(follow_ups.c.opened_at, follow_ups.c.follow_up_id) < tuple_(at, literal(key))
