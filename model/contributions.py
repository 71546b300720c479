"""Contributions to points lost, mention by mention, and what a test against chance needs of them.

A response with loss ``l`` that mentions the codes ``T`` contributes ``l / |T|`` to each of them and 0 to
every other code (`model.points_lost`). Only mentions are held, so memory grows with their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.group_sums import counts_by, sums_by
from model.mentions import ScoredResponses
from model.points_lost import ROUNDING

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ELIGIBLE = 10
"""Distinct respondents from whom on a code is compared."""

SHOWN = 5
"""Distinct respondents below whom nothing is shown."""

GREATEST_LIKENESS = 0.9
"""A correlation of 1 between two answers of one person would leave comparisons within them no variance."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What a contribution of a response is like where chance alone decides, shape (k,) each.

    Attributes
    ----------
    mean
        Weighted with w.
    variance, third
        The second and third central moment, weighted with w^2 and with w^3: these are the weights that
        they get in a weighted sum, so they hold where heavy responses vary more than light ones.
    """

    mean: Floats
    variance: Floats
    third: Floats

    @classmethod
    def of(cls, weights: Floats, sums: Floats) -> Moments:
        """Give the moments of k groups.

        Parameters
        ----------
        weights
            Sums of w, w^2 and w^3 over all responses, shape (3, k).
        sums
            As `power_sums` gives them, shape (6, k).
        """
        first, second, cubed = np.where(weights > 0, weights, np.inf)
        c, c_2, cc_2, c_3, cc_3, ccc_3 = sums
        mean = c / first
        spread = cc_2 - 2.0 * mean * c_2 + mean**2 * weights[1]
        spread = np.where(spread > ROUNDING * np.maximum(cc_2, 1e-300), spread, 0.0)
        skew = ccc_3 - 3.0 * mean * cc_3 + 3.0 * mean**2 * c_3 - mean**3 * weights[2]
        return cls(mean, spread / second, np.where(spread > 0, skew / cubed, 0.0))


def power_sums(weight: Floats, value: Floats, group: Ints, groups: int) -> Floats:
    """Sum w c, w^2 c, w^2 c^2, w^3 c, w^3 c^2 and w^3 c^3 by group.

    Parameters
    ----------
    weight, value, group
        Of each mention: the weight w, the contribution c, the position of its group; shape (m,) each.
    groups
        The number of groups, k.

    Returns
    -------
    ndarray of shape (6, k)
    """
    powers = ((1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3))
    return np.stack([sums_by(group, weight**w * value**c, groups) for w, c in powers])


@dataclass(frozen=True, eq=False)
class Contributions:
    """The contributions to every eligible code: one with `ELIGIBLE` respondents and some loss that varies.

    Attributes
    ----------
    codes
        The eligible codes, sorted; k of them.
    weight, person
        Of each response of weight above 0, shape (n,): the weight, with mean 1; the respondent's position.
    kept
        The position of each such response among the scored responses, shape (n,).
    code, row, value
        Of each mention of an eligible code: the code's position, the response's, the contribution;
        shape (m,) each, sorted by code.
    worst
        The greatest possible contribution.
    moments
        Of each code's contributions over all n responses.
    likeness
        The correlation between two answers of one person, by code, shape (k,); from 0.
    """

    codes: tuple[str, ...]
    weight: Floats
    person: Ints
    kept: Ints
    code: Ints
    row: Ints
    value: Floats
    worst: float
    moments: Moments
    likeness: Floats

    @classmethod
    def of(cls, responses: ScoredResponses, among: Bools | None = None) -> Contributions:
        """Take the contributions out of scored responses.

        Parameters
        ----------
        responses
            All scored responses.
        among
            Which of them to take, shape (n,); by default all.
        """
        counted = responses.weight > 0 if among is None else among & (responses.weight > 0)
        kept = np.flatnonzero(counted)
        weight = responses.weight[kept]
        weight = weight / weight.mean() if kept.size else weight
        people, person = np.unique(responses.respondent[kept], return_inverse=True)
        place = np.cumsum(counted) - 1
        mentioned = counted[responses.mention_rows]
        row, code = place[responses.mention_rows[mentioned]], responses.mention_codes[mentioned]
        value = responses.loss[kept[row]] / counts_by(row, kept.size)[row]
        k = len(responses.codes)
        pairs = np.unique(code * max(1, people.size) + person[row]) // max(1, people.size)
        weights = np.stack([weight, weight**2, weight**3]).sum(axis=1)
        sums = power_sums(weight[row], value, code, k)
        moments = Moments.of(np.repeat(weights[:, None], k, axis=1), sums)
        eligible = np.flatnonzero((counts_by(pairs, k) >= ELIGIBLE) & (moments.variance > 0))
        position = np.full(k, -1, dtype=np.int64)
        position[eligible] = np.arange(eligible.size)
        held = np.flatnonzero(position[code] >= 0)
        held = held[np.argsort(position[code[held]], kind="stable")]
        moments = Moments(moments.mean[eligible], moments.variance[eligible], moments.third[eligible])
        code, row, value = position[code[held]], row[held], value[held]
        return cls(
            codes=tuple(responses.codes[place] for place in eligible),
            weight=weight,
            person=person,
            kept=kept,
            code=code,
            row=row,
            value=value,
            worst=float(responses.scale.worst_loss),
            moments=moments,
            likeness=_likeness(weight, person, code, row, value, moments),
        )

    def of_code(self, code: int) -> tuple[Ints, Floats]:
        """Give the responses that mention a code and what they contribute, shape (mentions,) each."""
        first, last = np.searchsorted(self.code, [code, code + 1])
        return self.row[first:last], self.value[first:last]


def _likeness(weight: Floats, person: Ints, code: Ints, row: Ints, value: Floats, moments: Moments) -> Floats:
    """Estimate each code's correlation within a person: pairs of one person's residuals over the variance."""
    k = moments.mean.size
    by_person = sums_by(person, weight, int(person.max(initial=-1)) + 1)
    pairs = float(by_person @ by_person) - float(weight @ weight)
    if pairs <= ROUNDING * float(weight @ weight) or not k:
        return np.zeros(k)
    weighted = weight[row] * value
    keys, place = np.unique(code * by_person.size + person[row], return_inverse=True)
    summed = sums_by(place, weighted, keys.size)
    owner = keys // by_person.size
    squares = sums_by(owner, summed**2, k) - sums_by(code, weighted**2, k)
    crossed = sums_by(owner, summed * by_person[keys % by_person.size], k)
    crossed -= sums_by(code, weighted * weight[row], k)
    excess = squares - 2.0 * moments.mean * crossed + moments.mean**2 * pairs
    return np.clip(excess / (moments.variance * pairs), 0.0, GREATEST_LIKENESS)
