"""Leave-one-out impact (section B of the definition): what the metric would be without a code's responses.

``I_t = 100 * (mean(y) - mean(y without t))`` with ``y = 1 - loss``: what survey tools show as impact.
It counts a comment once for each of its codes, so it double-counts and does not sum.

References
----------
Hampel, F. (1974). The influence curve and its role in robust estimation. JASA 69.
Efron, B. & Stein, C. (1981). The jackknife estimate of variance. Annals of Statistics 9(3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.group_sums import sums_by
from model.points_lost import ROUNDING

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW_MENTIONS = 10
"""Below this many mentions pseudo-rows are added."""


@dataclass(frozen=True, eq=False)
class MentionSums:
    """Mergeable sums over the responses that mention a code; `LossSums` holds those over all.

    Attributes
    ----------
    mentions
        Responses that mention the column, shape (k,).
    weight, loss
        Sum of their weights and of their weighted losses, shape (k,) each.
    within
        Sum over respondents of products of (weight, weighted loss) on their mentions, shape (k, 2, 2).
    across
        The same of (weight, weighted loss) on all their responses, and on their mentions, shape (k, 2, 2).
    """

    mentions: Ints
    weight: Floats
    loss: Floats
    within: Floats
    across: Floats

    @classmethod
    def of(cls, mentions: Ints, person: Ints, column: Ints, own: Floats, everything: Floats) -> MentionSums:
        """Sum weights and losses that are already summed within respondent and column.

        Parameters
        ----------
        mentions
            Responses that mention each column, shape (k,).
        person, column
            Distinct pairs of positions, shape (m,) each.
        own
            The respondent's weight and weighted loss on responses that mention the column, shape (m, 2).
        everything
            Each respondent's weight and weighted loss on all responses, shape (respondents, 2).
        """
        k = mentions.size

        def summed(left: Floats, right: Floats) -> Floats:
            cells = [sums_by(column, left[:, i] * right[:, j], k) for i in range(2) for j in range(2)]
            return np.stack(cells, axis=1).reshape(k, 2, 2)

        return cls(
            mentions=mentions,
            weight=sums_by(column, own[:, 0], k),
            loss=sums_by(column, own[:, 1], k),
            within=summed(own, own),
            across=summed(everything[person], own),
        )

    def __add__(self, other: MentionSums) -> MentionSums:
        return MentionSums(
            mentions=self.mentions + other.mentions,
            weight=self.weight + other.weight,
            loss=self.loss + other.loss,
            within=self.within + other.within,
            across=self.across + other.across,
        )


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Leave-one-out impacts in points, shape (k,) each.

    Attributes
    ----------
    value, error
        The impact (below 0 where the code goes with lower scores) and its standard error; NaN where
        undefined.
    respondents
        Distinct respondents, pseudo-rows included.
    shrunk
        Whether pseudo-rows were added.
    """

    value: Floats
    error: Floats
    respondents: Ints
    shrunk: NDArray[np.bool_]


def leave_one_out(
    sums: MentionSums,
    *,
    weight: float,
    loss: float,
    moments: Floats,
    n: int,
    respondents: int,
    pseudo_losses: tuple[float, ...],
) -> LeaveOneOut:
    """Give each column's leave-one-out impact and its standard error.

    The error comes from the influence function (Hampel 1974), clustered by respondent::

        phi_i = (y_i - mean(y)) - (1 - m_i) * (y_i - mean(y without t)) / (1 - pi_t)

    Columns with 1 to 9 mentions get pseudo-rows that mention them: one for each of `pseudo_losses`,
    each of a respondent of its own, together weighing as much as one average response.

    Parameters
    ----------
    sums
        Sums over mentions.
    weight, loss, moments
        Sum of all weights and of all weighted losses, and ``LossSums.moments``, shape (2, 2).
    n, respondents
        Responses and distinct respondents.
    pseudo_losses
        The losses of the pseudo-rows: 2, 1, 0 for NPS (that is -1, 0, +1); 1, 0 elsewhere.
    """
    shrunk = (sums.mentions > 0) & (sums.mentions < FEW_MENTIONS)
    each = weight / max(1, n) / len(pseudo_losses)
    added = shrunk * each * len(pseudo_losses)
    added_loss = shrunk * each * sum(pseudo_losses)
    all_weight, all_loss = weight + added, loss + added_loss
    own_weight, own_loss = sums.weight + added, sums.loss + added_loss
    people = respondents + shrunk * len(pseudo_losses)
    rest = all_weight - own_weight
    # Where a code is in every response, what is left is rounding error, not responses.
    defined = (rest > ROUNDING * all_weight) & (sums.mentions > 0) & (respondents > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(defined, rest / all_weight, np.nan)
        overall = all_loss / all_weight
        without = (all_loss - own_loss) / (kept * all_weight)
    factors = np.stack([without / kept - overall, 1.0 - 1.0 / kept, -without / kept, 1.0 / kept], axis=1)
    rows = np.stack([np.ones(len(pseudo_losses)), np.array(pseudo_losses)]) * each
    gram = _gram(sums, moments) + shrunk[:, None, None] * np.tile(rows @ rows.T, (2, 2))
    squares = np.einsum("ki,kij,kj->k", factors, gram, factors)
    size = np.einsum("ki,kij,kj->k", np.abs(factors), np.abs(gram), np.abs(factors))
    squares[squares <= ROUNDING * size] = 0.0
    correction = np.where(people > 1, people / np.maximum(1, people - 1), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = 100.0 * np.sqrt(squares * correction) / all_weight
    return LeaveOneOut(100.0 * (without - overall), error, people, shrunk)


def _gram(sums: MentionSums, moments: Floats) -> Floats:
    """Give sums over respondents of products of (weight, loss, weight on mentions, loss on mentions)."""
    k = sums.mentions.size
    gram = np.empty((k, 4, 4))
    gram[:, :2, :2] = moments
    gram[:, :2, 2:] = sums.across
    gram[:, 2:, :2] = sums.across.transpose(0, 2, 1)
    gram[:, 2:, 2:] = sums.within
    return gram
