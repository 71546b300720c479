"""Batches of rows that hold several comments each, one behind the other: next to nothing is read for padding.

Krell et al. 2021, "Efficient sequence packing without cross-contamination": attention is kept within each
comment, so that a comment reads the same whatever shares its row (`model.packed_network`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Attention looks at every pair of places in a row: longer rows would spend there what they save in padding.
_ROW = 128
# An engine prepares itself anew for each shape, and keeps some megabytes for it: so they are few.
_LENGTHS = (16, 32, 64, 128, 256, 512)
# Of what the head reads: comments, and tokens of the longest.
_SPOKEN = (1, 2, 4, 8, 16, 32, 64)
_CALL = 40
"""What one more call of the network costs, in tokens read."""


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
        The most tokens of a batch, padding included; a longer comment is a batch of its own.
    few
        Whether the shapes must be few.
    """

    pad_id: int
    tokens: int = 384
    few: bool = True

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
        found = _fill_rows(np.asarray(lengths, np.int64))
        batches: list[PackedBatch] = []
        while found:
            size = found[0].size
            alike = sum(1 for row in found[: max(1, self.tokens // size)] if row.size == size)
            part, found = found[:alike], found[alike:]
            last = part[-1]
            if len(part) > 1 and size - self._cut(last.used) > _CALL:  # it pays to read it as a short row
                batches += [self._batch(part[:-1], lengths), self._batch([last], lengths)]
            else:
                batches.append(self._batch(part, lengths))
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
            each comment stand when the rows stand one behind the other, -1 for none. Filler has one token,
            since a comment without any has no mean.
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

    def _cut(self, used: int) -> int:
        return _up(used, _LENGTHS) if self.few else used

    def _batch(self, part: Sequence[_Row], lengths: Sequence[int] | NDArray[np.int64]) -> PackedBatch:
        length = min(part[0].size, self._cut(max(row.used for row in part)))
        rows, starts = [], []
        for place, row in enumerate(part):
            start = place * length
            for comment in row.comments:
                rows.append(comment)
                starts.append(start)
                start += int(lengths[comment])
        spoken, longest = len(rows), max(int(lengths[comment]) for comment in rows)
        if self.few:
            spoken, longest = _up(spoken, _SPOKEN), _up(longest, _LENGTHS)
        return PackedBatch(
            np.array(rows, np.intp), np.array(starts, np.intp), len(part), length, spoken, longest
        )


@dataclass
class _Row:
    size: int
    used: int
    comments: list[int]


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
            row = _Row(max(_ROW, _up(length, _LENGTHS)), 0, [])
            rows.append(row)
        row.used += length
        row.comments.append(comment)
        room = row.size - row.used
        with_room.setdefault(room, []).append(row)
        rooms |= 1 << room
    return rows


def _up(wanted: int, steps: Sequence[int]) -> int:
    """Give the first step that is not less; a multiple of the last one where all are."""
    place = bisect_left(steps, wanted)
    return steps[place] if place < len(steps) else -(-wanted // steps[-1]) * steps[-1]
