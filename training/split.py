"""A split fixed by the text: the same comment always falls on the same side, however often it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from data.text import position

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts; no normalised text stands in two of them."""

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]


def split_by_text(comments: Sequence[str], validation: float = 0.08, test: float = 0.06) -> Split:
    """Split comments by their normalised text.

    Parameters
    ----------
    comments
        In any order: a comment's side depends on nothing but its text.
    validation, test
        Shares, on average.

    Returns
    -------
    Split
    """
    places = np.array([position(comment) for comment in comments])
    in_test = places < test
    in_validation = ~in_test & (places < test + validation)
    return Split(
        np.flatnonzero(~in_test & ~in_validation), np.flatnonzero(in_validation), np.flatnonzero(in_test)
    )


def without_fit(n: int) -> Split:
    """Give the split of `n` comments that nothing is fitted on: all of them are for measuring."""
    none = np.zeros(0, np.intp)
    return Split(none, none, np.arange(n))


def pick(items: Sequence[T], rows: NDArray[np.intp]) -> list[T]:
    """Give the items at those rows."""
    return [items[int(row)] for row in rows]
