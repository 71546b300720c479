"""Whether customers who were followed up score higher next time, beside those who were not.

Nobody drew lots over who is followed up, so the difference is an association. And low scores rise by
themselves: whoever is picked for a low answer tends to give a higher one next (regression to the mean). That
is why the change among those not followed up stands beside it, and why the difference is also given with
the first score held equal.

References
----------
Welch, B. L. (1947). The generalization of Student's problem. Biometrika, 34, 28-35.
Barnett, A. G., van der Pols, J. C. & Dobson, A. J. (2005). Regression to the mean: what it is and how to deal
with it. International Journal of Epidemiology, 34, 215-220.
MacKinnon, J. G. & White, H. (1985). Some heteroskedasticity-consistent covariance matrix estimators with
improved finite sample properties. Journal of Econometrics, 29, 305-325.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

LEAST = 10
"""Customers in each group below which a difference is not told."""


@dataclass(frozen=True, slots=True)
class MeanChange:
    """How much a group's scores changed.

    Attributes
    ----------
    n
        Customers.
    before, after
        Their mean scores; None without customers.
    change
        The mean change in points of the scale.
    low, high
        Its interval; None for fewer than two customers.
    """

    n: int
    before: float | None
    after: float | None
    change: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between the groups, in points of the scale, with its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FollowUpEffect:
    """What the next scores say.

    Attributes
    ----------
    level
        The confidence level of every interval.
    followed, not_followed
        The change of each group.
    difference
        Followed less not followed; None where a group has fewer than `LEAST` customers.
    adjusted
        The same with the first score held equal; None also where the first scores leave nothing to compare.
    notes
        Sentences that belong beside the figures.
    """

    level: float
    followed: MeanChange
    not_followed: MeanChange
    difference: Difference | None
    adjusted: Difference | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        return asdict(self) | {"notes": list(self.notes)}


def follow_up_effect(
    before: ArrayLike, after: ArrayLike, followed: ArrayLike, *, level: float = 0.95
) -> FollowUpEffect:
    """Compare the next scores of customers who were followed up with those who were not.

    Parameters
    ----------
    before, after
        The score that could be followed up, and the same customer's next one; shape (n_customers,),
        each customer once.
    followed
        Whether somebody spoke to the customer in between; shape (n_customers,).
    level
        Of the intervals.

    Returns
    -------
    FollowUpEffect
        Paired t intervals of each group's change, Welch's interval of the difference, and the coefficient
        of `followed` in a regression of the next score on it and the first, with HC3 standard errors.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    chosen = np.asarray(followed, dtype=np.bool_)
    groups = [_change(first[mask], second[mask], level) for mask in (chosen, ~chosen)]
    notes = [
        "Nobody drew lots over who is followed up: the difference is associated with follow-ups, and may "
        "come from who was chosen or reached.",
        "Low scores tend to rise by themselves (regression to the mean), so read the change of those "
        "followed up beside the change of the others, never alone.",
        "Only customers who answered again are counted.",
    ]
    difference = adjusted = None
    if min(group.n for group in groups) >= LEAST:
        difference = _welch(second[chosen] - first[chosen], second[~chosen] - first[~chosen], level)
        adjusted = _adjusted(first, second, chosen, level)
    else:
        notes.append(f"Fewer than {LEAST} customers in a group: the groups are not compared.")
    return FollowUpEffect(level, groups[0], groups[1], difference, adjusted, tuple(notes))


def _change(first: NDArray[np.float64], second: NDArray[np.float64], level: float) -> MeanChange:
    n = len(first)
    if n == 0:
        return MeanChange(0, None, None, None, None, None)
    change = second - first
    mean = float(change.mean())
    low = high = None
    if n > 1:
        half = float(stdtrit(n - 1, 0.5 + level / 2) * change.std(ddof=1) / np.sqrt(n))
        low, high = mean - half, mean + half
    return MeanChange(n, float(first.mean()), float(second.mean()), mean, low, high)


def _welch(a: NDArray[np.float64], b: NDArray[np.float64], level: float) -> Difference:
    parts = [group.var(ddof=1) / len(group) for group in (a, b)]
    estimate, error = float(a.mean() - b.mean()), float(np.sqrt(sum(parts)))
    if error == 0:
        return Difference(estimate, estimate, estimate)
    freedom = sum(parts) ** 2 / sum(p**2 / (len(g) - 1) for p, g in zip(parts, (a, b), strict=True))
    half = float(stdtrit(freedom, 0.5 + level / 2)) * error
    return Difference(estimate, estimate - half, estimate + half)


def _adjusted(
    first: NDArray[np.float64], second: NDArray[np.float64], chosen: NDArray[np.bool_], level: float
) -> Difference | None:
    design = np.column_stack([np.ones(len(first)), chosen.astype(np.float64), first - first.mean()])
    if first.min() == first.max():
        design = design[:, :2]
    n, columns = design.shape
    if np.linalg.matrix_rank(design) < columns or n <= columns:
        return None
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ second
    residuals = second - design @ coefficients
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    if float(leverage.max()) > 1 - 1e-9:
        return None
    weighted = design * (residuals / (1 - leverage))[:, None]
    error = float(np.sqrt((inverse @ weighted.T @ weighted @ inverse)[1, 1]))
    half = float(stdtrit(n - columns, 0.5 + level / 2)) * error
    estimate = float(coefficients[1])
    return Difference(estimate, estimate - half, estimate + half)
