"""Points lost to each cause (section A of the definition): means of contributions, with their intervals.

A response with loss ``l`` that mentions the codes ``T`` contributes ``l / |T|`` to each of them; one
without a code contributes its loss to ``uncoded`` or ``no_comment``. The equal split is the Shapley
value (Shapley 1953) of both games: "the loss explained if any of its codes is chosen" and "the loss
recovered only if all its codes are fixed". So the points lost of all codes and both buckets sum to
``100 - metric`` exactly.

References
----------
Shapley, L. (1953). A value for n-person games. Contributions to the Theory of Games II.
Hanley, J. & Lippman-Hand, A. (1983). If nothing goes wrong, is everything all right? JAMA 249(13).
Liang, K. & Zeger, S. (1986). Longitudinal data analysis using generalized linear models. Biometrika 73(1).
Wilson, E. (1927). Probable inference, the law of succession, and statistical inference. JASA 22.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import stdtrit

from model.group_sums import sums_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDING = 1e-12
"""A variance below this share of its terms is rounding error."""


@dataclass(frozen=True, eq=False)
class ContributionSums:
    """Mergeable sums of weighted contributions: enough for their means and their joint covariance.

    Sums of parts add up to the sums of the whole wherever no respondent has responses in two parts.
    In SQL: group by respondent and column, then sum the products.

    Attributes
    ----------
    respondents
        Distinct respondents with a weight above 0.
    weight, weight_squares
        Sum of the weights; sum over respondents of the square of their weight.
    totals
        Weighted sum of the contributions to each column, shape (k,).
    weight_products
        Sum over respondents of their weight times their weighted contribution, shape (k,).
    products
        Sum over respondents of products of weighted contributions to two columns, shape (k, k).
    """

    respondents: int
    weight: float
    weight_squares: float
    totals: Floats
    weight_products: Floats
    products: Floats

    @classmethod
    def of(
        cls, person: Ints, column: Ints, contribution: Floats, person_weight: Floats, columns: int
    ) -> ContributionSums:
        """Sum contributions that are already weighted and summed within respondent and column.

        Parameters
        ----------
        person, column
            Distinct pairs of positions, shape (m,) each; pairs left out contribute 0.
        contribution
            The respondent's weighted contribution to the column, shape (m,).
        person_weight
            The respondents' weights, shape (respondents,), each above 0.
        columns
            The number of columns.
        """
        matrix = csr_array((contribution, (person, column)), shape=(person_weight.size, columns))
        return cls(
            respondents=int(person_weight.size),
            weight=float(person_weight.sum()),
            weight_squares=float(person_weight @ person_weight),
            totals=sums_by(column, contribution, columns),
            weight_products=sums_by(column, contribution * person_weight[person], columns),
            products=(matrix.T @ matrix).toarray(),
        )

    def __add__(self, other: ContributionSums) -> ContributionSums:
        return ContributionSums(
            respondents=self.respondents + other.respondents,
            weight=self.weight + other.weight,
            weight_squares=self.weight_squares + other.weight_squares,
            totals=self.totals + other.totals,
            weight_products=self.weight_products + other.weight_products,
            products=self.products + other.products,
        )

    def means(self) -> Floats:
        """Give the weighted means in points, ``100 * totals / weight``, shape (k,); NaN without weight."""
        if self.weight <= 0:
            return np.full(self.totals.shape, np.nan)
        means: Floats = 100.0 * self.totals / self.weight
        return means

    def covariance(self) -> Floats:
        """Give the joint covariance of the means, in points squared, shape (k, k).

        Linearised and clustered by respondent (Liang & Zeger 1986), with the factor G / (G - 1) for G
        respondents. With equal weights and no id twice, the diagonal is ``100^2 * sd^2 / n``. NaN for
        fewer than two respondents.
        """
        if self.respondents < 2:
            return np.full(self.products.shape, np.nan)
        mean = self.totals / self.weight
        crossed = np.outer(mean, self.weight_products)
        level = np.outer(mean, mean) * self.weight_squares
        centred = self.products - crossed - crossed.T + level
        size = np.sqrt(np.outer(np.diag(self.products + level), np.diag(self.products + level)))
        centred[np.abs(centred) <= ROUNDING * size] = 0.0
        scale = 100.0 / self.weight
        covariance: Floats = centred * (scale**2 * self.respondents / (self.respondents - 1))
        return covariance


def student_quantile(respondents: int, level: float) -> float:
    """Give the two-sided quantile of Student's t on ``respondents - 1`` degrees of freedom."""
    return float(stdtrit(respondents - 1, 0.5 + level / 2))


def uneven_quantile(behind: ArrayLike, *, respondents: int, effective_n: float, level: float) -> Floats:
    """Give two-sided quantiles of Student's t for figures that respondents of uneven weight are behind.

    With equal weights the degrees of freedom are those of all respondents. With uneven ones the standard
    error of a figure rests on the few that weigh most: then they are ``(behind - 1) / (1 - evenness)``,
    where evenness is Kish's effective share of the respondents, and at most those of all. Of customer values
    that differ tenfold, intervals of 30 mentions would else cover 90% where they claim 95%. One respondent
    behind a figure leaves ``evenness / (1 - evenness)``: nearly all where only few people answered twice.

    Parameters
    ----------
    behind
        How many equally weighted respondents those behind each figure are worth, shape (k,).
    respondents, effective_n
        Distinct respondents in all, two or more, and how many equally weighted ones they are worth.
    level
        The confidence level, between 0 and 1.
    """
    freedom = uneven_freedom(behind, respondents=respondents, effective_n=effective_n)
    quantiles: Floats = stdtrit(freedom, 0.5 + level / 2)
    return quantiles


def uneven_freedom(behind: ArrayLike, *, respondents: int, effective_n: float) -> Floats:
    """Give the degrees of freedom of `uneven_quantile`, from 1, shape (k,)."""
    uneven = max(0.0, 1.0 - effective_n / respondents)
    most = float(respondents - 1)
    freedom = np.maximum(np.asarray(behind, dtype=np.float64) - 1.0, 1.0 - uneven) / max(uneven, 1e-12)
    clipped: Floats = np.clip(freedom, 1.0, most)
    return clipped


def rule_of_three(effective_n: float, level: float = 0.95) -> float:
    """Give the upper bound on a share of which ``effective_n`` independent cases showed nothing.

    ``-log(1 - level) / n``: three in n at 95% (Hanley & Lippman-Hand 1983), at most 1.
    """
    return 1.0 if effective_n <= 0 else min(1.0, -float(np.log1p(-level)) / effective_n)


def mean_interval(
    mean: ArrayLike,
    error: ArrayLike,
    *,
    respondents: int,
    effective_n: float,
    worst: float,
    level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Give intervals for means of contributions between 0 and ``worst``.

    A score interval, in the manner of Wilson (1927): the variance is taken as proportional to the mean
    that is tested, as a count's is, so the bounds solve ``(mean - m)^2 = t^2 * SE^2 * m / mean``. With
    many mentions it is ``mean +- t * SE``; with few it stays above 0 and misses evenly on both sides,
    where the symmetric one misses low twice as often. Where nothing varied (no mention above all) the
    rule of three says how much may still be there.

    Parameters
    ----------
    mean, error
        In points, shape (k,) each.
    respondents, effective_n
        Distinct respondents, and how many independent ones they are worth.
    worst
        The greatest possible mean, in points.
    level
        The confidence level, between 0 and 1.

    Returns
    -------
    tuple of two ndarrays of shape (k,)
        The lower and the upper bounds; NaN for fewer than two respondents.
    """
    centre, spread = np.asarray(mean, dtype=np.float64), np.asarray(error, dtype=np.float64)
    if respondents < 2:
        return np.full(centre.shape, np.nan), np.full(centre.shape, np.nan)
    unseen = rule_of_three(effective_n, level)
    low, high = centre * (1.0 - unseen), centre + (worst - centre) * unseen
    varied = spread > 0
    middle = centre[varied]
    # A mean over its error, squared, is what its contributions are worth: many alike, or few that weigh.
    quantile = uneven_quantile(
        (middle / spread[varied]) ** 2, respondents=respondents, effective_n=effective_n, level=level
    )
    half = (quantile * spread[varied]) ** 2 / (2.0 * middle)
    reach = np.sqrt(half**2 + 2.0 * middle * half)
    # middle + half - reach cancels where middle is small beside half; this form does not.
    low[varied] = middle**2 / (middle + half + reach)
    high[varied] = np.minimum(worst, middle + half + reach)
    return low, high
