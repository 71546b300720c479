"""Working time: when a deadline of so many business hours falls, and how much of it lies between two moments.

Hours are told by the clock on the wall, in a time zone; what counts is the time that really passes. So a
night shift over the hour that a change of clocks leaves out is an hour shorter, and one over the hour that
comes twice is an hour longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

Opening = tuple[time, time]
"""From and to, on the clock; a `to` of midnight is the end of the day."""

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class BusinessHours:
    """A calendar of working time.

    Attributes
    ----------
    zone
        Where the clock hangs.
    week
        The openings of each weekday, Monday first; seven of them, in order of time, at least one not empty.
    holidays
        Days without working time.
    """

    zone: ZoneInfo
    week: Sequence[Sequence[Opening]]
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if len(self.week) != 7 or not any(self.week):
            raise ValueError("a week has seven days, and at least one with working time")

    def deadline(self, start: datetime, amount: timedelta) -> datetime:
        """Give the moment at which an amount of working time has passed.

        Parameters
        ----------
        start
            Any moment, with its offset.
        amount
            Working time, at least 0; with 0 it is the first working moment.

        Returns
        -------
        datetime
            In UTC; no later one has less working time before it, so it may be the end of a day's work.
        """
        left = amount
        for begin, end in self._from(start):
            if end - begin >= left:
                return begin + left
            left -= end - begin
        raise AssertionError("working time never ends")

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Give the working time from one moment to another; 0 where the second is not later."""
        total = timedelta(0)
        for begin, close in self._from(start):
            if begin >= end:
                return total
            total += min(close, end) - begin
        raise AssertionError("working time never ends")

    def _from(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the stretches of working time from a moment on, in UTC."""
        last = start.astimezone(UTC)
        # A day before: its work may reach past midnight of UTC.
        day = start.astimezone(self.zone).date() - _DAY
        while True:
            for begin, end in self._of(day):
                # Wall times that a change of clocks leaves out may come out of order: never count time twice.
                begin = max(begin, last)
                if begin < end:
                    yield begin, end
                    last = end
            day += _DAY

    def _of(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        if day in self.holidays:
            return
        for opens, closes in self.week[day.weekday()]:
            until = day + _DAY if closes == time(0) else day
            yield self._moment(day, opens), self._moment(until, closes)

    def _moment(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, self.zone).astimezone(UTC)


def office_hours(zone: ZoneInfo) -> BusinessHours:
    """Give Monday to Friday from nine to five, without holidays."""
    return BusinessHours(zone, [[(time(9), time(17))]] * 5 + [[], []])
