"""Everything a ranking of root causes needs of the responses, as sums that add up over parts of the data.

The same sums can come from SQL: one pass over the responses, one over the pairs of response and code,
both grouped by respondent. Memory grows with the number of mentions, never with responses times codes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from model.correction import AuditedRows, CorrectionSums
from model.group_sums import counts_by, sums_by, sums_by_pair
from model.hierarchy import Hierarchy
from model.leave_one_out import MentionSums
from model.loss_shares import BUCKETS, LossShares, column_names, places_of
from model.mentions import ScoredResponses
from model.metric import LossSums
from model.points_lost import ContributionSums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["BUCKETS", "BaseCounts", "CauseSums"]


@dataclass(frozen=True)
class BaseCounts:
    """How many responses the base holds, and what of them was read.

    Attributes
    ----------
    scored, unscored
        Responses with a score, the base; and without one, left out.
    commented, errors
        Scored responses with a comment; those whose comment could not be read.
    weightless
        Scored responses of weight 0, which count for nothing.
    promoters_commented, promoters_tagged
        Responses of the best class with a comment, and with a tag of any polarity.
    """

    scored: int
    unscored: int
    commented: int
    errors: int
    weightless: int
    promoters_commented: int
    promoters_tagged: int

    @classmethod
    def of(cls, responses: ScoredResponses) -> BaseCounts:
        """Count the responses."""
        best = responses.loss == 0
        return cls(
            scored=responses.n,
            unscored=responses.unscored,
            commented=int(responses.commented.sum()),
            errors=responses.errors,
            weightless=int((responses.weight == 0).sum()),
            promoters_commented=int((best & responses.commented).sum()),
            promoters_tagged=int((best & responses.tagged).sum()),
        )

    def __add__(self, other: BaseCounts) -> BaseCounts:
        names = [field.name for field in fields(self)]
        return BaseCounts(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True, eq=False)
class CauseSums:
    """Mergeable sums by column; the columns are the codes, the two buckets, then the parents.

    Sums of parts add up to the sums of the whole wherever no respondent has responses in two parts.

    Attributes
    ----------
    hierarchy
        The codes and their parents.
    counts
        The base.
    loss
        Sums of the losses over all responses.
    contributions
        Sums of the contributions (section A).
    mentions
        Sums over mentions (section B); a parent is mentioned where any of its codes is.
    respondents
        Distinct respondents behind the mentions, shape (k,).
    alone
        Weighted loss of the responses whose codes all lie in the column, shape (k,).
    by_class
        The weighted contributions of the lowest and of the middle class, shape (k, 2).
    praised
        Responses that praise the column, shape (k,); for ``uncoded``: that only praise.
    correction
        What an audit adds to all of it (section D); None without one.
    """

    hierarchy: Hierarchy
    counts: BaseCounts
    loss: LossSums
    contributions: ContributionSums
    mentions: MentionSums
    respondents: Ints
    alone: Floats
    by_class: Floats
    praised: Ints
    correction: CorrectionSums | None = None

    @classmethod
    def of(
        cls, responses: ScoredResponses, hierarchy: Hierarchy, audited: AuditedRows | None = None
    ) -> CauseSums:
        """Sum over responses.

        Parameters
        ----------
        responses
            The scored responses.
        hierarchy
            Holds every code of the responses (and of the audit), and may hold more.
        audited
            What people said of some of them, where an audit drew any. Where the other sums come from
            elsewhere, `CorrectionSums.of` takes the responses of audited people alone, and
            ``dataclasses.replace(sums, correction=...)`` puts them in.
        """
        k = len(column_names(hierarchy))
        pairs = LossShares.of_responses(responses, hierarchy)
        weight, loss = responses.weight[pairs.rows], responses.loss[pairs.rows]
        weighted = weight * loss * pairs.share
        alone = weight * loss * (pairs.share == 1.0)
        worst = loss == responses.scale.worst_loss
        people, totals = _by_person(responses)
        person, column, summed = sums_by_pair(
            people[pairs.rows], pairs.columns, np.stack([weight, weight * loss, weighted, alone], axis=1), k
        )
        return cls(
            hierarchy=hierarchy,
            counts=BaseCounts.of(responses),
            loss=LossSums.of(responses.scale, responses.loss, responses.weight, responses.respondent),
            contributions=ContributionSums.of(person, column, summed[:, 2], totals[:, 0], k),
            mentions=MentionSums.of(
                counts_by(pairs.columns, k),
                person,
                column,
                summed[:, :2],
                totals,
            ),
            respondents=counts_by(column, k),
            alone=sums_by(column, summed[:, 3], k),
            by_class=np.stack(
                [sums_by(pairs.columns, weighted * part, k) for part in (worst, ~worst)], axis=1
            ),
            praised=_praised(responses, hierarchy, pairs),
            correction=None if audited is None else CorrectionSums.of(responses, hierarchy, audited),
        )

    def __add__(self, other: CauseSums) -> CauseSums:
        if self.hierarchy != other.hierarchy:
            raise ValueError("sums over different codes do not add up")
        return CauseSums(
            hierarchy=self.hierarchy,
            counts=self.counts + other.counts,
            loss=self.loss + other.loss,
            contributions=self.contributions + other.contributions,
            mentions=self.mentions + other.mentions,
            respondents=self.respondents + other.respondents,
            alone=self.alone + other.alone,
            by_class=self.by_class + other.by_class,
            praised=self.praised + other.praised,
            correction=_either(self.correction, other.correction),
        )


def _either(one: CorrectionSums | None, other: CorrectionSums | None) -> CorrectionSums | None:
    """Add two corrections; a part in which nothing was audited has none."""
    if one is None or other is None:
        return one or other
    return one + other


def _by_person(responses: ScoredResponses) -> tuple[Ints, Floats]:
    """Sum the weight and the weighted loss of each person with a weight above 0.

    Returns
    -------
    tuple of ndarrays of shape (n,) and (respondents, 2)
        Each response's position among the people, -1 where it has weight 0; and their sums.
    """
    counted = responses.weight > 0
    known, person = np.unique(responses.respondent[counted], return_inverse=True)
    people = np.full(responses.n, -1, dtype=np.int64)
    people[counted] = person
    weight, loss = responses.weight[counted], responses.loss[counted]
    return people, np.stack([sums_by(person, part, known.size) for part in (weight, weight * loss)], axis=1)


def _praised(responses: ScoredResponses, hierarchy: Hierarchy, pairs: LossShares) -> Ints:
    """Count the responses that praise each column."""
    counted = responses.weight[responses.praise_rows] > 0
    rows = responses.praise_rows[counted]
    codes = places_of(responses.codes, hierarchy)[responses.praise_codes[counted]]
    _, parents, _ = hierarchy.lift(rows, codes)
    only = int(pairs.silent[np.unique(rows)].sum())
    by_code = counts_by(codes, len(hierarchy.codes))
    by_parent = counts_by(parents, len(hierarchy.parents))
    return np.concatenate([by_code, np.array([only, 0]), by_parent])
