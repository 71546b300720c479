"""Which share of a response's loss each column bears: its codes, else a bucket, and the parents above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.group_sums import counts_by
from model.hierarchy import Hierarchy
from model.mentions import ScoredResponses

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BUCKETS = ("uncoded", "no_comment")
"""Where the loss goes that no code explains: a comment without a (non-praised) code, and no comment."""


def column_names(hierarchy: Hierarchy) -> tuple[str, ...]:
    """Give the names of the columns: the codes, the two buckets, then the parents."""
    return (*hierarchy.codes, *BUCKETS, *hierarchy.parents)


@dataclass(frozen=True, eq=False)
class LossShares:
    """Distinct pairs of a response of weight above 0 and a column that bears a share of its loss.

    Attributes
    ----------
    rows, columns
        Positions of responses and of columns (`column_names`), shape (m,) each.
    share
        The column's share, shape (m,): 1 over the number of codes for each code, and their sum for a
        parent; 1 for a bucket. Over codes and buckets a response's shares sum to 1.
    silent
        Which responses mention no code, shape (n,).
    """

    rows: Ints
    columns: Ints
    share: Floats
    silent: Bools

    @classmethod
    def of(
        cls, hierarchy: Hierarchy, rows: Ints, codes: Ints, *, commented: Bools, weight: Floats
    ) -> LossShares:
        """Split the losses of n responses.

        Parameters
        ----------
        hierarchy
            The columns.
        rows, codes
            Distinct mentions: positions of responses and of codes in ``hierarchy.codes``.
        commented, weight
            Of each response, shape (n,) each.
        """
        sizes = counts_by(rows, weight.size)
        silent = sizes == 0
        bucket_rows = np.flatnonzero(silent)
        buckets = len(hierarchy.codes) + np.where(commented[bucket_rows], 0, 1)
        parent_rows, parents, held = hierarchy.lift(rows, codes)
        all_rows = np.concatenate([rows, bucket_rows, parent_rows])
        columns = np.concatenate([codes, buckets, len(hierarchy.codes) + len(BUCKETS) + parents])
        held = np.concatenate([np.ones(rows.size + bucket_rows.size), held])
        counted = weight[all_rows] > 0
        share = held / np.maximum(1, sizes[all_rows])
        return cls(all_rows[counted], columns[counted], share[counted], silent)

    @classmethod
    def of_responses(cls, responses: ScoredResponses, hierarchy: Hierarchy) -> LossShares:
        """Split the losses of scored responses by the codes that they mention."""
        codes = places_of(responses.codes, hierarchy)[responses.mention_codes]
        return cls.of(
            hierarchy,
            responses.mention_rows,
            codes,
            commented=responses.commented,
            weight=responses.weight,
        )


def places_of(codes: tuple[str, ...], hierarchy: Hierarchy) -> Ints:
    """Give each code's position in the hierarchy; raises `KeyError` where it is not there."""
    place = {code: position for position, code in enumerate(hierarchy.codes)}
    return np.array([place[code] for code in codes], dtype=np.int64)
