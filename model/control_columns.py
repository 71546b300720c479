"""What a regression holds equal beside the codes: values of segments and months, as columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.group_sums import counts_by
from model.hotspots import segments_to_search
from model.mentions import ScoredResponses
from model.periods import MONTH

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEW_ANSWERS = 10
"""A value with fewer responses has no column of its own: it is taken together with the blank one."""

ANSWERS_A_COLUMN = 10
"""Responses for each column of a regression; where there are fewer, the segment with most values goes."""


@dataclass(frozen=True, eq=False)
class ControlColumns:
    """The constant, and a column for each value of each segment but its commonest.

    Attributes
    ----------
    names
        The segments.
    levels
        The position of each response's value in each segment, 0 for the commonest; shape (n,) each.
    sizes
        Distinct positions in each segment.
    left_out
        Segments that would have left too few responses for a column.
    n
        Responses.
    """

    names: tuple[str, ...]
    levels: tuple[Ints, ...]
    sizes: tuple[int, ...]
    left_out: tuple[str, ...]
    n: int

    @classmethod
    def of(cls, responses: ScoredResponses, codes: int, names: Sequence[str] | None = None) -> ControlColumns:
        """Choose the columns.

        Parameters
        ----------
        responses
            Those of the regression.
        codes
            Columns that the regression has in any case.
        names
            Segments; by default those of `segments_to_search` and the month. One without two values of
            `FEW_ANSWERS` responses is no control; the widest are left out until there are
            `ANSWERS_A_COLUMN` responses for each column.
        """
        wanted = _default(responses) if names is None else list(names)
        levels = {name: _levels(responses.segments[name]) for name in wanted}
        sizes = {name: int(level.max(initial=0)) + 1 for name, level in levels.items()}
        kept = [name for name in wanted if sizes[name] > 1]
        left_out = []
        while kept and responses.n < ANSWERS_A_COLUMN * (codes + 1 + sum(sizes[name] - 1 for name in kept)):
            widest = max(kept, key=lambda name: sizes[name])
            kept.remove(widest)
            left_out.append(widest)
        return cls(
            tuple(kept),
            tuple(levels[name] for name in kept),
            tuple(sizes[name] for name in kept),
            tuple(left_out),
            responses.n,
        )

    @property
    def width(self) -> int:
        """Columns."""
        return 1 + sum(self.sizes) - len(self.sizes)

    def subset(self, mask: Bools) -> ControlColumns:
        """Keep some of the responses."""
        levels = tuple(level[mask] for level in self.levels)
        return ControlColumns(self.names, levels, self.sizes, self.left_out, int(mask.sum()))

    def matrix(self) -> Floats:
        """Give the columns, shape (n, width); the first is 1."""
        columns = [np.ones((self.n, 1))]
        for level, size in zip(self.levels, self.sizes, strict=True):
            columns.append((level[:, None] == np.arange(1, size)).astype(np.float64))
        return np.concatenate(columns, axis=1)


def _default(responses: ScoredResponses) -> list[str]:
    names, _ = segments_to_search(responses)
    return [*names, MONTH] if MONTH in responses.segments else names


def _levels(values: NDArray[np.object_]) -> Ints:
    """Give each value of a segment a number, the commonest 0; rare values and blanks share one number."""
    position: dict[str, int] = {"": 0}
    place = np.array([position.setdefault(value, len(position)) for value in values], dtype=np.int64)
    rare = counts_by(place, len(position)) < FEW_ANSWERS
    found, number = np.unique(np.where(rare[place], 0, place), return_inverse=True)
    order = np.argsort(-counts_by(number, found.size), kind="stable")
    rank = np.empty(found.size, dtype=np.int64)
    rank[order] = np.arange(found.size)
    return rank[number]
