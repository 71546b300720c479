"""Batches of rows that hold several comments each, one behind the other: next to nothing is read for padding.

Krell et al. 2021, "Efficient sequence packing without cross-contamination": attention is kept within each
comment, so that a comment reads the same whatever shares its row (`model.packed_network`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.batch_shapes import CALL

# Attention looks at every pair of places in a row: longer rows would spend there what they save in padding.
_ROW = 128
# An engine prepares itself anew for each shape, and keeps some megabytes for it: so they are few.
_LENGTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
# Of what the head reads: comments, and tokens of the longest.
_SPOKEN = (1, 2, 4, 8, 16, 32, 64)
_LONGEST = (16, 32, 64, 128, 256, 512)
_MOST_PLACES = 4096
"""Of what the head reads, filler included: one long comment among many short ones must not blow it up."""


@dataclass(frozen=True)
class PackedBatch:
    """Comments that the network reads together.

    Attributes
    ----------
    rows
        The places of the comments, in the order in which the network speaks of them, shape (n,).
    starts
        Where each begins when the rows of tokens stand one behind the other, shape (n,).
    height, length
        Rows of tokens, and the tokens of each.
    spoken, longest
        Comments of which the network speaks, at least n, and tokens of each; what is above is filler.
    """

    rows: NDArray[np.intp]
    starts: NDArray[np.intp]
    height: int
    length: int
    spoken: int
    longest: int


@dataclass(frozen=True)
class PackedRows:
    """How an engine wants its batches.

    Attributes
    ----------
    pad_id
        Stands where there is no token.
    tokens
        The most tokens of a batch, padding included; a single row may hold more.
    few
        Whether the shapes must be few.
    """

    pad_id: int
    tokens: int
    few: bool

    def plan(self, lengths: Sequence[int] | NDArray[np.int64]) -> list[PackedBatch]:
        """Arrange comments in rows, and rows in batches: best fit, long comments first.

        Parameters
        ----------
        lengths
            Tokens of each comment, shape (n,), each at least 1.

        Returns
        -------
        list of PackedBatch
            Each comment in one of them, long ones first.
        """
        rows = _fill_rows(np.asarray(lengths, np.int64))
        batches: list[PackedBatch] = []
        start = 0
        while start < len(rows):
            part = self._take(rows, start)
            start += len(part)
            *others, last = part
            if others and self._cut(max(row.used for row in others)) - self._cut(last.used) > CALL:
                batches.append(self._batch(others))
                part = [last]  # as a short row of its own it costs less
            batches.append(self._batch(part))
        return batches

    def inputs(self, batch: PackedBatch, ids: Sequence[NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
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
            ``input_ids``, ``position_ids`` (places within the comment) and ``segments`` (which comment, 0
            for none) of shape (height, length); ``places`` of shape (spoken, longest): where the tokens of
            each comment stand when the rows stand one behind the other, -1 for none. A comment that is
            filler has one token, since one without any has no mean.
        """
        chosen = [ids[row] for row in batch.rows]
        lengths = np.array([len(one) for one in chosen])
        comment = np.repeat(np.arange(len(chosen)), lengths)
        position = np.arange(len(comment)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        place = batch.starts[comment] + position
        size = batch.height * batch.length
        tokens = np.full(size, self.pad_id, np.int64)
        positions, segments = np.zeros(size, np.int64), np.zeros(size, np.int64)
        tokens[place], positions[place], segments[place] = np.concatenate(chosen), position, comment + 1
        places = np.full((batch.spoken, batch.longest), -1, np.int64)
        places[len(chosen) :, 0] = 0
        places[comment, position] = place
        shape = (batch.height, batch.length)
        return {
            "input_ids": tokens.reshape(shape),
            "position_ids": positions.reshape(shape),
            "segments": segments.reshape(shape),
            "places": places,
        }

    def _take(self, rows: Sequence[_Row], start: int) -> list[_Row]:
        """Give as many rows of like size as a batch holds."""
        end, used = start + 1, rows[start].used
        while end < len(rows) and rows[end].size == rows[start].size:
            used = max(used, rows[end].used)
            spoken, longest = self._head(rows[start : end + 1])
            if (end + 1 - start) * self._cut(used) > self.tokens or spoken * longest > _MOST_PLACES:
                break
            end += 1
        return list(rows[start:end])

    def _cut(self, used: int) -> int:
        return _up(used, _LENGTHS) if self.few else used

    def _head(self, part: Sequence[_Row]) -> tuple[int, int]:
        spoken, longest = sum(len(row.comments) for row in part), max(row.longest for row in part)
        return (_up(spoken, _SPOKEN), _up(longest, _LONGEST)) if self.few else (spoken, longest)

    def _batch(self, part: Sequence[_Row]) -> PackedBatch:
        length = self._cut(max(row.used for row in part))
        rows = [comment for row in part for comment in row.comments]
        starts = [place * length + start for place, row in enumerate(part) for start in row.starts]
        return PackedBatch(
            np.array(rows, np.intp), np.array(starts, np.intp), len(part), length, *self._head(part)
        )


@dataclass
class _Row:
    size: int
    longest: int
    used: int = 0
    comments: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)


def _fill_rows(lengths: NDArray[np.int64]) -> list[_Row]:
    """Give rows, large ones first: each comment stands where the least room is left behind it."""
    rows: list[_Row] = []
    with_room: dict[int, list[_Row]] = {}
    rooms = 0  # a bit for each room that some row has
    for comment in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[comment])
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = with_room[room].pop()
            if not with_room[room]:
                rooms &= ~(1 << room)
        else:
            row = _Row(max(_ROW, _up(length, _LENGTHS)), length)
            rows.append(row)
        row.comments.append(comment)
        row.starts.append(row.used)
        row.used += length
        if 2 * (len(row.comments) + 1) * row.longest <= _MOST_PLACES:
            with_room.setdefault(row.size - row.used, []).append(row)
            rooms |= 1 << (row.size - row.used)
    return rows


def _up(wanted: int, steps: Sequence[int]) -> int:
    """Give the first step that is not less; a multiple of the last one where all are."""
    place = bisect_left(steps, wanted)
    return steps[place] if place < len(steps) else -(-wanted // steps[-1]) * steps[-1]
