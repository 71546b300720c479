"""Pages of responses: which ones, in which order, and where the next page begins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, exists, func, literal, or_, select, tuple_

from data.annotations import Polarity
from data.cells import whole_text
from data.cursors import decoded, encoded
from data.errors import InputError
from data.store_schema import UtcDateTime, responses, tags
from data.tags import Status, TaggedResponse

Order = Literal["newest", "lowest_score"]

_LAST = 1e300
"""Stands for a score that is not there, after every score that is."""


@dataclass(frozen=True, slots=True)
class CommentFilter:
    """Which responses: all those that meet every condition that is set.

    Attributes
    ----------
    code
        Tagged with this code or one below it.
    polarity
        Tagged so (that code, where one is named); ``non_positive`` is negative or neutral.
    segment
        A segment's name and value.
    status
        What became of the comment.
    since, until
        Responded at or after the first, and before the second.
    """

    code: str | None = None
    polarity: Polarity | Literal["non_positive"] | None = None
    segment: tuple[str, str] | None = None
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some responses in order.

    Attributes
    ----------
    rows
        The responses.
    cursor
        Where the next page begins; None after the last one.
    """

    rows: tuple[TaggedResponse, ...]
    cursor: str | None


def conditions(wanted: CommentFilter, dialect: str) -> list[ColumnElement[bool]]:
    """Give a filter as SQL conditions on table ``responses``."""
    found: list[ColumnElement[bool]] = []
    if wanted.code is not None or wanted.polarity is not None:
        found.append(exists(select(1).where(tags.c.response_id == responses.c.response_id, *_of_tag(wanted))))
    if wanted.segment is not None:
        found.append(segment_is(*wanted.segment, dialect=dialect))
    if wanted.status is not None:
        found.append(responses.c.status == wanted.status)
    if wanted.since is not None:
        found.append(responses.c.responded_at >= wanted.since)
    if wanted.until is not None:
        found.append(responses.c.responded_at < wanted.until)
    return found


def _of_tag(wanted: CommentFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.code is not None:
        below = tags.c.code.startswith(f"{wanted.code}.", autoescape=True)
        found.append(or_(tags.c.code == wanted.code, below))
    if wanted.polarity == "non_positive":
        found.append(tags.c.polarity != "positive")
    elif wanted.polarity is not None:
        found.append(tags.c.polarity == wanted.polarity)
    return found


def segment_is(name: str, value: str | None, *, dialect: str) -> ColumnElement[bool]:
    """Give the SQL condition that a segment has a value (any, where None)."""
    if dialect == "sqlite":  # a name inside a JSON path would have to be escaped; as a value it need not
        entry = func.json_each(responses.c.segments).table_valued("key", "value")
        held = [entry.c.key == name, *([] if value is None else [entry.c.value == value])]
        return exists(select(1).select_from(entry).where(*held))
    text: ColumnElement[str] = responses.c.segments[name].as_string()
    return text.is_not(None) if value is None else text == value


def sort_keys(order: Order) -> list[ColumnElement[Any]]:
    """Give what an order sorts by; the id makes it strict."""
    newest: list[ColumnElement[Any]] = [responses.c.moment.desc(), responses.c.response_id.desc()]
    return newest if order == "newest" else [func.coalesce(responses.c.score, _LAST), *newest]


def cursor_after(order: Order, score: float | None, moment: datetime, response_id: str) -> str:
    """Give the cursor of the page that begins after a response."""
    rank = [score] if order == "lowest_score" else []
    return encoded([order, *rank, moment.isoformat(), response_id])


def after_cursor(cursor: str, order: Order) -> ColumnElement[bool]:
    """Give the SQL condition of the rows behind a cursor.

    Raises
    ------
    InputError
        If the cursor is not one that `cursor_after` gave for this order.
    """
    try:
        made_for, *score, moment, response_id = decoded(cursor)
        at = datetime.fromisoformat(moment).astimezone(UTC)
        rank = _LAST if score in ([], [None]) else float(score[0])
        fits = made_for == order and len(score) == (order == "lowest_score") and math.isfinite(rank)
        if not fits or whole_text(response_id) != response_id:
            raise ValueError("not a position in this order")
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise InputError("the cursor is not one that a page of this order gave", column="cursor") from None
    older = tuple_(responses.c.moment, responses.c.response_id) < tuple_(
        literal(at, UtcDateTime()), literal(response_id)
    )
    if order == "newest":
        return older
    column = func.coalesce(responses.c.score, _LAST)
    return or_(column > rank, and_(column == rank, older))
