"""Days, weeks and months: as segments, so that time is ranked like every other split, and as spans."""

from __future__ import annotations

import dataclasses
import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from data.errors import InputError
from data.tags import TaggedResponse

WEEK, MONTH = "week", "month"
Unit = Literal["day", "week", "month"]
UNITS: tuple[Unit, ...] = ("day", "week", "month")

_SPAN = re.compile(
    r"(?P<year>\d{4})"
    r"(?:-(?:Q(?P<quarter>[1-4])|W(?P<week>\d\d)|(?P<month>\d\d)(?:-(?P<day>\d\d))?))?",
    re.ASCII,
)


def day_of(moment: datetime) -> date:
    """Give a moment's day in UTC."""
    return moment.astimezone(UTC).date()


def week_of(moment: datetime) -> str:
    """Give the Monday of a moment's week in UTC, such as ``2026-04-06`` (ISO 8601 weeks)."""
    return first_day(day_of(moment), "week").isoformat()


def month_of(moment: datetime) -> str:
    """Give a moment's month in UTC, such as ``2026-04``."""
    return day_of(moment).isoformat()[:7]


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


def first_day(day: date, unit: Unit) -> date:
    """Give the first day of the day, week (a Monday) or month that a day lies in."""
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def last_day(day: date, unit: Unit) -> date:
    """Give the last day of the day, week or month that a day lies in."""
    if unit == "month":
        return day.replace(day=monthrange(day.year, day.month)[1])
    if unit == "week":
        return date.fromordinal(min(first_day(day, unit).toordinal() + 6, date.max.toordinal()))
    return day


@dataclass(frozen=True)
class Span:
    """Consecutive days, both ends included, and what they are called."""

    name: str
    first: date
    last: date


def parse_span(text: str) -> Span:
    """Read a span of days.

    Parameters
    ----------
    text
        A year ``2026``, a quarter ``2026-Q2``, a month ``2026-04``, an ISO week ``2026-W15``, a day
        ``2026-04-06``, or from one of these to another: ``2026-04-06..2026-05-03``.

    Raises
    ------
    InputError
        If it is none of these, or ends before it starts.
    """
    start, dots, end = text.strip().partition("..")
    try:
        first, last = _days(start), _days(end if dots else start)
    except ValueError:
        raise InputError(
            f"'{text}' is not a period such as 2026-04, 2026-Q2, 2026-W15, 2026-04-06 "
            "or 2026-04-06..2026-05-03"
        ) from None
    if last[1] < first[0]:
        raise InputError(f"the period '{text}' ends before it starts")
    return Span(text.strip(), first[0], last[1])


def _days(text: str) -> tuple[date, date]:
    """Give the first and the last day; raises `ValueError` where the text names none."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError("not a period")
    year = int(found["year"])
    if found["week"]:
        monday = date.fromisocalendar(year, int(found["week"]), 1)
        return monday, last_day(monday, "week")
    if found["quarter"]:
        month = 3 * int(found["quarter"])
        return date(year, month - 2, 1), last_day(date(year, month, 1), "month")
    if found["day"]:
        day = date.fromisoformat(text.strip())
        return day, day
    if found["month"]:
        first = date(year, int(found["month"]), 1)
        return first, last_day(first, "month")
    return date(year, 1, 1), date(year, 12, 31)
