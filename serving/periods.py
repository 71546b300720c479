"""Months and weeks as bounds in time: the way back from the segments that `model.periods` adds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from data.errors import InputError
from model.periods import MONTH, WEEK, month_of, week_of

DERIVED = (MONTH, WEEK)
"""Segments made from the date of a response, where there is no column of that name."""


def period_bounds(name: str, value: str) -> tuple[datetime, datetime]:
    """Give the first moment of a month or week in UTC, and the first one after it.

    Parameters
    ----------
    name
        ``month`` or ``week``.
    value
        As `month_of` and `week_of` give it.

    Raises
    ------
    InputError
        If there is no such month or week.
    """
    try:
        start = datetime.fromisoformat(f"{value}-01" if name == MONTH else value).replace(tzinfo=UTC)
        known = value == (month_of(start) if name == MONTH else week_of(start))
        length = timedelta(31 if name == MONTH else 7)
        end = (start + length).replace(day=1) if name == MONTH else start + length
    except (ValueError, OverflowError):
        known = False
    if not known:
        example = "2026-04" if name == MONTH else "2026-04-06, a Monday"
        raise InputError(f"a {name} is given as {example}", column="segment")
    return start, end
