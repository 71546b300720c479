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
from model.pattern_sums import KINDS, GroupedSums, Table, counts_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MANY = 20_000
"""Answers of one person from which on alike ones are added up before they wait for more."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """Answers sorted by person, or several alike of one person as one; shape (n,) each."""

    person: NDArray[np.uint64]
    group: Ints
    kind: Ints
    sets: Ints
    times: Ints  # how many answers it stands for
    weight: Floats  # their weights
    squares: Floats  # their squared weights

    def at(self, kept: NDArray[np.bool_] | Ints | slice) -> _Answers:
        return _Answers(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))

    def with_(self, other: _Answers) -> _Answers:
        names = self.__dataclass_fields__
        return _Answers(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))

    def merged(self) -> _Answers:
        """Add up the answers of one person that are alike."""
        key = (self.group * KINDS + self.kind) * (int(self.sets.max(initial=0)) + 1) + self.sets
        _, firsts, place = np.unique(key, return_index=True, return_inverse=True)
        totals = [
            sums_by(place, part.astype(np.float64), firsts.size)
            for part in (self.times, self.weight, self.squares)
        ]
        first = self.at(firsts)
        return _Answers(
            first.person,
            first.group,
            first.kind,
            first.sets,
            totals[0].astype(np.int64),
            totals[1],
            totals[2],
        )


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
            answers = self._waiting.with_(answers)
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
        n = table["person"].size
        group = np.zeros(n, dtype=np.int64) if self._name is None else table[self._name].astype(np.int64)
        weight = table["weight"]
        found = _Answers(
            person=table["person"],
            group=group - self._first,
            kind=table["kind"].astype(np.int64),
            sets=self._sums.shares.blamed(table),
            times=np.ones(n, dtype=np.int64),
            weight=weight,
            squares=weight**2,
        )
        if self._name is None:
            return found
        return found.at((found.group >= 0) & (found.group < self._sums.groups))

    def _share(self, answers: _Answers) -> None:
        """Add what the answers of whole people share."""
        answers, starts = _several(answers)
        if not starts.size:
            return
        sums, n = self._sums, answers.person.size
        ends = np.append(starts, n)
        loss, group = sums.losses[answers.kind], answers.group[starts]
        own = sums.shares.cells(answers.sets, answers.group)
        each = np.diff(own.indptr)
        sums.add_own(own, answers.squares, loss, sign=-1.0)
        sums.people += counts_of(group, np.ones(starts.size), sums.groups)
        sums.people -= counts_of(answers.group, answers.times, sums.groups)
        self._share_classes(answers, starts, group)
        gather = csr_array((answers.weight, np.arange(n), ends), shape=(starts.size, n))
        named, lossy, points = (
            gather @ csr_array((values, own.indices, own.indptr), shape=own.shape)
            for values in (np.ones(own.data.size), np.repeat(loss, each), np.repeat(loss, each) * own.data)
        )
        sums.respondents += self._counted(named, np.ones(named.data.size))
        sums.respondents -= self._counted(own, np.repeat(answers.times, each))
        everything = [np.add.reduceat(part, starts) for part in (answers.weight, answers.weight * loss)]
        self._share_mentions(named, lossy, everything)
        sums.weight_products += self._summed(points, points.data * _spread(everything[0], points))
        sums.add_products(points, points.data)

    def _share_classes(self, answers: _Answers, starts: Ints, group: Ints) -> None:
        sums = self._sums
        by_kind = np.zeros((answers.person.size, KINDS))
        by_kind[np.arange(answers.person.size), answers.kind] = answers.weight
        by_person = np.add.reduceat(by_kind, starts, axis=0)
        for i in range(KINDS):
            for j in range(KINDS):
                sums.class_products[:, i, j] += sums_by(group, by_person[:, i] * by_person[:, j], sums.groups)
            alone = np.where(answers.kind == i, answers.squares, 0.0)
            sums.class_products[:, i, i] -= sums_by(answers.group, alone, sums.groups)

    def _share_mentions(self, weight: csr_array, loss: csr_array, everything: list[Floats]) -> None:
        sums = self._sums
        both = weight.multiply(loss).tocsr()
        crossed = self._summed(both, both.data)
        sums.within[..., 0, 0] += self._summed(weight, weight.data**2)
        sums.within[..., 0, 1] += crossed
        sums.within[..., 1, 0] += crossed
        sums.within[..., 1, 1] += self._summed(loss, loss.data**2)
        for i, whole in enumerate(everything):
            for j, part in enumerate((weight, loss)):
                sums.across[..., i, j] += self._summed(part, part.data * _spread(whole, part))

    def _summed(self, cells: csr_array, values: Floats) -> Floats:
        groups, k = self._sums.groups, self._sums.shares.columns
        return sums_by(cells.indices, values, groups * k).reshape(groups, k)

    def _counted(self, cells: csr_array, values: NDArray[np.float64] | Ints) -> Ints:
        return self._summed(cells, values.astype(np.float64)).astype(np.int64)


def _spread(values: Floats, rows: csr_array) -> Floats:
    """Give each entry of a matrix the value of its row."""
    return np.repeat(values, np.diff(rows.indptr))


def _several(answers: _Answers) -> tuple[_Answers, Ints]:
    """Sort by person and group; keep those with several answers in a group, and give where each starts."""
    n = answers.person.size
    if not n:
        return answers, np.zeros(0, dtype=np.int64)
    people = np.cumsum(np.diff(answers.person, prepend=answers.person[:1]) != 0)
    key = people * (int(answers.group.max()) + 1) + answers.group
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    sizes = np.diff(np.append(starts, n))
    several = np.add.reduceat(answers.times[order], starts) > 1
    kept = answers.at(order[np.repeat(several, sizes)])
    return kept, np.append(0, np.cumsum(sizes[several]))[:-1]
