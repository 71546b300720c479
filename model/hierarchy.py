"""The tree that the dots in reason codes spell: ``pricing`` is the parent of ``pricing.too-expensive``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def ancestors(code: str) -> tuple[str, ...]:
    """Give a code's ancestors, the highest first: ``a.b.c`` has ``a`` and ``a.b``."""
    parts = code.split(".")
    return tuple(".".join(parts[:depth]) for depth in range(1, len(parts)))


def depth(code: str) -> int:
    """Give the level of a code, 1 for the highest."""
    return code.count(".") + 1


@dataclass(frozen=True)
class Hierarchy:
    """Leaf codes and the parents above them.

    Attributes
    ----------
    codes
        The codes as they are tagged, sorted.
    parents
        Every ancestor of a code, sorted. A parent that is itself tagged is also among `codes`;
        as a parent it stands for itself and all below it.
    """

    codes: tuple[str, ...]
    parents: tuple[str, ...]

    @classmethod
    def of(cls, codes: Iterable[str]) -> Hierarchy:
        """Build the tree above some codes."""
        known = set(codes)
        return cls(
            tuple(sorted(known)), tuple(sorted({parent for code in known for parent in ancestors(code)}))
        )

    def lift(self, rows: Ints, codes: Ints) -> tuple[Ints, Ints, Ints]:
        """Lift mentions of codes to mentions of their parents (the OR of their codes).

        Parameters
        ----------
        rows, codes
            Distinct pairs of a response's position and a code's position in `codes`, shape (m,) each.

        Returns
        -------
        tuple of three ndarrays of shape (p,)
            Distinct pairs of a response's and a parent's position, and how many of the parent's codes
            the response mentions. Sorted by response.
        """
        place = {parent: position for position, parent in enumerate(self.parents)}
        width = max(1, len(self.parents))
        found: list[Ints] = [np.empty(0, dtype=np.int64)]
        lines = [[place[node] for node in (*ancestors(code), code) if node in place] for code in self.codes]
        for level in range(max((len(line) for line in lines), default=0)):
            parent = np.array([line[level] if level < len(line) else -1 for line in lines], dtype=np.int64)[
                codes
            ]
            held = parent >= 0
            found.append(rows[held] * width + parent[held])
        keys, counts = np.unique(np.concatenate(found), return_counts=True)
        return keys // width, keys % width, counts.astype(np.int64)
