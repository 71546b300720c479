"""Hotspots: segment values in which a cause is associated with more points lost than elsewhere.

References
----------
Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate. JRSS B 57(1).
Mantel, N. & Haenszel, W. (1959). Statistical aspects of the analysis of data from retrospective
studies of disease. JNCI 22(4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.contrasts import Design, Partition, gap, stratified_score, two_sided_p
from model.contributions import ELIGIBLE, SHOWN, Contributions, power_sums
from model.false_discovery import Method, level_when_picked, q_values
from model.group_sums import counts_by, sums_by
from model.mentions import ScoredResponses
from model.periods import MONTH, WEEK

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MOST_VALUES = 50
"""A segment with more values is not searched."""

ENOUGH_RESPONSES = 50
"""Responses in a segment's value from which on it is tested even where few of them mention the code."""

UNTESTED = float("-inf")


@dataclass(frozen=True)
class Hotspot:
    """A segment's value in which a cause is associated with more points lost than in all other responses.

    Attributes
    ----------
    code, segment, value
        Where it is.
    points, low, high, se
        Points lost inside minus outside, with the interval and the standard error, clustered by respondent.
        The interval is as much wider as it takes for 95% of the flagged ones' to hold, picked as they are
        (`model.false_discovery.level_when_picked`). Each is measured over all other responses, whatever
        other hotspots the code has.
    inside, outside
        Points lost to the code in the value and in all other responses.
    responses, respondents
        Responses with the value, and the distinct people among them who mention the code.
    p_value, q_value
        Two-sided, the greatest over the tests that the hotspot passed; and the least false discovery
        rate at which it is flagged.
    sentence
        The finding in words.
    """

    code: str
    segment: str
    value: str
    points: float
    low: float
    high: float
    se: float
    inside: float
    outside: float
    responses: int
    respondents: int
    p_value: float
    q_value: float
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


def find_hotspots(responses: ScoredResponses, *, q: float = 0.10, method: Method = "bh") -> list[Hotspot]:
    """Find the hotspots of every code with at least ten respondents.

    Tested is each value of each segment (see `segments_to_search`) where ten respondents mention the code
    or that has fifty responses; blank values are not tested, but count among "all other responses". The
    test is that of `model.contrasts`, two-sided. A value in which less is lost enters as p = 1, so that it
    never makes it easier for others to be flagged; so do a value with fewer than five respondents behind
    it, and one with too few mentions to be tested, since only the data tell that they are few.

    A hotspot of one segment shows in every segment that goes with it: where Broadband is mostly in Setup, a
    trouble of Setup shows in Broadband. So of the values that pass at first, each code keeps the one with
    the strongest evidence; the others are tested again within the kept value and within the rest, added up
    as by Mantel & Haenszel, and what does not pass the first cut again is dropped. Of those left the
    strongest is kept in turn, and the remaining ones are tested within all combinations of the kept ones.
    The p-value of each is the greatest that it had, and the false discovery rate is taken over all tests
    with these.

    Parameters
    ----------
    responses
        All scored responses.
    q
        The false discovery rate, between 0 and 1.
    method
        ``bh``, or ``by`` for any dependence between the tests.

    Returns
    -------
    list of Hotspot
        From most to least points; ties by code, segment and value.
    """
    contributions = Contributions.of(responses)
    names, _ = segments_to_search(responses)
    if not contributions.codes or not names:
        return []
    partitions = {name: _partition(responses.segments[name], contributions) for name in names}
    tests = _Tests.of(contributions, partitions)
    if not tests.score.size:
        return []
    score = _without_the_implied(tests, contributions, partitions, q, method)
    p_values = _hot_p(score)
    rates = q_values(p_values, method)
    flagged = np.flatnonzero((rates <= q) & (score > 0)).tolist()
    level = level_when_picked(len(flagged), tests.score.size)
    found = [
        _hotspot(contributions, partitions, tests, test, (float(p_values[test]), float(rates[test])), level)
        for test in flagged
    ]
    return sorted(found, key=lambda spot: (-round(spot.points, 9), spot.code, spot.segment, spot.value))


def segments_to_search(responses: ScoredResponses) -> tuple[list[str], list[str]]:
    """Tell which segments can hold hotspots.

    Returns
    -------
    tuple of two lists of str
        The segments to search, sorted; and those left out because they have more than `MOST_VALUES` values
        or are a measure (numbers, more than half of them distinct). Weeks and months are in neither.
    """
    names = sorted(name for name in responses.segments if name not in (WEEK, MONTH))
    left_out = [name for name in names if not _is_searchable(responses.segments[name])]
    return [name for name in names if name not in left_out], left_out


def _is_searchable(values: NDArray[np.object_]) -> bool:
    distinct: set[str] = set()
    for value in values:
        if value != "":
            distinct.add(value)
        if len(distinct) > MOST_VALUES:
            return False
    filled = int((values != "").sum())
    return 2 * len(distinct) <= filled or not all(map(_is_number, distinct))


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _partition(values: NDArray[np.object_], contributions: Contributions) -> Partition:
    """Divide the counted responses by a segment's values, sorted."""
    held = values[contributions.kept]
    names = sorted(set(held))
    position = {name: place for place, name in enumerate(names)}
    level = np.array([position[value] for value in held], dtype=np.int64)
    return Partition.of(names, level, contributions.weight, contributions.person)


@dataclass(frozen=True, eq=False)
class _Tests:
    """Every test of a code in a segment's value.

    `code` and `level` are positions, `segment` names; `score` is standard normal without a hotspot,
    `UNTESTED` where fewer than `SHOWN` people are behind it; `inflation` as `Design.inflation` gives it.
    """

    code: Ints
    segment: NDArray[np.object_]
    level: Ints
    score: Floats
    inflation: Floats

    @classmethod
    def of(cls, contributions: Contributions, partitions: Mapping[str, Partition]) -> _Tests:
        parts = [cls._in_segment(contributions, name, part) for name, part in partitions.items()]
        columns = zip(*parts, strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    @staticmethod
    def _in_segment(
        contributions: Contributions, name: str, partition: Partition
    ) -> tuple[Ints, NDArray[np.object_], Ints, Floats, Floats]:
        people = _mentioning(contributions, partition)
        outside = partition.counts.sum() - partition.counts
        levels = np.flatnonzero(
            (np.array([value != "" for value in partition.names], dtype=np.bool_))
            & (partition.people >= ELIGIBLE)
            & (partition.people_outside >= ELIGIBLE)
            & (outside > 0)
        )
        design = Design.of(np.eye(len(partition.names))[levels], partition)
        people = people[:, levels]
        score = design.scores(contributions, partition)
        tested = (people >= ELIGIBLE) | (partition.counts[levels] >= ENOUGH_RESPONSES)
        score[~tested | (people < SHOWN)] = UNTESTED
        code, column = (places.ravel() for places in np.indices(score.shape))
        segment = np.full(code.size, name, dtype=object)
        inflation = design.inflation(contributions)
        return code, segment, levels[column], score[code, column], inflation[code, column]


def _mentioning(contributions: Contributions, partition: Partition) -> Ints:
    """Count the distinct people who mention each code in each level, shape (codes, levels)."""
    levels, people = len(partition.names), int(contributions.person.max()) + 1
    cell = contributions.code * levels + partition.level[contributions.row]
    pairs = np.unique(cell * people + contributions.person[contributions.row])
    size = len(contributions.codes) * levels
    return counts_by(pairs // people, size).reshape(-1, levels)


def _hot_p(score: Floats) -> Floats:
    return np.where(score > 0, two_sided_p(score), 1.0)


def _without_the_implied(
    tests: _Tests,
    contributions: Contributions,
    partitions: Mapping[str, Partition],
    q: float,
    method: Method,
) -> Floats:
    """Give the scores, lowered to the least that each candidate has beside its code's stronger hotspots."""
    score = tests.score.copy()
    passed = q_values(_hot_p(score), method) <= q
    passed &= score > 0
    if not passed.any():
        return score
    least = score[passed].min()
    cells = _Cells.of(contributions, partitions)
    for code in np.unique(tests.code[passed]):
        sums: Floats | None = None
        remaining = np.flatnonzero(passed & (tests.code == code))
        kept: list[int] = []
        while remaining.size:
            strongest = int(remaining[np.argmax(score[remaining])])
            kept.append(strongest)
            remaining = remaining[remaining != strongest]
            if not remaining.size:
                break
            sums = cells.sums(contributions, int(code)) if sums is None else sums
            stratum = cells.strata(tests, kept)
            for test in remaining.tolist():
                again = stratified_score(
                    stratum, cells.inside(tests, test), cells.weights, sums, float(tests.inflation[test])
                )
                score[test] = min(score[test], again)
            remaining = remaining[score[remaining] >= least]
    return score


@dataclass(frozen=True, eq=False)
class _Cells:
    """The responses by their combination of all segments' values.

    `cell` holds each response's position, `levels` each segment's level in each cell.
    """

    cell: Ints
    levels: Mapping[str, Ints]
    weights: Floats

    @classmethod
    def of(cls, contributions: Contributions, partitions: Mapping[str, Partition]) -> _Cells:
        cell = np.zeros(contributions.weight.size, dtype=np.int64)
        first: Ints = cell
        for partition in partitions.values():
            joint = cell * len(partition.names) + partition.level
            _, first, cell = np.unique(joint, return_index=True, return_inverse=True)
        powers = (contributions.weight**power for power in (1, 2, 3))
        weights = np.stack([sums_by(cell, power, first.size) for power in powers])
        return cls(cell, {name: part.level[first] for name, part in partitions.items()}, weights)

    def sums(self, contributions: Contributions, code: int) -> Floats:
        """Give a code's power sums, shape (6, cells)."""
        row, value = contributions.of_code(code)
        return power_sums(contributions.weight[row], value, self.cell[row], self.weights.shape[1])

    def inside(self, tests: _Tests, test: int) -> Bools:
        """Tell which cells lie in the value that is tested."""
        inside: Bools = self.levels[tests.segment[test]] == tests.level[test]
        return inside

    def strata(self, tests: _Tests, kept: Iterable[int]) -> Ints:
        """Give each cell's position among the combinations of the kept hotspots."""
        stratum = np.zeros(self.weights.shape[1], dtype=np.int64)
        for test in kept:
            _, stratum = np.unique(2 * stratum + self.inside(tests, test), return_inverse=True)
        return stratum


def _hotspot(
    contributions: Contributions,
    partitions: Mapping[str, Partition],
    tests: _Tests,
    test: int,
    rates: tuple[float, float],
    level: float,
) -> Hotspot:
    """Measure a flagged test; `rates` are its p-value and its q-value."""
    code, segment = int(tests.code[test]), str(tests.segment[test])
    partition, place = partitions[segment], int(tests.level[test])
    found = gap(contributions, code, partition.level == place, level)
    name, value, size = contributions.codes[code], partition.names[place], found.size
    return Hotspot(
        code=name,
        segment=segment,
        value=value,
        points=size.points,
        low=size.low,
        high=size.high,
        se=size.se,
        inside=found.inside,
        outside=found.outside,
        responses=found.responses,
        respondents=found.respondents,
        p_value=rates[0],
        q_value=rates[1],
        sentence=f"{segment} {value} is associated with {size.points:.1f} more points lost to {name} "
        f"[{size.low:.1f}, {size.high:.1f}] than all other responses",
    )
