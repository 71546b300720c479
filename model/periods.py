"""Weeks and months as segments, so that time is ranked by the same code as every other split."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from data.tags import TaggedResponse

WEEK, MONTH = "week", "month"


def week_of(moment: datetime) -> str:
    """Give the Monday of a moment's week in UTC, such as ``2026-04-06`` (ISO 8601 weeks)."""
    day = moment.astimezone(UTC).date()
    return (day - timedelta(days=day.weekday())).isoformat()


def month_of(moment: datetime) -> str:
    """Give a moment's month in UTC, such as ``2026-04``."""
    return moment.astimezone(UTC).strftime("%Y-%m")


def with_periods(rows: Iterable[TaggedResponse]) -> Iterator[TaggedResponse]:
    """Add the segments ``week`` and ``month`` to the responses that have a time and not yet the segment.

    Parameters
    ----------
    rows
        May be a stream.

    Yields
    ------
    TaggedResponse
    """
    for row in rows:
        moment = row.response.responded_at
        if moment is None:
            yield row
            continue
        segments = {WEEK: week_of(moment), MONTH: month_of(moment), **row.response.segments}
        yield dataclasses.replace(row, response=dataclasses.replace(row.response, segments=segments))
