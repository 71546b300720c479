"""Changes over the weeks in what a cause is associated with: spikes, steps and trends.

References
----------
Chen, J. & Chen, Z. (2008). Extended Bayesian information criteria for model selection with large model
spaces. Biometrika 95(3).
Besag, J. & Clifford, P. (1991). Sequential Monte Carlo p-values. Biometrika 78(2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model.contrasts import LEVEL, Design, Partition, Size, gap, normal_scores, slope
from model.contributions import SHOWN, Contributions
from model.false_discovery import level_when_picked, q_values
from model.group_sums import counts_by
from model.mentions import ScoredResponses
from model.periods import WEEK

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Shape = Literal["spike", "step", "trend"]

SHORTEST, LONGEST = 2, 8
"""Weeks that a spike lasts."""

EDGE = 2
"""Weeks with responses before and after a spike, and on either side of a step."""

FEWEST_WEEKS = 6
"""Weeks with responses below which no change is looked for: the least that can hold a spike."""

MOST_WEEKS = 156
"""Only the last three years are searched, which bounds the number of windows."""

FEWEST_RESPONSES = 20
"""In a spike, and on either side of a step."""

WEIGHTS, VALUES = 8, 8
"""Groups of weights, and of weighted contributions in each, that the simulation tells apart."""

DRAWS, CHUNK, ENOUGH = 10_000, 500, 100
"""Simulated series at most, at a time, and how many beyond the data's own are enough to stop."""


@dataclass(frozen=True)
class Change:
    """A change over the weeks in the points lost that are associated with a code.

    Attributes
    ----------
    code
        The code.
    shape
        ``spike``: another level in 2 to 8 consecutive weeks, the old one before and after. ``step``: another
        level from one week on. ``trend``: a straight line over all weeks.
    direction
        ``worse`` where more is lost, ``better`` where less is.
    start_week, end_week
        Mondays, such as ``2026-04-06``, of the first and the last week; the end is None where it lasts
        (step, trend).
    points, low, high, se
        Spike: inside minus outside. Step: after minus before. Trend: the last minus the first week, as
        fitted. In points, with the interval and the standard error, clustered by respondent; as if the
        weeks had been known beforehand, but as much wider as it takes for 95% of the flagged codes' to
        hold, picked as they are (`model.false_discovery.level_when_picked`).
    p_value, q_value
        Of no change at all, the search over shapes and weeks taken into account; and the least false
        discovery rate over the codes at which it is flagged.
    sentence
        The finding in words.
    """

    code: str
    shape: Shape
    direction: Literal["worse", "better"]
    start_week: str
    end_week: str | None
    points: float
    low: float
    high: float
    se: float
    p_value: float
    q_value: float
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


def find_changes(responses: ScoredResponses, *, q: float = 0.10, seed: int = 0) -> list[Change]:
    """Find the change over the weeks of every code with at least ten respondents; one for each code.

    Each spike, step and trend is fitted to the weekly mean contributions by least squares, weighted with the
    responses' weights. A fit's worth is the fall of the weighted sum of squares in units of its variance
    by chance (a squared standard normal score, see `model.contrasts`) less twice the logarithm of the number
    of fits of its shape, the price that the extended Bayesian information criterion (Chen & Chen 2008) sets
    on having searched. The greatest worth chooses the shape and its weeks, and is itself the test statistic:
    its p-value is the share of simulated series without any change that reach it. In these each mention
    falls into a week at random, in proportion to the weeks' responses of about its weight, so that weekly
    sums are as skew as those of the data. The simulation stops early where many series reach it (Besag &
    Clifford 1991).

    No change means one level over all weeks, to which only sampling adds; weeks that differ for any reason
    count against it. A change with fewer than five people behind its higher level enters as p = 1.

    Parameters
    ----------
    responses
        All scored responses, with the segment ``week`` as `model.periods` gives it; those without are left
        out.
    q
        The false discovery rate over the codes (Benjamini & Hochberg 1995), between 0 and 1.
    seed
        Of the simulation; the same data give the same answer.

    Returns
    -------
    list of Change
        From the largest change to the smallest, in either direction; ties by code.
    """
    weeks = Weeks.of(responses)
    if weeks.found < FEWEST_WEEKS:
        return []
    contributions = Contributions.of(responses, weeks.number >= 0)
    if not contributions.codes:
        return []
    series = _Series.of(weeks, contributions)
    if not series.shapes:
        return []
    changes = _flagged(contributions, series, seed, q)
    return sorted(changes, key=lambda change: (-round(abs(change.points), 9), change.code))


def _flagged(contributions: Contributions, series: _Series, seed: int, q: float) -> list[Change]:
    """Give the best fit of every code that is flagged."""
    worth = series.design.scores(contributions, series.partition) ** 2 - series.price
    best = worth.argmax(axis=1).tolist()
    p_values = [
        series.p_value(contributions, code, float(worth[code, fit]), seed)
        if _measure(contributions, series, code, fit)[1]
        else 1.0
        for code, fit in enumerate(best)
    ]
    rates = q_values(p_values)
    flagged = np.flatnonzero(rates <= q).tolist()
    level = level_when_picked(len(flagged), len(best))
    found = []
    for code in flagged:
        size, _ = _measure(contributions, series, code, best[code], level)
        found.append(
            _change(contributions.codes[code], series, best[code], size, p_values[code], float(rates[code]))
        )
    return found


@dataclass(frozen=True, eq=False)
class Weeks:
    """The calendar weeks of responses.

    Attributes
    ----------
    number
        Of each scored response, shape (n,): weeks since the first one; -1 where it has no week, or lies
        before the last `MOST_WEEKS`.
    first
        The Monday of week 0; None without any week.
    found
        Weeks with responses of weight above 0.
    undated, too_old
        Responses without a week, and before the last `MOST_WEEKS`.
    """

    number: Ints
    first: date | None
    found: int
    undated: int
    too_old: int

    @classmethod
    def of(cls, responses: ScoredResponses) -> Weeks:
        """Read the segment ``week``."""
        values = responses.segments.get(WEEK)
        if values is None:
            return cls(np.full(responses.n, -1, dtype=np.int64), None, 0, responses.n, 0)
        mondays = {value: _monday(value) for value in set(values)}
        number = np.array([mondays[value] for value in values], dtype=np.int64)
        dated = number >= 0
        if not dated.any():
            return cls(number, None, 0, responses.n, 0)
        first = max(int(number[dated].min()), int(number.max()) - MOST_WEEKS + 1)
        too_old = int((dated & (number < first)).sum())
        number = np.where(number >= first, number - first, -1)
        found = np.unique(number[(number >= 0) & (responses.weight > 0)]).size
        monday = date.fromordinal(1 + 7 * first)
        return cls(number, monday, int(found), int((~dated).sum()), too_old)


def _monday(value: str) -> int:
    """Give the week's number since Monday 1 January of year 1; -1 where the value is no date."""
    try:
        return (date.fromisoformat(value).toordinal() - 1) // 7
    except ValueError:
        return -1


@dataclass(frozen=True, eq=False)
class _Series:
    """The weeks with responses, and every fit over them.

    `shapes`, `first` and `last` (positions among the weeks with responses) and `price` are those of each fit.
    """

    monday: list[date]
    partition: Partition
    shapes: list[Shape]
    first: list[int]
    last: list[int]
    design: Design
    price: Floats

    @classmethod
    def of(cls, weeks: Weeks, contributions: Contributions) -> _Series:
        numbers, level = np.unique(weeks.number[contributions.kept], return_inverse=True)
        assert weeks.first is not None
        monday = [weeks.first + timedelta(weeks=int(number)) for number in numbers]
        names = [day.isoformat() for day in monday]
        partition = Partition.of(names, level, contributions.weight, contributions.person)
        fits = [*_spikes(numbers, partition.counts), *_steps(partition.counts)]
        if numbers.size >= FEWEST_WEEKS:
            fits.append(("trend", 0, numbers.size - 1))
        shapes: list[Shape] = [shape for shape, _, _ in fits]
        rows = np.zeros((len(fits), numbers.size))
        for row, (shape, start, end) in zip(rows, fits, strict=True):
            row[start : end + 1] = numbers - numbers[0] if shape == "trend" else 1.0
        price = np.array([2.0 * np.log(shapes.count(shape)) for shape in shapes])
        first, last = [fit[1] for fit in fits], [fit[2] for fit in fits]
        return cls(monday, partition, shapes, first, last, Design.of(rows, partition), price)

    def p_value(self, contributions: Contributions, code: int, worth: float, seed: int) -> float:
        """Give the share of series without a change whose greatest worth reaches the given one."""
        moments, weights = contributions.moments, self.partition.weights
        law = self.law(contributions, code)
        # Mentions fall with replacement, so the variance is that about 0, not about the mean.
        raw = sum(size**2 * count for size, count, _ in law) / weights[1].sum()
        spread = np.sqrt(raw * self.design.squares)
        skewness = float(moments.third[code] / moments.variance[code] ** 1.5)
        skew = skewness * self.design.cubes / self.design.squares**1.5
        generator = np.random.default_rng(seed)
        reached = drawn = 0
        while drawn < DRAWS and reached < ENOUGH:
            sums = np.zeros((CHUNK, weights.shape[1]))
            for size, count, share in law:
                sums += size * generator.multinomial(count, share, size=CHUNK)
            scores = normal_scores(sums @ self.design.contrasts.T / spread, skew)
            reached += int(((scores**2 - self.price).max(axis=1) >= worth).sum())
            drawn += CHUNK
        return (reached + 1) / (drawn + 1)

    def law(self, contributions: Contributions, code: int) -> list[tuple[float, int, Floats]]:
        """Give how a code's mentions fall into weeks by chance.

        A mention may fall wherever responses of about its weight are, so heavy responses stay where they are.

        Returns
        -------
        list of tuples
            A weighted contribution, how many mentions have it, and the weeks' shares, shape (weeks,).
        """
        weight = contributions.weight
        order = np.argsort(weight, kind="stable")
        mass = np.cumsum(weight[order] ** 2)
        group = np.empty(weight.size, dtype=np.int64)
        group[order] = np.minimum(mass / mass[-1] * WEIGHTS, WEIGHTS - 1)
        if weight.min() == weight.max():
            group[:] = 0
        row, value = contributions.of_code(code)
        found = []
        for held in np.unique(group[row]):
            counts = counts_by(self.partition.level[group == held], len(self.monday))
            mentions = row[group[row] == held], value[group[row] == held]
            for size, count in _in_groups(weight[mentions[0]] * mentions[1]):
                found.append((size, count, counts / counts.sum()))
        return found


def _in_groups(values: Floats) -> list[tuple[float, int]]:
    """Give distinct values and how often each occurs; of many, neighbours share one of the same variance."""
    sizes, times = np.unique(values, return_counts=True)
    if sizes.size <= VALUES:
        return list(zip(sizes.tolist(), times.tolist(), strict=True))
    return [(float(np.mean(part**2)) ** 0.5, part.size) for part in np.array_split(np.sort(values), VALUES)]


def _spikes(numbers: Ints, counts: Ints) -> Iterator[tuple[Shape, int, int]]:
    """Give every window of a spike, from its first to its last week with responses."""
    for first in range(EDGE, numbers.size - EDGE):
        for last in range(first + 1, numbers.size - EDGE):
            length = int(numbers[last] - numbers[first]) + 1
            if SHORTEST <= length <= LONGEST and counts[first : last + 1].sum() >= FEWEST_RESPONSES:
                yield "spike", first, last


def _steps(counts: Ints) -> Iterator[tuple[Shape, int, int]]:
    """Give every step, from its first week to the last of all."""
    for first in range(EDGE, counts.size - EDGE + 1):
        if min(counts[:first].sum(), counts[first:].sum()) >= FEWEST_RESPONSES:
            yield "step", first, counts.size - 1


def _measure(
    contributions: Contributions, series: _Series, code: int, fit: int, confidence: float = LEVEL
) -> tuple[Size, bool]:
    """Give the size of a fit, and whether enough people are behind it to show it."""
    level, first, last = series.partition.level, series.first[fit], series.last[fit]
    if series.shapes[fit] == "trend":
        weeks = np.array([(day - series.monday[0]).days / 7 for day in series.monday])
        return slope(contributions, code, weeks[level], float(weeks[-1]), confidence), True
    found = gap(contributions, code, (level >= first) & (level <= last), confidence)
    people = found.respondents if found.size.points > 0 else found.respondents_outside
    return found.size, people >= SHOWN and bool(np.isfinite([found.size.low, found.size.high]).all())


def _change(code: str, series: _Series, fit: int, size: Size, p_value: float, q_value: float) -> Change:
    shape = series.shapes[fit]
    start, end = series.monday[series.first[fit]], series.monday[series.last[fit]]
    worse = size.points > 0
    low, high = (size.low, size.high) if worse else (-size.high, -size.low)
    until = end + timedelta(days=6)
    when = {
        "spike": f"from {start} to {until}",
        "step": f"since {start}",
        "trend": f"little by little from the week of {start} to that of {end}",
    }[shape]
    return Change(
        code=code,
        shape=shape,
        direction="worse" if worse else "better",
        start_week=start.isoformat(),
        end_week=end.isoformat() if shape == "spike" else None,
        points=size.points,
        low=size.low,
        high=size.high,
        se=size.se,
        p_value=p_value,
        q_value=q_value,
        sentence=f"{code} {'up' if worse else 'down'} {abs(size.points):.1f} points "
        f"[{low:.1f}, {high:.1f}] {when}",
    )
