"""Points lost to each cause by day, week or month, with an interval for each point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from model.contributions import ELIGIBLE, SHOWN
from model.hierarchy import Hierarchy
from model.loss_shares import BUCKETS, column_names
from model.mentions import ScoredResponses
from model.metric import LossSums, Metric, measure
from model.period_table import PeriodTable
from model.periods import Span, Unit, first_day, last_day
from model.provenance import Provenance

Ints = NDArray[np.int64]
Reason = Literal["no_responses", "one_respondent", "mixed_versions"]

MOST_PERIODS = 1500
"""About four years of days; a file that spans more has a wrong date somewhere, or wants a longer unit."""


@dataclass(frozen=True)
class Period:
    """A day, week or month, and the metric in it.

    Attributes
    ----------
    start, end
        Its first and its last day, such as ``2026-04-06``; days are in UTC, weeks start on Mondays.
    partial
        Whether it reaches beyond the data: the first period where the first response came after its first
        day, the last where the last response came before its last day, or the span asked for cuts it.
    responses, respondents
        Scored responses of weight above 0, and the people behind them.
    versions
        What tagged its comments.
    metric
        The metric; its value is None where there is no response.
    """

    start: str
    end: str
    partial: bool
    responses: int
    respondents: int
    versions: tuple[str, ...]
    metric: Metric


@dataclass(frozen=True)
class TrendPoint:
    """Points lost to a cause in a period.

    Attributes
    ----------
    points_lost, low, high, se
        With the interval and the standard error, clustered by respondent. The interval is of this point
        alone: of a hundred points about five miss theirs.
    mentions
        Responses that mention the cause.
    reason
        Why a figure is None: ``no_responses`` in the period, ``one_respondent`` who leaves the interval
        unknown, or ``mixed_versions``: two models tagged the period.
    """

    points_lost: float | None
    low: float | None
    high: float | None
    se: float | None
    mentions: int
    reason: Reason | None


@dataclass(frozen=True)
class Trends:
    """Causes over consecutive periods, the empty ones among them.

    Attributes
    ----------
    scale, by, level
        The scale's name, the unit, the confidence level.
    periods
        Every period from the first with a response to the last.
    causes
        From a code, bucket or parent to its points, one for each period.
    notes
        Sentences that belong beside the figures.
    """

    scale: str
    by: Unit
    level: float
    periods: tuple[Period, ...]
    causes: dict[str, tuple[TrendPoint, ...]]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "scale": self.scale,
            "by": self.by,
            "level": self.level,
            "periods": [asdict(period) for period in self.periods],
            "causes": {code: [asdict(point) for point in points] for code, points in self.causes.items()},
            "notes": list(self.notes),
        }


def find_trends(
    responses: ScoredResponses,
    provenance: Provenance,
    by: Unit = "week",
    *,
    codes: Sequence[str] = (),
    span: Span | None = None,
    level: float = 0.95,
) -> Trends:
    """Follow the points lost to causes over time.

    In each period the codes and both buckets sum to ``100 - metric``, as in a ranking, and the intervals are
    those of a ranking of the period alone.

    Parameters
    ----------
    responses, provenance
        The scored responses, and when each was given. Those without a time are left out.
    by
        ``day``, ``week`` or ``month``.
    codes
        The codes, parents and buckets to follow; by default every code with ten respondents, and both
        buckets.
    span
        The days to follow; by default all.
    level
        The confidence level of every interval, between 0 and 1.

    Raises
    ------
    InputError
        If no response has a time in the span, there are more than `MOST_PERIODS` periods, or a code is
        mentioned by fewer than five people.
    """
    calendar = _Calendar.of(provenance, by, span)
    kept = np.flatnonzero((calendar.period >= 0) & (responses.weight > 0))
    hierarchy = Hierarchy.of(responses.codes)
    table = PeriodTable.of(responses, hierarchy, calendar.period, len(calendar.starts), level)
    wanted = _chosen(table, hierarchy, codes)
    versions = [provenance.versions_in(calendar.period == place) for place in range(len(calendar.starts))]
    periods = _periods(responses, kept, calendar, [tuple(map(str, found)) for found in versions], level)
    mixed = [len(found) > 1 for found in versions]
    return Trends(
        scale=responses.scale.name,
        by=by,
        level=level,
        periods=tuple(periods),
        causes={
            # Every model reads a response without a comment alike.
            name: tuple(
                _point(table, place, column, mixed[place] and name != "no_comment")
                for place in range(len(periods))
            )
            for name, column in wanted.items()
        },
        notes=tuple(_notes(provenance, periods, by)),
    )


def find_periods(
    responses: ScoredResponses, provenance: Provenance, by: Unit, *, level: float = 0.95
) -> tuple[Period, ...]:
    """Give every period from the first with a response to the last, with the metric in it.

    Parameters
    ----------
    responses, provenance, by, level
        As `find_trends` takes them.

    Raises
    ------
    InputError
        If no response has a time, or there are more than `MOST_PERIODS` periods.
    """
    calendar = _Calendar.of(provenance, by, None)
    kept = np.flatnonzero((calendar.period >= 0) & (responses.weight > 0))
    versions = [provenance.versions_in(calendar.period == place) for place in range(len(calendar.starts))]
    named = [tuple(map(str, found)) for found in versions]
    return tuple(_periods(responses, kept, calendar, named, level))


@dataclass(frozen=True, eq=False)
class _Calendar:
    """Consecutive periods: their first days, which reach beyond the data, and each response's (-1: none)."""

    starts: list[date]
    partial: list[bool]
    period: Ints
    by: Unit

    @classmethod
    def of(cls, provenance: Provenance, by: Unit, span: Span | None) -> _Calendar:
        inside = provenance.day > 0 if span is None else provenance.within(span)
        if not inside.any():
            where = "" if span is None else f" within '{span.name}'"
            raise InputError(f"no scored response has a time{where}, so there is nothing to follow")
        days = np.unique(provenance.day[inside])
        first, last = date.fromordinal(int(days[0])), date.fromordinal(int(days[-1]))
        starts = [first_day(first, by)]
        while (end := last_day(starts[-1], by)) < last:
            if len(starts) == MOST_PERIODS:
                raise InputError(
                    f"there are more than {MOST_PERIODS} {by}s from {first} to {last}; "
                    "look for a wrong date, choose a longer unit, or narrow the time"
                )
            starts.append(end + timedelta(days=1))
        partial = [False] * len(starts)
        partial[0] = first > starts[0]
        partial[-1] |= last < last_day(starts[-1], by)
        firsts = np.array([start.toordinal() for start in starts], dtype=np.int64)
        period = np.where(inside, np.searchsorted(firsts, provenance.day, side="right") - 1, -1)
        return cls(starts, partial, period, by)


def _chosen(table: PeriodTable, hierarchy: Hierarchy, codes: Sequence[str]) -> dict[str, int]:
    """Give the columns to follow, by name."""
    names, leaves = column_names(hierarchy), len(hierarchy.codes)
    place = {name: column for column, name in enumerate(names)}
    if not codes:
        ranked = [names[column] for column in range(leaves) if table.people[column] >= ELIGIBLE]
        return {name: place[name] for name in (*ranked, *BUCKETS)}
    for code in codes:
        if code not in place:
            alike = get_close_matches(code, names, n=1)
            hint = f"; did you mean '{alike[0]}'?" if alike else ""
            raise InputError(f"no scored response mentions the code '{code}'{hint}")
        if code not in BUCKETS and table.people[place[code]] < SHOWN:
            raise InputError(f"the code '{code}' is mentioned by fewer than {SHOWN} people")
    return {code: place[code] for code in codes}


def _point(table: PeriodTable, period: int, column: int, mixed: bool) -> TrendPoint:
    """Give a figure, or why there is none."""
    mean, mentions = float(table.means[period, column]), int(table.mentions[period, column])
    if mixed or math.isnan(mean):
        return TrendPoint(None, None, None, None, mentions, "mixed_versions" if mixed else "no_responses")
    low, high = float(table.low[period, column]), float(table.high[period, column])
    if math.isnan(low):
        return TrendPoint(mean, None, None, None, mentions, "one_respondent")
    return TrendPoint(mean, low, high, float(table.errors[period, column]), mentions, None)


def _periods(
    responses: ScoredResponses,
    kept: Ints,
    calendar: _Calendar,
    versions: Sequence[tuple[str, ...]],
    level: float,
) -> list[Period]:
    found = []
    for place, start in enumerate(calendar.starts):
        rows = kept[calendar.period[kept] == place]
        sums = LossSums.of(
            responses.scale, responses.loss[rows], responses.weight[rows], responses.respondent[rows]
        )
        metric = measure(responses.scale, sums, level)
        end = last_day(start, calendar.by).isoformat()
        counts = metric.n, metric.respondents
        found.append(
            Period(start.isoformat(), end, calendar.partial[place], *counts, versions[place], metric)
        )
    return found


def _notes(provenance: Provenance, periods: Sequence[Period], by: Unit) -> list[str]:
    notes = [
        "Each interval is of its point alone: of twenty points, one misses its interval by chance.",
        "Points are by the model's codes, not corrected for its errors.",
    ]
    if provenance.undated:
        notes.append(f"{provenance.undated:,} responses have no time and are left out.")
    for period in {periods[0].start: periods[0], periods[-1].start: periods[-1]}.values():
        if period.partial:
            notes.append(f"The {by} of {period.start} is not whole in the data.")
    mixed = [period.start for period in periods if len(period.versions) > 1]
    if mixed:
        notes.append(
            f"Two models tagged the {by} of {', '.join(mixed[:5])}{' and others' if len(mixed) > 5 else ''}; "
            "tag the responses anew with one model."
        )
    told: tuple[str, ...] | None = None
    for period in periods:
        if told is not None and period.versions and period.versions != told:
            notes.append(
                f"From {period.start} on the tags are by {' and '.join(period.versions)}, before by "
                f"{' and '.join(told)}: a change there may be the model's."
            )
        told = period.versions or told
    return notes
