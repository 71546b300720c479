"""Two groups of responses side by side: two periods, or two values of a segment."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, diags_array, hstack
from scipy.special import ndtr, ndtri

from data.errors import InputError
from model.hierarchy import Hierarchy
from model.loss_shares import LossShares, column_names
from model.mentions import ScoredResponses
from model.metric import LossSums, Metric, MetricChange, measure, metric_change
from model.person_sums import PersonSums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The responses of two groups that share no response, though maybe respondents.

    Attributes
    ----------
    responses
        All scored responses, m of which carry weight and lie in either group.
    names
        What the groups are called: before and after, where they are periods.
    segment
        The segment whose values they are; None where they are periods.
    kept, side
        Of those m, shape (m,) each: the position among all responses, and 0 or 1 for the group.
    weight, loss, person
        Their weight, loss and respondent's position, shape (m,) each.
    people
        Distinct respondents in either group, shape (2,).
    shared
        How many of them answered in both.
    """

    responses: ScoredResponses
    names: tuple[str, str]
    segment: str | None
    kept: Ints
    side: Ints
    weight: Floats
    loss: Floats
    person: Ints
    people: Ints
    shared: int

    @classmethod
    def of(
        cls,
        responses: ScoredResponses,
        before: ArrayLike,
        after: ArrayLike,
        names: tuple[str, str] = ("before", "after"),
        *,
        segment: str | None = None,
    ) -> Comparison:
        """Set two groups side by side.

        Parameters
        ----------
        responses
            All scored responses, n of them.
        before, after
            Which responses lie in either group, shape (n,) each, bool.
        names, segment
            As the attributes.

        Raises
        ------
        InputError
            If a group has no response of weight above 0, or a response lies in both.
        """
        masks = [np.asarray(mask, dtype=np.bool_) for mask in (before, after)]
        if (masks[0] & masks[1]).any():
            raise InputError(f"'{names[0]}' and '{names[1]}' overlap; compare groups that share no response")
        counted = responses.weight > 0
        for name, mask in zip(names, masks, strict=True):
            if not (mask & counted).any():
                raise InputError(f"there is no scored response in '{name}', so there is nothing to compare")
        kept = np.flatnonzero((masks[0] | masks[1]) & counted)
        side = masks[1][kept].astype(np.int64)
        known, person = np.unique(responses.respondent[kept], return_inverse=True)
        found = np.zeros((2, known.size), dtype=np.bool_)
        found[side, person] = True
        return cls(
            responses=responses,
            names=names,
            segment=segment,
            kept=kept,
            side=side,
            weight=responses.weight[kept],
            loss=responses.loss[kept],
            person=person,
            people=found.sum(axis=1),
            shared=int(found.all(axis=0).sum()),
        )

    def metric(self, side: int, level: float = 0.95) -> Metric:
        """Give the metric of a group."""
        held = self.side == side
        scale = self.responses.scale
        sums = LossSums.of(scale, self.loss[held], self.weight[held], self.person[held])
        return measure(scale, sums, level)

    def metric_change(self, level: float = 0.95) -> MetricChange:
        """Test the metric's change: `model.metric.metric_change`, respondents in both groups allowed for.

        The variance of independent samples is multiplied by what clustering by respondent makes of that of
        the plain difference of means.
        """
        found = metric_change(self.metric(0, level), self.metric(1, level), level)
        if not self.shared or found.low is None or found.high is None:
            return found
        means = self.means(csr_array(self.loss[:, None]))
        apart = float(np.trace(means.covariance))
        together = apart - 2.0 * float(means.covariance[0, 1])
        # With few people in both groups chance may leave no variance at all.
        effect = max(1.0 / self.shared, together / apart) if apart > 0 else 1.0
        reach = (found.high - found.low) / 2.0 * effect**0.5
        centre = (found.low + found.high) / 2.0
        z = centre * float(ndtri(0.5 + level / 2)) / reach
        p_value = 2.0 * float(ndtr(-abs(z)))
        return replace(found, low=centre - reach, high=centre + reach, z=z, p_value=p_value)

    def contributions(self, hierarchy: Hierarchy, among: ScoredResponses | None = None) -> csr_array:
        """Give what each response contributes to each column of `column_names`, shape (m, k).

        Parameters
        ----------
        hierarchy
            Holds every code of the responses, and may hold more.
        among
            The same responses, tagged otherwise; by default as they are.
        """
        tagged = self.responses if among is None else among
        shares = LossShares.of_responses(tagged, hierarchy)
        value = self.responses.loss[shares.rows] * shares.share
        shape = (self.responses.n, len(column_names(hierarchy)))
        return csr_array((value, (shares.rows, shares.columns)), shape=shape)[self.kept]

    def means(self, values: csr_array) -> GroupMeans:
        """Give the weighted means of k columns in both groups, jointly; `values` has shape (m, k)."""
        weighted = diags_array(self.weight) @ hstack([np.ones((self.kept.size, 1)), values], format="csr")
        blocks = [diags_array((self.side == side).astype(np.float64)) @ weighted for side in (0, 1)]
        sums = PersonSums.of(self.person, csr_array(hstack(blocks, format="csr")))
        return GroupMeans.of(sums, self.people)


@dataclass(frozen=True, eq=False)
class GroupMeans:
    """The means of k columns in two groups, in points, and their joint covariance.

    Attributes
    ----------
    means
        Shape (2, k).
    covariance
        Of the k means before and the k means after, shape (2 k, 2 k); clustered by respondent.
    effective
        How many equally weighted respondents either group's are worth (Kish), shape (2,).
    """

    means: Floats
    covariance: Floats
    effective: Floats

    @classmethod
    def of(cls, sums: PersonSums, people: Ints) -> GroupMeans:
        """Compute them from the sums of (weight, k weighted values) before, then after."""
        size = sums.totals.size // 2
        totals = sums.totals.reshape(2, size)
        weight, means = totals[:, :1], 100.0 * totals[:, 1:] / totals[:, :1]
        derivatives = np.zeros((2, size - 1, 2, size))
        for side in (0, 1):
            derivatives[side, :, side, 0] = -means[side] / weight[side]
            derivatives[side, :, side, 1:] = 100.0 / weight[side] * np.eye(size - 1)
        covariance = sums.covariance(derivatives.reshape(2 * (size - 1), 2 * size), np.repeat(people, size))
        squares = np.diag(sums.products)[[0, size]]
        return cls(means, covariance, weight[:, 0] ** 2 / squares)

    @property
    def errors(self) -> Floats:
        """Standard errors of the means, shape (2, k)."""
        errors: Floats = np.sqrt(np.diag(self.covariance)).reshape(2, -1)
        return errors

    @property
    def shared(self) -> Floats:
        """Covariance of each column's two means, shape (k,); 0 where nobody answered in both groups."""
        k = self.means.shape[1]
        return np.diag(self.covariance[:k, k:]).copy()
