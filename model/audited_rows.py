"""What people said of scored responses that an audit drew with known probabilities, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.errors import InputError
from model.mentions import ScoredResponses

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AuditedRows:
    """What people said of scored responses that an audit drew.

    Attributes
    ----------
    rows
        Positions of the audited responses among the scored ones, distinct, shape (a,).
    probability
        With which each of them was drawn, above 0 and at most 1, shape (a,).
    codes
        The codes that the mentions point to.
    mention_rows, mention_codes
        Distinct pairs of positions among the audited rows (from 0 to a - 1) and in `codes`: the codes
        that people found with negative or neutral polarity, shape (m,) each.
    """

    rows: Ints
    probability: Floats
    codes: tuple[str, ...]
    mention_rows: Ints
    mention_codes: Ints

    @classmethod
    def from_arrays(
        cls,
        rows: ArrayLike,
        probability: ArrayLike,
        codes: tuple[str, ...],
        mentions: tuple[ArrayLike, ArrayLike],
    ) -> AuditedRows:
        """Build them from plain arrays, checked; the attributes say what each holds.

        Raises
        ------
        InputError
            If a row stands twice, or a probability is not above 0 and at most 1.
        """
        places = np.asarray(rows, dtype=np.int64)
        chances = np.asarray(probability, dtype=np.float64)
        if np.unique(places).size < places.size:
            raise InputError("a response stands twice in the audit")
        if not ((chances > 0) & (chances <= 1)).all():
            raise InputError("an inclusion probability is not above 0 and at most 1")
        width = max(1, len(codes))
        found, named = (np.asarray(part, dtype=np.int64) for part in mentions)
        pairs = np.unique(found * width + named)
        return cls(places, chances, codes, pairs // width, pairs % width)

    @classmethod
    def matched(
        cls, responses: ScoredResponses, audit: Mapping[str, tuple[float, frozenset[str]]]
    ) -> AuditedRows:
        """Find audited responses among scored ones; those that are not there are left out.

        Parameters
        ----------
        responses
            The scored responses, or a part of them.
        audit
            From the response's id to its inclusion probability and the codes that people blamed.
        """
        rows = [row for row, name in enumerate(responses.response_ids) if name in audit]
        held = [audit[responses.response_ids[row]] for row in rows]
        codes = tuple(sorted(frozenset().union(*(found for _, found in held))))
        place = {code: position for position, code in enumerate(codes)}
        pairs = [(row, place[code]) for row, (_, found) in enumerate(held) for code in sorted(found)]
        mentions = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return cls.from_arrays(
            np.array(rows, dtype=np.int64),
            [chance for chance, _ in held],
            codes,
            (mentions[:, 0], mentions[:, 1]),
        )
