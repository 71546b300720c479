"""What an order of estimates is worth: simultaneous intervals for ranks, and tiers.

References
----------
Mogstad, M., Romano, J., Shaikh, A. & Wilhelm, D. (2024). Inference for ranks with applications to
mobility across neighbourhoods and academic achievement across countries. Review of Economic Studies 91(1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.points_lost import ROUNDING

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 10_000
"""Simulated draws; the error that this leaves in the critical value is about 0.02."""

_TOGETHER = 2000  # draws that fit into a processor's cache, for 30 estimates


@dataclass(frozen=True, eq=False)
class RankIntervals:
    """The order of k estimates, the greatest first, and how far the data settle it.

    Attributes
    ----------
    rank
        From 1, shape (k,); ties go to the earlier position.
    low, high
        The rank interval, shape (k,) each. With the stated confidence, all true ranks lie in theirs at once.
    tier
        Estimates that cannot be told apart from the leader are tier 1, those that cannot be told apart
        from the leader of what remains are tier 2, and so on; shape (k,). An uncertain estimate can so
        share a tier above its neighbour's.
    critical
        The critical value of the greatest of all pairwise |t|; NaN where there is nothing to compare.
    """

    rank: Ints
    low: Ints
    high: Ints
    tier: Ints
    critical: float


def rank_intervals(
    values: Floats, covariance: Floats, *, respondents: int, level: float = 0.95, seed: int = 0
) -> RankIntervals:
    """Rank estimates and give simultaneous rank intervals and tiers (Mogstad et al. 2024).

    Two estimates are told apart where the |t| of their difference exceeds the ``level`` quantile of
    the greatest |t| over all pairs, simulated from the joint (multivariate t) distribution of the
    estimates. A rank is then at least 1 plus the number told to be greater, at most k less the number
    told to be smaller.

    Parameters
    ----------
    values, covariance
        The estimates, shape (k,), and their joint covariance, shape (k, k).
    respondents
        Distinct respondents; with fewer than two, nothing is told apart.
    level
        The confidence level, between 0 and 1.
    seed
        Of the simulation; the same data give the same answer.
    """
    k = values.size
    # Equal estimates must not be ordered by rounding error.
    order = np.lexsort((np.arange(k), -np.round(values, 9)))
    rank = np.empty(k, dtype=np.int64)
    rank[order] = np.arange(1, k + 1)
    greater, critical = _told_apart(values, covariance, respondents, level, seed)
    return RankIntervals(
        rank=rank,
        low=1 + greater.sum(axis=0),
        high=k - greater.sum(axis=1),
        tier=_tiers(order, greater),
        critical=critical,
    )


def _told_apart(
    values: Floats, covariance: Floats, respondents: int, level: float, seed: int
) -> tuple[NDArray[np.bool_], float]:
    """Give whether the row's estimate is told to be greater than the column's, and the critical value."""
    k = values.size
    if k < 2 or respondents < 2:
        return np.zeros((k, k), dtype=np.bool_), float("nan")
    variance = np.diag(covariance)
    sizes = np.add.outer(variance, variance)
    squares = sizes - 2.0 * covariance
    error = np.sqrt(np.where(squares > ROUNDING * sizes, squares, np.inf))  # inf: never told apart
    critical = _critical_value(covariance, error, respondents, level, seed)
    return np.subtract.outer(values, values) / error > critical, critical


def _critical_value(covariance: Floats, error: Floats, respondents: int, level: float, seed: int) -> float:
    """Simulate the quantile of the greatest |t| over all pairs."""
    generator = np.random.default_rng(seed)
    roots, vectors = np.linalg.eigh(covariance)
    # The symmetric root depends smoothly on the covariance, so rounding cannot change the draws.
    root = (vectors * np.sqrt(np.maximum(roots, 0.0))) @ vectors.T
    draws = generator.standard_normal((DRAWS, roots.size)) @ root
    draws /= np.sqrt(generator.chisquare(respondents - 1, DRAWS) / (respondents - 1))[:, None]
    by_estimate, precision = np.ascontiguousarray(draws.T), 1.0 / error
    greatest = np.zeros(DRAWS)
    for start in range(0, DRAWS, _TOGETHER):
        some, found = by_estimate[:, start : start + _TOGETHER], greatest[start : start + _TOGETHER]
        for first in range(roots.size - 1):
            difference = some[first + 1 :] - some[first]
            difference *= precision[first, first + 1 :, None]
            np.maximum(found, np.abs(difference, out=difference).max(axis=0), out=found)
    return float(np.quantile(greatest, level))


def _tiers(order: Ints, greater: NDArray[np.bool_]) -> Ints:
    """Give tiers: each takes all of what remains that its leader is not told to exceed."""
    tier = np.zeros(order.size, dtype=np.int64)
    remaining, number = order, 0
    while remaining.size:
        number += 1
        below = greater[remaining[0], remaining]
        tier[remaining[~below]] = number
        remaining = remaining[below]
    return tier
