"""Sums of a ranking from counted patterns: what a response blames, its class, and how often that occurs.

Everything in `CauseSums` follows from the patterns and the sums of their weights where nobody answered
twice; `model.repeated_answers` adds what the answers of one person share. The patterns may come from any
database: see `data.tag_queries`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from data.scale import Scale
from data.tag_queries import BEST
from data.tags import STATUSES
from model.cause_sums import BaseCounts, CauseSums
from model.group_sums import sums_by
from model.hierarchy import Hierarchy
from model.leave_one_out import MentionSums
from model.loss_shares import LossShares, column_names
from model.metric import LossSums
from model.points_lost import ContributionSums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Table = Mapping[str, NDArray[Any]]

KINDS = 3
"""Classes of answers: lowest, middle, best."""

_TAGGED, _NO_COMMENT, _ERROR = (STATUSES.index(name) for name in ("tagged", "no_comment", "error"))


@dataclass(frozen=True, eq=False)
class SetShares:
    """In which columns a set of codes bears the loss of a response.

    The sets are those of `data.code_sets.CodeSets`: set 0 is a comment without a code. One more set, the
    last, is a response without a comment.

    Attributes
    ----------
    hierarchy
        The codes of the columns.
    share
        The share of the loss, a matrix of shape (sets + 1, k).
    """

    hierarchy: Hierarchy
    share: csr_array

    @classmethod
    def of(cls, hierarchy: Hierarchy, sets: Ints, codes: Ints, size: int) -> SetShares:
        """Build the matrix.

        Parameters
        ----------
        hierarchy
            Holds every code.
        sets, codes
            Distinct pairs of a set and a code's position in ``hierarchy.codes``, shape (m,) each.
        size
            The number of sets.
        """
        k = len(column_names(hierarchy))
        commented = np.arange(size + 1) < size
        found = LossShares.of(hierarchy, sets, codes, commented=commented, weight=np.ones(size + 1))
        share = csr_array((found.share, (found.rows, found.columns)), shape=(size + 1, k))
        return cls(hierarchy, share)

    @property
    def columns(self) -> int:
        """The number of columns, k."""
        return int(self.share.shape[1])

    def cells(self, sets: Ints, group: Ints, groups: int) -> csr_array:
        """Give the shares of some responses, each in the columns of its group.

        Parameters
        ----------
        sets, group
            Shape (n,) each; groups lie from 0 to groups - 1.
        groups
            The number of groups, g.

        Returns
        -------
        csr_array of shape (n, g * k)
        """
        picked = self.share[sets]
        shift = np.repeat(group * self.columns, np.diff(picked.indptr))
        shape = (sets.size, groups * self.columns)
        return csr_array((picked.data, picked.indices + shift, picked.indptr), shape=shape)

    def blamed(self, table: Table) -> Ints:
        """Give the set of each row of a table with ``codes`` and ``status``."""
        silent = (table["codes"] == 0) & (table["status"] == _NO_COMMENT)
        return np.where(silent, self.share.shape[0] - 1, table["codes"]).astype(np.int64)


class GroupedSums:
    """`CauseSums` of several groups, added up from tables.

    Parameters
    ----------
    scale
        The declared scale.
    shares
        The sets of codes.
    groups
        The number of groups, g.
    """

    def __init__(self, scale: Scale, shares: SetShares, groups: int) -> None:
        k = shares.columns
        self.shares, self.groups = shares, groups
        self.losses = np.array([scale.worst_loss, 1 if scale.worst_loss == 2 else 0, 0], dtype=np.float64)
        self.scale = scale
        # By class and status: all responses, those that carry weight, their weights and squared weights.
        self.base = np.zeros((groups, KINDS, len(STATUSES), 4))
        self.people = np.zeros(groups, dtype=np.int64)
        self.class_products = np.zeros((groups, KINDS, KINDS))
        # By column: mentions, respondents, weight, loss, points, alone, points by class.
        self.mentions, self.respondents, self.praised = (
            np.zeros((groups, k), dtype=np.int64) for _ in range(3)
        )
        self.weight, self.loss, self.totals, self.alone = (np.zeros((groups, k)) for _ in range(4))
        self.by_class = np.zeros((groups, k, 2))
        self.weight_products = np.zeros((groups, k))
        self.products = np.zeros((groups, k, k))
        self.within, self.across = (np.zeros((groups, k, 2, 2)) for _ in range(2))

    def add_patterns(self, table: Table) -> None:
        """Add counted patterns, as `TagQueries.patterns` gives them, as if nobody had answered twice."""
        group, kind = table["group"].astype(np.int64), table["kind"].astype(np.int64)
        counts = np.stack([table[name] for name in ("responses", "counted", "weight", "squares")], axis=1)
        np.add.at(self.base, (group, kind, table["status"]), counts)
        counted, weight, squares = counts[:, 1], counts[:, 2], counts[:, 3]
        self.people += counts_of(group, counted, self.groups)
        np.add.at(self.class_products, (group, kind, kind), squares)
        loss = self.losses[kind]
        cells = self.shares.cells(self.shares.blamed(table), group, self.groups)
        named, sole = ones_like(cells), csr_array(cells)
        sole.data = np.where(cells.data == 1.0, 1.0, 0.0)
        found = self.columns_of(named, np.stack([counted, weight, weight * loss], axis=1))
        self.mentions += found[..., 0].astype(np.int64)
        self.respondents += found[..., 0].astype(np.int64)
        self.weight += found[..., 1]
        self.loss += found[..., 2]
        by_class = np.stack([weight * loss * (kind == 0), weight * loss * (kind != 0)], axis=1)
        self.by_class += self.columns_of(cells, by_class)
        self.totals += self.columns_of(cells, weight * loss)
        self.alone += self.columns_of(sole, weight * loss)
        self.add_own(cells, squares, loss)

    def add_own(self, cells: csr_array, squares: Floats, loss: Floats, sign: float = 1.0) -> None:
        """Add (or take away) the products of responses with themselves.

        Parameters
        ----------
        cells
            Their shares, as `SetShares.cells` gives them, shape (n, g * k).
        squares, loss
            Their squared weights and their losses, shape (n,) each.
        sign
            -1 to take away.
        """
        powers = np.stack([sign * squares * loss**power for power in range(3)], axis=1)
        own = self.columns_of(ones_like(cells), powers)[..., [0, 1, 1, 2]].reshape(self.within.shape)
        self.within += own
        self.across += own
        self.weight_products += self.columns_of(cells, powers[:, 1])
        self.add_products(cells, np.repeat(powers[:, 2], np.diff(cells.indptr)) * cells.data)

    def add_products(self, cells: csr_array, values: Floats) -> None:
        """Add ``values' cells``, both of shape (n, g * k); `values` are the entries of the first."""
        k = self.shares.columns
        left = csr_array((values, cells.indices, cells.indptr), shape=cells.shape)
        found = (left.T @ cells).tocoo()
        first, second = found.coords
        np.add.at(self.products, (first // k, first % k, second % k), found.data)

    def add_praise(self, table: Table) -> None:
        """Add what is praised, as `TagQueries.praise` gives it."""
        group, codes = table["group"].astype(np.int64), len(self.shares.hierarchy.codes)
        cells = self.shares.cells(table["praised"].astype(np.int64), group, self.groups)
        self.praised += self.columns_of(ones_like(cells), table["responses"]).astype(np.int64)
        self.praised[:, codes] += counts_of(group, table["responses"] * table["silent"], self.groups)

    def columns_of(self, cells: csr_array, values: NDArray[Any]) -> NDArray[Any]:
        """Sum values of rows, times their cells, by group and column.

        Parameters
        ----------
        cells
            Shape (n, g * k).
        values
            Shape (n,) or (n, v).

        Returns
        -------
        ndarray of shape (g, k) or (g, k, v)
        """
        found: NDArray[Any] = cells.T @ values
        return found.reshape(self.groups, self.shares.columns, *values.shape[1:])

    def by_cell(self, cell: Ints, values: Floats) -> Floats:
        """Sum values by their position among groups times columns, shape (g, k)."""
        size = self.groups * self.shares.columns
        return sums_by(cell, values, size).reshape(self.groups, self.shares.columns)

    def of(self, group: int, unscored: int) -> CauseSums:
        """Give the sums of one group; `unscored` of its responses have no score."""
        base = self.base[group]
        counted, weight, squares = (
            base[..., 1].sum(axis=1),
            base[..., 2].sum(axis=1),
            base[..., 3].sum(axis=1),
        )
        loss = LossSums(
            class_losses=self.losses,
            counts=counted.astype(np.int64),
            weights=weight,
            squares=squares,
            products=self.class_products[group],
            respondents=int(self.people[group]),
        )
        return CauseSums(
            hierarchy=self.shares.hierarchy,
            counts=_base_counts(base[..., 0], base[..., 1], unscored),
            loss=loss,
            contributions=ContributionSums(
                respondents=loss.respondents,
                weight=loss.weight,
                weight_squares=float(loss.products.sum()),
                totals=self.totals[group],
                weight_products=self.weight_products[group],
                products=self.products[group],
            ),
            mentions=MentionSums(
                self.mentions[group],
                self.weight[group],
                self.loss[group],
                self.within[group],
                self.across[group],
            ),
            respondents=self.respondents[group],
            alone=self.alone[group],
            by_class=self.by_class[group],
            praised=self.praised[group],
        )

    def held(self, group: int) -> int:
        """Give how many scored responses a group has."""
        return int(self.base[group, ..., 0].sum())


def ones_like(cells: csr_array) -> csr_array:
    """Give a matrix with 1 wherever another holds something."""
    return csr_array((np.ones(cells.data.size), cells.indices, cells.indptr), shape=cells.shape)


def counts_of(group: Ints, counts: NDArray[Any], groups: int) -> Ints:
    """Sum counts by group, shape (groups,)."""
    return sums_by(group, counts.astype(np.float64), groups).astype(np.int64)


def _base_counts(responses: Floats, counted: Floats, unscored: int) -> BaseCounts:
    """Count the base from responses by class and status, shape (3, 4) each."""
    commented = np.arange(len(STATUSES)) != _NO_COMMENT
    return BaseCounts(
        scored=int(responses.sum()),
        unscored=unscored,
        commented=int(responses[:, commented].sum()),
        errors=int(responses[:, _ERROR].sum()),
        weightless=int((responses - counted).sum()),
        promoters_commented=int(responses[BEST, commented].sum()),
        promoters_tagged=int(responses[BEST, _TAGGED].sum()),
    )
