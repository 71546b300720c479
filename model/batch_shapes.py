"""Batches of rows that hold a comment each, of like length, in few shapes, with little padding.

For encoders whose rows cannot hold several (`model.packed_rows`), and models of before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

# Close together where comments are: an answer to "why?" has ten to forty tokens.
_LENGTHS = (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 384, 512)
# Of lengths whose shapes must be few, since an engine prepares itself anew for each of them.
_FEW_LENGTHS = (8, 16, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512)
_MANY = 256
"""From so many comments on the shapes that full batches add are made good by the padding that they save."""
CALL = 40
"""What one more call of the network costs, in tokens read: a batch is cut only where that saves more."""


@dataclass(frozen=True)
class Batch:
    """Comments that the network reads together.

    Attributes
    ----------
    rows
        Their places, shape (n,).
    length
        Tokens to which each is padded.
    height
        Rows that the network is given, at least n; what is above n is filler.
    """

    rows: NDArray[np.intp]
    length: int
    height: int


@dataclass(frozen=True)
class BatchShapes:
    """How an engine wants its batches.

    Attributes
    ----------
    pad_id
        Stands where there is no token.
    tokens
        The most tokens of a batch, padding included; a longer comment is a batch of its own.
    few
        Whether the shapes must be few: then lengths and heights are rounded up to one of some, of which
        there are more where comments are many.
    """

    pad_id: int = 0
    tokens: int = 1024
    few: bool = False

    def plan(self, lengths: Sequence[int] | NDArray[np.int64]) -> list[Batch]:
        """Arrange comments in batches so that as few tokens as possible are read.

        Parameters
        ----------
        lengths
            Tokens of each comment, shape (n,).

        Returns
        -------
        list of Batch
            Each comment in one of them, short ones first.
        """
        lengths = np.asarray(lengths, np.int64)
        if not len(lengths):
            return []
        order = np.argsort(lengths, kind="stable")
        coarse = self.few and len(lengths) < _MANY
        steps = np.array(_FEW_LENGTHS if coarse else _LENGTHS)
        step = np.minimum(np.searchsorted(steps, lengths[order]), len(steps) - 1)
        borders = [0, *(np.flatnonzero(np.diff(step)) + 1).tolist(), len(order)]
        batches: list[Batch] = []
        for start, end in self._groups(borders, lengths[order], steps, step):
            batches += self._cut(order[start:end], lengths, int(steps[step[end - 1]]))
        return batches

    def inputs(self, batch: Batch, ids: Sequence[NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        """Give what the network is told of a batch.

        Parameters
        ----------
        batch
            Of `plan`.
        ids
            The token ids of every comment.

        Returns
        -------
        dict
            ``input_ids`` and their ``attention_mask``, each of shape (height, length). A filler row has one
            token, since a row without any has no mean.
        """
        tokens = np.full((batch.height, batch.length), self.pad_id, np.int64)
        mask = np.zeros((batch.height, batch.length), np.int64)
        for place, row in enumerate(batch.rows):
            tokens[place, : len(ids[row])] = ids[row]
            mask[place, : len(ids[row])] = 1
        mask[len(batch.rows) :, 0] = 1
        return {"input_ids": tokens, "attention_mask": mask}

    def _groups(
        self,
        borders: list[int],
        ordered: NDArray[np.int64],
        steps: NDArray[np.int64],
        step: NDArray[np.intp],
    ) -> list[tuple[int, int]]:
        """Join neighbouring lengths where fewer calls make good the padding: the cheapest way of all."""
        best = [0.0] + [float("inf")] * (len(borders) - 1)
        cut = [0] * len(borders)
        for end in range(1, len(borders)):
            length = max(int(steps[step[borders[end] - 1]]), int(ordered[borders[end] - 1]))
            for start in range(end):
                cost = best[start] + self._cost(borders[end] - borders[start], length)
                if cost < best[end]:
                    best[end], cut[end] = cost, start
        groups, end = [], len(borders) - 1
        while end:
            groups.append((borders[cut[end]], borders[end]))
            end = cut[end]
        return groups[::-1]

    def _cost(self, n: int, length: int) -> float:
        most = max(1, self.tokens // length)
        full, rest = divmod(n, most)
        return full * (most * length + CALL) + _price(self._heights(rest, length), length)

    def _cut(self, rows: NDArray[np.intp], lengths: NDArray[np.int64], step: int) -> list[Batch]:
        most = max(1, self.tokens // step)
        full, rest = divmod(len(rows), most)
        batches, start = [], 0
        for height in [*[most] * full, *self._heights(rest, max(step, int(lengths[rows].max())))]:
            part = rows[start : start + height]
            longest = int(lengths[part].max())
            batches.append(Batch(part, max(step, longest) if self.few else longest, height))
            start += height
        return batches

    def _heights(self, n: int, length: int) -> tuple[int, ...]:
        if not n:
            return ()
        return _cheapest(n, self.tokens, length) if self.few else (n,)


@cache
def allowed_heights(tokens: int, length: int) -> tuple[int, ...]:
    """Give the numbers of rows that batches of a length may have where shapes are few, lowest first."""
    part = max(1, tokens // length)
    found = {1, part}
    while (part := part // 4) >= 2:
        found.add(part)
    return tuple(sorted(found))


@cache
def _cheapest(n: int, tokens: int, length: int) -> tuple[int, ...]:
    """Give the allowed heights, highest first, that hold n comments and cost least."""
    allowed = allowed_heights(tokens, length)
    above = next(height for height in allowed if height >= n)
    below = [height for height in allowed if height < n]
    if not below:
        return (above,)
    parts = (below[-1], *_cheapest(n - below[-1], tokens, length))
    return min((above,), parts, key=lambda found: _price(found, length))


def _price(found: Sequence[int], length: int) -> float:
    return sum(height * length + CALL for height in found)
