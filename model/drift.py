"""Drift of a mix of categories: the population stability index, and what chance alone makes of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from scipy.special import chdtri

PSEUDO_COUNT = 0.5
"""Added to every cell, so that a category which one side never saw makes the index large, not infinite."""


def population_stability_index(
    expected: Mapping[Hashable, float], actual: Mapping[Hashable, float]
) -> float | None:
    """Give how far a mix has moved from another: ``sum (a - e) * ln(a / e)`` over their shares.

    It is the symmetrised Kullback-Leibler divergence. By an old rule of thumb 0.1 is worth a look and
    0.25 is a shift; `chance_bound` says what samples of this size show without any.

    Parameters
    ----------
    expected, actual
        Counts by category; a category that stands on one side alone counts 0 on the other.

    Returns
    -------
    float or None
        0 where the shares are the same; None where a side is empty.

    References
    ----------
    Siddiqi, N. (2006). Credit Risk Scorecards. Wiley, chapter 6.
    Kullback, S. & Leibler, R. A. (1951). On information and sufficiency. Annals of Mathematical
    Statistics 22.
    """
    if sum(expected.values()) <= 0 or sum(actual.values()) <= 0:
        return None
    cells = list({**expected, **actual})
    before = np.array([expected.get(cell, 0.0) + PSEUDO_COUNT for cell in cells])
    after = np.array([actual.get(cell, 0.0) + PSEUDO_COUNT for cell in cells])
    before, after = before / before.sum(), after / after.sum()
    return float(np.sum((after - before) * np.log(after / before)))


def chance_bound(
    expected: Mapping[Hashable, float], actual: Mapping[Hashable, float], level: float = 0.95
) -> float | None:
    """Give what the index stays under with this probability where nothing has moved.

    Of two samples of sizes m and n from one mix of B categories it is about chi-square with B - 1 degrees
    of freedom, times ``1/m + 1/n``.

    Returns
    -------
    float or None
        None where a side is empty.

    References
    ----------
    Yurdakul, B. & Naranjo, J. (2020). Statistical properties of the population stability index. Journal of
    Risk Model Validation 14(4).
    """
    m, n = sum(expected.values()), sum(actual.values())
    if m <= 0 or n <= 0:
        return None
    freedom = max(1, len({**expected, **actual}) - 1)
    return float(chdtri(freedom, 1 - level) * (1 / m + 1 / n))
