"""Sums and counts by group: what ``GROUP BY`` is in SQL."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def sums_by(group: Ints, values: Floats, groups: int) -> Floats:
    """Sum values by group.

    Parameters
    ----------
    group
        Positions of groups, shape (n,).
    values
        Shape (n,).
    groups
        The number of groups.

    Returns
    -------
    ndarray of shape (groups,)
        0 where a group has no value.
    """
    return np.bincount(group, values, minlength=groups).astype(np.float64, copy=False)


def counts_by(group: Ints, groups: int) -> Ints:
    """Count the members of each group, shape (groups,); `group` as in `sums_by`."""
    return np.bincount(group, minlength=groups).astype(np.int64, copy=False)


def sums_by_pair(first: Ints, second: Ints, values: Floats, seconds: int) -> tuple[Ints, Ints, Floats]:
    """Sum values over equal pairs of positions.

    Parameters
    ----------
    first, second
        Positions, shape (n,) each.
    values
        Shape (n, v).
    seconds
        The second positions lie below this.

    Returns
    -------
    tuple of ndarrays of shape (m,), (m,) and (m, v)
        The distinct pairs, sorted, and their sums.
    """
    width = max(1, seconds)
    keys, place = np.unique(first * width + second, return_inverse=True)
    summed = np.stack([sums_by(place, part, keys.size) for part in values.T], axis=1)
    return keys // width, keys % width, summed
