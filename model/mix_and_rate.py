"""What of a change comes from who answered (mix), and what from how each kind of respondent answered (rate).

With the share ``omega_g`` of a segment's value g and the mean loss ``mu_g`` in it, the change of
``100 - metric`` between two groups is, exactly,

    sum_g d(omega_g) * mean(mu_g)   +   sum_g mean(omega_g) * d(mu_g)
    mix                                 rate

where d is the difference between the groups and mean their average (Kitagawa 1955). A value that only one
group has counts with the mean loss that it has there, so all of it is mix.

References
----------
Kitagawa, E. (1955). Components of a difference between two rates. JASA 50(272).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.special import stdtrit

from data.errors import InputError
from model.comparison import Comparison
from model.contributions import ELIGIBLE
from model.explained_change import Part
from model.group_sums import counts_by
from model.hierarchy import Hierarchy
from model.loss_shares import column_names
from model.person_sums import PersonSums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_VALUES = 200
"""Values that a segment may have; with more, most of their shares and means are noise."""


@dataclass(frozen=True)
class ValueParts:
    """What a segment's value adds to mix and to rate.

    Attributes
    ----------
    value
        The segment's value; ``""`` for responses without one.
    responses_before, responses_after, respondents_before, respondents_after
        Counts in either group.
    share_before, share_after
        The value's weighted share of the group, from 0 to 1.
    lost_before, lost_after
        Points lost per response with the value; None where a group has none.
    mix
        ``d(omega_g) * (mean(mu_g) - m)``, m being the average of the two groups' means: above 0 where a
        value that loses more than average grew, or one that loses less shrank. As the shares sum to 1 in
        both groups, m changes the single values and not their sum.
    rate
        ``mean(omega_g) * d(mu_g)``.
    """

    value: str
    responses_before: int
    responses_after: int
    respondents_before: int
    respondents_after: int
    share_before: float
    share_after: float
    lost_before: float | None
    lost_after: float | None
    mix: Part
    rate: Part


@dataclass(frozen=True)
class MixAndRate:
    """A change of points lost as mix and rate over a segment.

    Attributes
    ----------
    segment
        The segment.
    cause
        The code, bucket or parent whose points these are; None for all, ``100 - metric``.
    change
        The change of the points lost.
    mix, rate
        Its two parts.
    values
        What each of the segment's values adds, sorted by value.
    total_check
        Mix and rate less the change: 0 up to rounding error.
    notes
        Sentences that belong beside the figures.
    """

    segment: str
    cause: str | None
    change: float
    mix: Part
    rate: Part
    values: tuple[ValueParts, ...]
    total_check: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        found = asdict(self)
        return found | {"values": list(found["values"]), "notes": list(self.notes)}


def mix_and_rate(
    comparison: Comparison, segment: str, *, cause: str | None = None, level: float = 0.95
) -> MixAndRate:
    """Split the change between two groups into mix and rate.

    Intervals are linearised (the delta method) and clustered by respondent: shares and means are both
    estimated, and people who answered in both groups are allowed for.

    Parameters
    ----------
    comparison
        The two groups.
    segment
        Over whose values to split.
    cause
        A code, a parent or a bucket, to split its points lost alone; by default those of all causes,
        ``100 - metric``.
    level
        The confidence level, between 0 and 1.

    Raises
    ------
    InputError
        If there is no such segment or cause, or the segment has more than `MOST_VALUES` values.
    """
    if cause is None:
        return _split(_Cells.of(comparison, segment), comparison.loss, None, level)
    return mix_and_rate_of_causes(comparison, segment, [cause], level=level)[cause]


def mix_and_rate_of_causes(
    comparison: Comparison, segment: str, causes: Sequence[str], *, level: float = 0.95
) -> dict[str, MixAndRate]:
    """Split the change of each of some causes, as `mix_and_rate` does; by cause, in their order."""
    cells = _Cells.of(comparison, segment)
    hierarchy = Hierarchy.of(comparison.responses.codes)
    # A parent that is itself tagged stands twice; the later one holds itself and all below it.
    place = {name: column for column, name in enumerate(column_names(hierarchy))}
    for cause in causes:
        if cause not in place:
            raise InputError(f"no response mentions the code '{cause}'")
    values = csc_array(comparison.contributions(hierarchy))
    return {
        cause: _split(cells, np.asarray(values[:, [place[cause]]].toarray()).ravel(), cause, level)
        for cause in causes
    }


@dataclass(frozen=True, eq=False)
class _Cells:
    """The responses of a comparison by the segment's value."""

    comparison: Comparison
    segment: str
    names: list[str]
    level: Ints

    @classmethod
    def of(cls, comparison: Comparison, segment: str) -> _Cells:
        segments = comparison.responses.segments
        if segment not in segments:
            known = ", ".join(f"'{name}'" for name in segments) or "none"
            raise InputError(f"there is no segment '{segment}'; the segments are: {known}")
        held = segments[segment][comparison.kept]
        names = sorted(set(held))
        if len(names) > MOST_VALUES:
            raise InputError(
                f"'{segment}' has {len(names)} values; mix and rate are told apart over at most {MOST_VALUES}"
            )
        place = {name: position for position, name in enumerate(names)}
        return cls(comparison, segment, names, np.array([place[value] for value in held], dtype=np.int64))

    def counts(self) -> tuple[Ints, Ints]:
        """Count responses and respondents, shape (2, values) each."""
        side, person, size = self.comparison.side, self.comparison.person, 2 * len(self.names)
        cell = side * len(self.names) + self.level
        people = int(person.max()) + 1
        distinct = np.unique(cell * people + person) // people
        return counts_by(cell, size).reshape(2, -1), counts_by(distinct, size).reshape(2, -1)

    def sums(self, value: Floats) -> PersonSums:
        """Sum weights and weighted values by group and segment value, ``(group, value, which)`` flat."""
        weight, n = self.comparison.weight, self.level.size
        first = 2 * (self.comparison.side * len(self.names) + self.level)
        data = np.concatenate([weight, weight * value])
        where = np.tile(np.arange(n), 2), np.concatenate([first, first + 1])
        return PersonSums.of(self.comparison.person, csr_array((data, where), shape=(n, 4 * len(self.names))))


def _split(cells: _Cells, value: Floats, cause: str | None, level: float) -> MixAndRate:
    comparison, k = cells.comparison, len(cells.names)
    sums = cells.sums(value)
    model = _Kitagawa.of(sums.totals.reshape(2, k, 2))
    people = np.repeat(comparison.people, 2 * k)
    covariance = sums.covariance(model.derivatives, people)
    errors = np.sqrt(np.diag(covariance))
    reach = _quantiles(sums, k, level) * errors
    parts = [Part.of(*figures) for figures in zip(model.points.tolist(), reach, errors, strict=True)]
    responses, respondents = cells.counts()
    values = []
    for g, name in enumerate(cells.names):
        lost = [float(model.mean[side, g]) if responses[side, g] else None for side in (0, 1)]
        values.append(
            ValueParts(
                value=name,
                responses_before=int(responses[0, g]),
                responses_after=int(responses[1, g]),
                respondents_before=int(respondents[0, g]),
                respondents_after=int(respondents[1, g]),
                share_before=float(model.share[0, g]),
                share_after=float(model.share[1, g]),
                lost_before=lost[0],
                lost_after=lost[1],
                mix=parts[g],
                rate=parts[k + g],
            )
        )
    mix, rate = parts[2 * k :]
    return MixAndRate(
        segment=cells.segment,
        cause=cause,
        change=model.change,
        mix=mix,
        rate=rate,
        values=tuple(values),
        total_check=mix.points + rate.points - model.change,
        notes=tuple(_notes(cells, respondents)),
    )


def _quantiles(sums: PersonSums, k: int, level: float) -> Floats:
    """Give Student's quantile of each part, in the order of `_Kitagawa.points`, shape (2 k + 2,).

    The degrees of freedom are the respondents of the smaller group, of the value or in all, that equally
    weighted ones would match (Kish), less 1.
    """
    weight = np.arange(0, 4 * k, 2).reshape(2, k)
    squares = sums.products[np.ix_(weight.ravel(), weight.ravel())].reshape(2, k, 2, k)
    own = np.stack([np.diag(squares[side, :, side]) for side in (0, 1)])
    held = sums.totals[weight]
    of_value = np.where(own > 0, held**2 / np.where(own > 0, own, 1.0), np.inf).min(axis=0)
    of_group = min(float(held[side].sum() ** 2 / squares[side, :, side].sum()) for side in (0, 1))
    behind = np.concatenate([np.minimum(np.tile(of_value, 2), of_group), [of_group, of_group]])
    quantiles: Floats = stdtrit(np.maximum(1.0, behind - 1.0), 0.5 + level / 2)
    return quantiles


@dataclass(frozen=True, eq=False)
class _Kitagawa:
    """The decomposition and its derivatives by the sums.

    `points` holds the mix of each value, their rates, the whole mix and the whole rate, shape (2 k + 2,);
    `derivatives` has shape (2 k + 2, 4 k); `share` and `mean` (in points) have shape (2, k).
    """

    points: Floats
    derivatives: Floats
    share: Floats
    mean: Floats
    change: float

    @classmethod
    def of(cls, totals: Floats) -> _Kitagawa:
        """Decompose the sums (weight, weighted value), shape (2, k, 2)."""
        k = totals.shape[1]
        weight, value = totals[:, :, 0], totals[:, :, 1]
        whole, empty = weight.sum(axis=1), weight <= 0
        share, safe = weight / whole[:, None], np.where(empty, 1.0, weight)
        mean, middle = 100.0 * value / safe, 100.0 * value.sum(axis=1) / whole
        d_share, d_mean = np.zeros((2, k, 2, k, 2)), np.zeros((2, k, 2, k, 2))
        d_middle = np.zeros((2, 2, k, 2))
        level = np.arange(k)
        for side in (0, 1):
            d_share[side, :, side, :, 0] = (np.eye(k) - share[side][:, None]) / whole[side]
            d_mean[side, level, side, level, 0] = -mean[side] / safe[side]
            d_mean[side, level, side, level, 1] = 100.0 / safe[side]
            d_middle[side, side, :, 0] = -middle[side] / whole[side]
            d_middle[side, side, :, 1] = 100.0 / whole[side]
        for side in (0, 1):  # where one group lacks a value, it takes the other's mean
            mean[side, empty[side]] = mean[1 - side, empty[side]]
            d_mean[side, empty[side]] = d_mean[1 - side, empty[side]]

        def by(factor: Floats, derivative: Floats) -> Floats:
            return factor[:, None, None, None] * derivative

        grown, worse = share[1] - share[0], mean[1] - mean[0]
        above = mean.mean(axis=0) - middle.mean()
        d_above = d_mean.mean(axis=0) - d_middle.mean(axis=0)
        d_mix = by(above, d_share[1] - d_share[0]) + by(grown, d_above)
        d_rate = by(worse, d_share.mean(axis=0)) + by(share.mean(axis=0), d_mean[1] - d_mean[0])
        mix, rate = grown * above, share.mean(axis=0) * worse
        return cls(
            points=np.concatenate([mix, rate, [math.fsum(mix), math.fsum(rate)]]),
            derivatives=np.concatenate(
                [d_mix, d_rate, d_mix.sum(axis=0)[None], d_rate.sum(axis=0)[None]]
            ).reshape(2 * k + 2, 4 * k),
            share=share,
            mean=mean,
            change=float(middle[1] - middle[0]),
        )


def _notes(cells: _Cells, respondents: Ints) -> list[str]:
    notes = []
    few = int(((respondents < ELIGIBLE) & (respondents.sum(axis=0) > 0)).any(axis=0).sum())
    if few:
        notes.append(
            f"{few} of the {len(cells.names)} values of '{cells.segment}' have fewer than {ELIGIBLE} "
            "respondents in a group; the intervals of their parts are too narrow."
        )
    if "" in cells.names:
        notes.append(f"Responses without '{cells.segment}' count as a value of their own.")
    return notes
