"""What the answers of one person share: the products between them, which errors clustered by person need.

A sum over people of the square of their total is the sum of the squares of their answers, which patterns
give (`model.pattern_sums`), and the products between different answers of one person, which are added here.
People come in a stream, all answers of a person one after another; no more than a part of it is held.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from model.group_sums import sums_by
from model.pattern_sums import KINDS, GroupedSums, Table, counts_of, ones_like

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MANY = 20_000
"""Answers of one person from which on alike ones are added up before they wait for more."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """Answers sorted by person; one entry may stand for several alike of one person.

    `person` has shape (n,); `said` (n, 3) holds the group, the class and the set of codes; `sums` (n, 3)
    holds how many answers an entry stands for, their weights, and their squared weights.
    """

    person: NDArray[np.uint64]
    said: Ints
    sums: Floats

    def at(self, kept: NDArray[np.bool_] | Ints | slice) -> _Answers:
        return _Answers(self.person[kept], self.said[kept], self.sums[kept])

    def followed_by(self, other: _Answers) -> _Answers:
        return _Answers(
            np.concatenate([self.person, other.person]),
            np.concatenate([self.said, other.said]),
            np.concatenate([self.sums, other.sums]),
        )

    def merged(self) -> _Answers:
        """Add up the answers of one person that are alike."""
        said, place = np.unique(self.said, axis=0, return_inverse=True)
        sums = np.stack([sums_by(place.ravel(), part, len(said)) for part in self.sums.T], axis=1)
        return _Answers(self.person[: len(said)], said, sums)


class RepeatedAnswers:
    """Adds to grouped sums what the answers of one person in one group share.

    Parameters
    ----------
    sums
        To which all patterns are added on their own.
    name
        The column of the group in the tables; None for a single group.
    first
        The group that is number 0 in `sums`; groups before it, and beyond those of `sums`, are left out.
    """

    def __init__(self, sums: GroupedSums, name: str | None = None, first: int = 0) -> None:
        self._sums, self._name, self._first = sums, name, first
        self._waiting: _Answers | None = None

    def add(self, table: Table) -> None:
        """Add answers, as `TagQueries.repeated` gives them; the last person's wait for more."""
        answers = self._answers(table)
        if self._waiting is not None:
            answers = self._waiting.followed_by(answers)
        if not answers.person.size:
            return
        opened = int(np.searchsorted(answers.person, answers.person[-1]))
        self._share(answers.at(slice(0, opened)))
        last = answers.at(slice(opened, None))
        self._waiting = last.merged() if last.person.size > MANY else last

    def finish(self) -> None:
        """Add the answers that still wait."""
        if self._waiting is not None:
            self._share(self._waiting)
            self._waiting = None

    def _answers(self, table: Table) -> _Answers:
        n, weight = table["person"].size, table["weight"]
        group = np.zeros(n, dtype=np.int64) if self._name is None else table[self._name].astype(np.int64)
        said = np.stack([group - self._first, table["kind"], self._sums.shares.blamed(table)], axis=1)
        found = _Answers(
            table["person"], said.astype(np.int64), np.stack([np.ones(n), weight, weight**2], axis=1)
        )
        if self._sums.groups == 1 and self._name is None:
            return found
        return found.at((said[:, 0] >= 0) & (said[:, 0] < self._sums.groups))

    def _share(self, answers: _Answers) -> None:
        """Add what the answers of whole people share."""
        answers, starts = _several(answers)
        if not starts.size:
            return
        sums, n = self._sums, answers.person.size
        (group, kind, sets), (times, weight, squares) = answers.said.T, answers.sums.T
        loss, of_person = sums.losses[kind], group[starts]
        own = sums.shares.cells(sets, group, sums.groups)
        sums.people += counts_of(of_person, np.ones(starts.size), sums.groups)
        sums.people -= counts_of(group, times, sums.groups)
        sums.respondents -= sums.columns_of(ones_like(own), times).astype(np.int64)
        sums.add_own(own, squares, loss, sign=-1.0)
        self._share_classes(answers, starts)

        # By person: the weight and the weighted loss on each column, as one complex number, then the points.
        gather = csr_array((weight, np.arange(n), np.append(starts, n)), shape=(starts.size, n))
        both = gather @ _scaled(ones_like(own), 1.0 + 1j * loss)
        points = gather @ _scaled(own, loss)
        whole = np.stack([np.add.reduceat(part, starts) for part in (weight, weight * loss)], axis=1)
        sums.respondents += sums.columns_of(ones_like(both), np.ones(starts.size)).astype(np.int64)
        self._share_mentions(both, whole)
        sums.weight_products += sums.columns_of(points, whole[:, 0])
        sums.add_products(points, points.data)

    def _share_classes(self, answers: _Answers, starts: Ints) -> None:
        """Add the products of a person's weights in two classes, less those of answers with themselves."""
        sums, (group, kind, _) = self._sums, answers.said.T
        by_kind = np.zeros((kind.size, KINDS))
        by_kind[np.arange(kind.size), kind] = answers.sums[:, 1]
        by_person, of_person = np.add.reduceat(by_kind, starts, axis=0), group[starts]
        for i in range(KINDS):
            for j in range(KINDS):
                products = by_person[:, i] * by_person[:, j]
                sums.class_products[:, i, j] += sums_by(of_person, products, sums.groups)
            alone = np.where(kind == i, answers.sums[:, 2], 0.0)
            sums.class_products[:, i, i] -= sums_by(group, alone, sums.groups)

    def _share_mentions(self, both: csr_array, whole: Floats) -> None:
        sums = self._sums
        parts = both.data.real, both.data.imag
        for i in range(2):
            for j in range(2):
                sums.within[..., i, j] += sums.by_cell(both.indices, parts[i] * parts[j])
        across = sums.columns_of(both, whole)
        sums.across[..., 0] += across.real
        sums.across[..., 1] += across.imag


def _scaled(cells: csr_array, factor: NDArray[np.complexfloating] | Floats) -> csr_array:
    """Multiply each row of a matrix by its factor."""
    data = np.repeat(factor, np.diff(cells.indptr)) * cells.data
    return csr_array((data, cells.indices, cells.indptr), shape=cells.shape)


def _several(answers: _Answers) -> tuple[_Answers, Ints]:
    """Sort by person and group; keep those with several answers in a group, and give where each starts."""
    n = answers.person.size
    if not n:
        return answers, np.zeros(0, dtype=np.int64)
    people = np.cumsum(np.diff(answers.person, prepend=answers.person[:1]) != 0)
    key = people * (int(answers.said[:, 0].max()) + 1) + answers.said[:, 0]
    if (np.diff(key) < 0).any():
        order = np.argsort(key, kind="stable")
        answers, key = answers.at(order), key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    sizes = np.diff(np.append(starts, n))
    several = np.add.reduceat(answers.sums[:, 0], starts) > 1
    if not several.all():
        answers = answers.at(np.repeat(several, sizes))
    return answers, np.append(0, np.cumsum(sizes[several]))[:-1]
