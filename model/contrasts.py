"""Contrasts of contributions between parts of the responses: the test against chance, and the size.

The test. The responses are divided into levels (a segment's values, or weeks). A contrast ``x`` gives each
level a number, and its score is ``sum_i w_i x_i (c_i - mean c)`` with x centred. Where chance alone decides
who falls into which level, the score has mean 0 and, by moments of the pooled contributions, the variance
``v * ((1 - r) * sum_i (w_i x_i)^2 + r * sum_p (sum_{i in p} w_i x_i)^2)``: r is the correlation between two
answers of one person p. Without weights and repeats these are the moments of the permutation test. Most
contributions are 0, so scores are skew; a Pearson type III law with the third moment is brought to the
normal by the cube root of Wilson & Hilferty. That is close to the permutation test even at a handful of
mentions, where a test by the standard error of the difference is not.

The size. A difference of two weighted means, or a least-squares slope, linearised and clustered by
respondent.

References
----------
Wilson, E. & Hilferty, M. (1931). The distribution of chi-square. PNAS 17(12).
Winkler, A. et al. (2016). Faster permutation inference in brain imaging. NeuroImage 141.
Zou, G. & Donner, A. (2008). Construction of confidence limits about effect measures: a general
approach. Statistics in Medicine 27(10).
Liang, K. & Zeger, S. (1986). Longitudinal data analysis using generalized linear models. Biometrika 73(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import ndtr

from model.contributions import Contributions, Moments
from model.group_sums import counts_by, sums_by
from model.points_lost import mean_interval, uneven_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEVEL = 0.95
"""The confidence level of an interval that nobody picked."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Responses divided into levels.

    Attributes
    ----------
    names
        The levels.
    level
        The level's position of each response, shape (n,).
    counts
        Responses in each level, shape (k,).
    people, people_outside
        Distinct respondents with a response in the level, and with one outside it; shape (k,) each.
    weights
        Sums of w, w^2 and w^3 in each level, shape (3, k).
    products
        Sum over respondents of the product of their weights in two levels, shape (k, k).
    """

    names: tuple[str, ...]
    level: Ints
    counts: Ints
    people: Ints
    people_outside: Ints
    weights: Floats
    products: Floats

    @classmethod
    def of(cls, names: Sequence[str], level: Ints, weight: Floats, person: Ints) -> Partition:
        """Divide responses; all arguments but the names have shape (n,)."""
        k, people = len(names), int(person.max(initial=-1)) + 1
        by_person = csr_array((weight, (person, level)), shape=(people, k))
        levels_each = np.diff(by_person.indptr)
        loyal = by_person.indices[np.repeat(levels_each, levels_each) == 1]
        return cls(
            names=tuple(names),
            level=level,
            counts=counts_by(level, k),
            people=counts_by(by_person.indices, k),
            people_outside=people - counts_by(loyal, k),
            weights=np.stack([sums_by(level, weight**power, k) for power in (1, 2, 3)]),
            products=(by_person.T @ by_person).toarray(),
        )


@dataclass(frozen=True, eq=False)
class Design:
    """J contrasts over the k levels of a partition, centred.

    Attributes
    ----------
    contrasts
        Shape (J, k); the weighted mean of each row is 0.
    squares, cubes
        Sums over responses of (w x)^2 and (w x)^3, shape (J,).
    clustering
        Sum over respondents of (sum of w x)^2, over `squares`; shape (J,).
    """

    contrasts: Floats
    squares: Floats
    cubes: Floats
    clustering: Floats

    @classmethod
    def of(cls, contrasts: Floats, partition: Partition) -> Design:
        """Centre contrasts of shape (J, k); each must vary over the responses."""
        first, second, third = partition.weights
        centred = contrasts - (contrasts @ first / first.sum())[:, None]
        squares = centred**2 @ second
        paired = np.einsum("jk,kl,jl->j", centred, partition.products, centred)
        return cls(centred, squares, centred**3 @ third, paired / squares)

    def inflation(self, contributions: Contributions) -> Floats:
        """Give the variance of each code's scores over that of independent responses, shape (codes, J)."""
        likeness = contributions.likeness[:, None]
        return 1.0 - likeness + likeness * self.clustering

    def scores(self, contributions: Contributions, partition: Partition) -> Floats:
        """Give every score as a standard normal one, shape (codes, J); above 0 if more is lost at high x."""
        codes, levels = len(contributions.codes), len(partition.names)
        weighted = contributions.weight[contributions.row] * contributions.value
        where = contributions.code * levels + partition.level[contributions.row]
        totals = sums_by(where, weighted, codes * levels).reshape(codes, levels)
        variance, third = contributions.moments.variance[:, None], contributions.moments.third[:, None]
        inflation = self.inflation(contributions)
        z = totals @ self.contrasts.T / np.sqrt(variance * self.squares * inflation)
        # Answers that come in clumps are fewer, larger ones: as skew as the variance says.
        skew = third / variance**1.5 * self.cubes / self.squares**1.5 * np.sqrt(inflation)
        return normal_scores(z, skew)


def normal_scores(z: Floats, skew: Floats) -> Floats:
    """Turn standardised scores of a Pearson type III law into standard normal ones (Wilson & Hilferty 1931).

    Parameters
    ----------
    z, skew
        The scores, and the skewness of their law; shapes that broadcast.
    """
    skewed = np.where(np.abs(skew) < 1e-4, 1e-4, skew)
    root = np.cbrt(np.maximum(1.0 + skewed * z / 2.0, 0.0))
    normal: Floats = 6.0 / skewed * (root - 1.0 + skewed**2 / 36.0)
    return normal


def two_sided_p(score: Floats | float) -> Floats:
    """Give the two-sided p-value of standard normal scores."""
    p: Floats = 2.0 * ndtr(-np.abs(np.asarray(score, dtype=np.float64)))
    return p


def stratified_score(stratum: Ints, inside: Bools, weights: Floats, sums: Floats, inflation: float) -> float:
    """Give the standard normal score of "inside against the rest" within strata, added up over them.

    Mean, variance and third moment are those of each stratum, as in the test of Mantel & Haenszel (1959).

    Parameters
    ----------
    stratum, inside
        Of each cell of responses: its stratum's position, and whether it lies inside; shape (cells,) each.
    weights, sums
        Of each cell, as `Moments.of` takes them; shapes (3, cells) and (6, cells).
    inflation
        The variance over that of independent responses.
    """
    strata = int(stratum.max()) + 1
    whole = np.stack([sums_by(stratum, row, strata) for row in weights])
    part = np.stack([sums_by(stratum[inside], row[inside], strata) for row in weights])
    moments = Moments.of(whole, np.stack([sums_by(stratum, row, strata) for row in sums]))
    share = part[0] / whole[0]
    squares = (1.0 - 2.0 * share) * part[1] + share**2 * whole[1]
    cubes = ((1.0 - share) ** 3 + share**3) * part[2] - share**3 * whole[2]
    variance = float(moments.variance @ squares) * inflation
    if variance <= 0:
        return 0.0
    excess = float(sums[0][inside].sum() - moments.mean @ part[0])
    skew = float(moments.third @ cubes) * inflation**2 / variance**1.5
    return float(normal_scores(np.asarray(excess / variance**0.5), np.asarray(skew)))


@dataclass(frozen=True)
class Size:
    """A difference in points, with its 95% interval and its standard error, clustered by respondent."""

    points: float
    low: float
    high: float
    se: float


def slope(contributions: Contributions, code: int, x: Floats, span: float, level: float = LEVEL) -> Size:
    """Give ``span`` times the weighted least-squares slope of a code's contributions on x, in points.

    Parameters
    ----------
    contributions, code
        The contributions, and the code's position.
    x
        Of each response, shape (n,); not constant.
    span
        The difference in x that the result stands for.
    level
        The confidence level of the interval, between 0 and 1.
    """
    weight, person, value = contributions.weight, contributions.person, _dense(contributions, code)
    centred = x - float(weight @ x) / float(weight.sum())
    lever = weight * centred / float(weight @ centred**2)
    found = float(lever @ value)
    residual = value - float(weight @ value) / float(weight.sum()) - found * centred
    people = int(person.max()) + 1
    influence = sums_by(person, lever * residual, people)
    error = float(influence @ influence * people / (people - 1)) ** 0.5 * 100.0 * abs(span)
    held, lost = sums_by(person, weight, people), sums_by(person, weight * value, people)
    behind = float(lost.sum()) ** 2 / max(float(lost @ lost), 1e-300)
    effective = float(held.sum()) ** 2 / float(held @ held)
    t = uneven_quantile(behind, respondents=people, effective_n=effective, level=level)
    points, reach = 100.0 * span * found, float(t) * error
    return Size(points, points - reach, points + reach, error)


@dataclass(frozen=True)
class Gap:
    """Points lost to a code in one part of the responses and in the rest.

    Attributes
    ----------
    size
        Inside minus outside.
    inside, outside
        Points lost in either part.
    responses, respondents
        Inside: responses, and distinct people who mention the code.
    respondents_outside
        Distinct people who mention the code in the rest.
    """

    size: Size
    inside: float
    outside: float
    responses: int
    respondents: int
    respondents_outside: int


def gap(contributions: Contributions, code: int, inside: Bools, level: float = LEVEL) -> Gap:
    """Compare the points lost to a code inside a part with those in the rest.

    The interval is put together from those of the two means (Zou & Donner 2008), which are score intervals
    as in a ranking; the correlation between the means is that of people with responses in both parts.

    Parameters
    ----------
    contributions, code
        The contributions, and the code's position.
    inside
        Of each response, shape (n,); neither all nor none.
    level
        The confidence level of the interval, between 0 and 1.
    """
    value, (row, _) = _dense(contributions, code), contributions.of_code(code)
    one, two = (_Mean.of(contributions, value, part, level) for part in (inside, ~inside))
    shared = float(one.influence @ two.influence) * (one.correction * two.correction) ** 0.5
    product = one.error * two.error
    low, high = difference_interval(
        (one.mean, one.low, one.high), (two.mean, two.low, two.high), shared / product if product > 0 else 0.0
    )
    size = Size(
        points=one.mean - two.mean,
        low=float(low),
        high=float(high),
        se=max(0.0, one.error**2 + two.error**2 - 2.0 * shared) ** 0.5,
    )
    people = [int(np.unique(contributions.person[row[part[row]]]).size) for part in (inside, ~inside)]
    return Gap(size, one.mean, two.mean, int(inside.sum()), *people)


def difference_interval(
    one: tuple[ArrayLike, ArrayLike, ArrayLike],
    two: tuple[ArrayLike, ArrayLike, ArrayLike],
    likeness: ArrayLike = 0.0,
) -> tuple[Floats, Floats]:
    """Put the interval of a difference together from those of its two parts (Zou & Donner 2008).

    Parameters
    ----------
    one, two
        Estimate, lower and upper bound of either part; shapes that broadcast.
    likeness
        The correlation between the two estimates.

    Returns
    -------
    tuple of two ndarrays
        The bounds of one minus two.
    """
    first, first_low, first_high = (np.asarray(part, dtype=np.float64) for part in one)
    second, second_low, second_high = (np.asarray(part, dtype=np.float64) for part in two)
    alike = np.clip(likeness, -1.0, 1.0)
    below, above = first - first_low, first_high - first
    less, more = second - second_low, second_high - second
    points = first - second
    low: Floats = points - np.sqrt(np.maximum(0.0, below**2 + more**2 - 2.0 * alike * below * more))
    high: Floats = points + np.sqrt(np.maximum(0.0, above**2 + less**2 - 2.0 * alike * above * less))
    return low, high


def _dense(contributions: Contributions, code: int) -> Floats:
    """Give a code's contribution of every response, shape (n,)."""
    row, value = contributions.of_code(code)
    return sums_by(row, value, contributions.weight.size)


@dataclass(frozen=True, eq=False)
class _Mean:
    """A weighted mean in points, with its interval and each person's influence on it."""

    mean: float
    low: float
    high: float
    error: float
    influence: Floats
    correction: float

    @classmethod
    def of(cls, contributions: Contributions, value: Floats, part: Bools, level: float) -> _Mean:
        weight = contributions.weight * part
        total = float(weight.sum())
        mean = float(weight @ value) / total
        people = int(contributions.person.max()) + 1
        influence = 100.0 * sums_by(contributions.person, weight * (value - mean), people) / total
        by_person = sums_by(contributions.person, weight, people)
        held = int((by_person > 0).sum())
        correction = held / max(1, held - 1)
        error = float(influence @ influence * correction) ** 0.5
        low, high = mean_interval(
            np.array([100.0 * mean]),
            np.array([error]),
            respondents=held,
            effective_n=total**2 / float(by_person @ by_person),
            worst=100.0 * contributions.worst,
            level=level,
        )
        return cls(100.0 * mean, float(low[0]), float(high[0]), error, influence, correction)
