"""Customers who answered again: their first low score, the next one, and whether somebody spoke to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, and_, select

from data.follow_up_schema import follow_ups
from data.scale import Scale
from data.store import Store
from data.store_schema import responses

REACHED = ("recovered", "not_recovered")
"""The outcomes that say that somebody spoke to the customer."""


@dataclass(frozen=True, slots=True)
class ScorePair:
    """A customer's first low score and the next one.

    Attributes
    ----------
    before, after
        The scores.
    followed
        Whether somebody spoke to the customer in between.
    """

    before: float
    after: float
    followed: bool


@dataclass(frozen=True, slots=True)
class ScorePairs:
    """The pairs of a store.

    Attributes
    ----------
    pairs
        Each customer once.
    too_late
        Customers left out, since they had answered again before somebody spoke to them.
    """

    pairs: tuple[ScorePair, ...]
    too_late: int


def read_pairs(store: Store, scale: Scale) -> ScorePairs:
    """Pair every detractor's first low score with the same customer's next score.

    Responses without a respondent, a score or a date are left out.
    """
    pairs, too_late = [], 0
    with store.reading() as connection:
        for answers in _customers(connection):
            place = next((i for i, row in enumerate(answers) if row.score <= scale.detractor_max), None)
            if place is None or place + 1 >= len(answers):
                continue
            low, following = answers[place], answers[place + 1]
            spoken: datetime | None = low.resolved_at if low.outcome in REACHED else None
            if spoken is not None and spoken >= following.responded_at:
                too_late += 1
                continue
            pairs.append(ScorePair(low.score, following.score, spoken is not None))
    return ScorePairs(tuple(pairs), too_late)


def _customers(connection: Connection) -> Iterator[list[Any]]:
    contact = and_(follow_ups.c.response_id == responses.c.response_id, follow_ups.c.kind == "contact")
    query = (
        select(
            responses.c.respondent_id,
            responses.c.score,
            responses.c.responded_at,
            follow_ups.c.outcome,
            follow_ups.c.resolved_at,
        )
        .outerjoin(follow_ups, contact)
        .where(
            responses.c.respondent_id.is_not(None),
            responses.c.score.is_not(None),
            responses.c.responded_at.is_not(None),
        )
        .order_by(responses.c.respondent_id, responses.c.responded_at, responses.c.response_id)
    )
    for _, rows in groupby(connection.execute(query), key=attrgetter("respondent_id")):
        yield list(rows)
