"""Correction of the points lost for the classifier's own errors, from a random audit (section D).

People label responses that were drawn with known probabilities ``p_i > 0``. With ``R_i = 1`` where
response i was labelled, ``chat_it`` the contribution by the model's codes and ``c_it`` that by people's,

    c*_it = chat_it + (R_i / p_i) * (c_it - chat_it)

has the mean of ``c_it`` whatever the model's errors, as long as the model was not trained on what was
drawn. It is the same formula for every code and both buckets, and both ``c_i`` and ``chat_i`` sum to the
response's loss, so the corrected points lost sum to ``100 - metric`` exactly. They may be negative.

A power-tuned ``chat`` (PPI++) would keep the mean but not the sum, so the weight of ``chat`` stays 1.

References
----------
Egami, N., Hinck, M., Stewart, B. & Wei, H. (2023). Using imperfect surrogates for downstream inference:
design-based supervised learning for social science applications of large language models. NeurIPS 36.
Angelopoulos, A. et al. (2023). Prediction-powered inference. Science 382.
Horvitz, D. & Thompson, D. (1952). A generalization of sampling without replacement from a finite
universe. JASA 47.
Zou, G. & Donner, A. (2008). Construction of confidence limits about effect measures: a general approach.
Statistics in Medicine 27.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import stdtrit

from model.audited_rows import AuditedRows
from model.group_sums import counts_by, sums_by, sums_by_pair
from model.hierarchy import Hierarchy
from model.loss_shares import LossShares, column_names, places_of
from model.mentions import ScoredResponses
from model.points_lost import ContributionSums, student_quantile

__all__ = ["LEAST_AUDITED", "LEAST_POSITIVES", "AuditedRows", "CorrectionSums", "corrected_interval"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_AUDITED, LEAST_POSITIVES = 300, 10
"""Audited rows from which an audit corrects, and audited positives from which a code counts as corrected."""


@dataclass(frozen=True, eq=False)
class CorrectionSums:
    """Mergeable sums of what an audit adds to the points lost; the columns are those of `CauseSums`.

    They need the responses of audited people alone, so wherever the sums of all responses come from,
    these come from a table of the audit's size. Sums of parts add up to the sums of the whole wherever
    no respondent has responses in two parts. Below, ``x_it = w_i * (c_it - chat_it) / p_i`` for an
    audited response, its weighted correction.

    Attributes
    ----------
    audited
        Audited responses of weight above 0.
    positives
        Distinct respondents with an audited response in which people found the column, shape (k,).
    totals
        Sums of x, shape (k,).
    weight_products
        Sums over respondents of their weight times their x, shape (k,).
    products
        What x adds to ``ContributionSums.products``, shape (k, k).
    missed, imagined
        Sums of x where the model gave the column too little, and of -x where it gave it too much, each
        beside the sum of ``(1 - p) x^2``, the variance that the draw adds; shape (2, k).
    exposed
        Sums over audited responses of ``w l / p`` and of ``(1 - p) (w l / p)^2``, shape (2, k): what an
        error is worth where any response may hold one; 0 for ``no_comment``, which is known.
    claimed
        The same of ``w chat / p``, shape (2, k): what an error is worth where the model gave the column
        something.
    alone, anywhere, by_class
        What the audit adds to ``CauseSums.alone``, ``MentionSums.loss`` and ``CauseSums.by_class``.
    """

    audited: int
    positives: Ints
    totals: Floats
    weight_products: Floats
    products: Floats
    missed: Floats
    imagined: Floats
    exposed: Floats
    claimed: Floats
    alone: Floats
    anywhere: Floats
    by_class: Floats

    @classmethod
    def of(cls, responses: ScoredResponses, hierarchy: Hierarchy, audited: AuditedRows) -> CorrectionSums:
        """Sum over the audited responses.

        Parameters
        ----------
        responses
            All scored responses, or at least every one of each respondent with an audited response.
        hierarchy
            Holds every code of the responses and of the audit.
        audited
            What people said.
        """
        k = len(column_names(hierarchy))
        responses, audited = _of_audited_people(responses, audited)
        table = _Differences.of(responses, hierarchy, audited, k)
        extra = table.factor * (table.true - table.predicted)
        missed, imagined = np.maximum(extra, 0.0), np.maximum(-extra, 0.0)
        claimed = table.factor * table.predicted
        weighted_loss = (responses.weight * responses.loss)[audited.rows] / audited.probability
        worst = responses.loss[table.rows] == responses.scale.worst_loss
        sole = (table.true == 1.0).astype(np.float64) - (table.predicted == 1.0)
        somewhere = (table.true > 0.0).astype(np.float64) - (table.predicted > 0.0)
        possible = np.array([name != "no_comment" for name in column_names(hierarchy)], dtype=np.float64)
        totals, weight_products, products = _clustered(responses, hierarchy, table, extra, k)
        return cls(
            audited=int((responses.weight[audited.rows] > 0).sum()),
            positives=_people(responses, table, k),
            totals=totals,
            weight_products=weight_products,
            products=products,
            missed=_with_squares(table, missed, k),
            imagined=_with_squares(table, imagined, k),
            exposed=np.stack(
                [possible * weighted_loss.sum(), possible * (weighted_loss**2 @ (1.0 - audited.probability))]
            ),
            claimed=_with_squares(table, claimed, k),
            alone=sums_by(table.columns, table.factor * sole, k),
            anywhere=sums_by(table.columns, table.factor * somewhere, k),
            by_class=np.stack([sums_by(table.columns, extra * part, k) for part in (worst, ~worst)], axis=1),
        )

    def __add__(self, other: CorrectionSums) -> CorrectionSums:
        names = [field.name for field in fields(self)]
        return CorrectionSums(*(getattr(self, name) + getattr(other, name) for name in names))

    def applied_to(self, sums: ContributionSums) -> ContributionSums:
        """Give the sums of the corrected contributions ``c*`` from those of ``chat``."""
        return ContributionSums(
            respondents=sums.respondents,
            weight=sums.weight,
            weight_squares=sums.weight_squares,
            totals=sums.totals + self.totals,
            weight_products=sums.weight_products + self.weight_products,
            products=sums.products + self.products,
        )


@dataclass(frozen=True, eq=False)
class _Differences:
    """Distinct pairs of an audited response of weight above 0 and a column that it or the model says.

    `rows` are positions among the responses; `factor` is ``w l / p``; `true` and `predicted` are shares.
    """

    rows: Ints
    columns: Ints
    factor: Floats
    spread: Floats  # 1 - p
    true: Floats
    predicted: Floats

    @classmethod
    def of(
        cls, responses: ScoredResponses, hierarchy: Hierarchy, audited: AuditedRows, k: int
    ) -> _Differences:
        rows = audited.rows
        found = LossShares.of(
            hierarchy,
            audited.mention_rows,
            places_of(audited.codes, hierarchy)[audited.mention_codes],
            commented=responses.commented[rows],
            weight=responses.weight[rows],
        )
        place = np.full(responses.n, -1, dtype=np.int64)
        place[rows] = np.arange(rows.size)
        claimed = LossShares.of_responses(responses, hierarchy)
        drawn = place[claimed.rows] >= 0
        shares = np.zeros((found.rows.size + int(drawn.sum()), 2))
        shares[: found.rows.size, 0], shares[found.rows.size :, 1] = found.share, claimed.share[drawn]
        audited_row, columns, shares = sums_by_pair(
            np.concatenate([found.rows, place[claimed.rows[drawn]]]),
            np.concatenate([found.columns, claimed.columns[drawn]]),
            shares,
            k,
        )
        factor = (responses.weight * responses.loss)[rows] / audited.probability
        return cls(
            rows[audited_row],
            columns,
            factor[audited_row],
            (1.0 - audited.probability)[audited_row],
            shares[:, 0],
            shares[:, 1],
        )


def _of_audited_people(
    responses: ScoredResponses, audited: AuditedRows
) -> tuple[ScoredResponses, AuditedRows]:
    """Leave out everybody else, on whom these sums do not depend."""
    kept = np.isin(responses.respondent, responses.respondent[audited.rows])
    place = np.cumsum(kept) - 1
    return responses.subset(kept), replace(audited, rows=place[audited.rows])


def _with_squares(table: _Differences, values: Floats, k: int) -> Floats:
    squares = sums_by(table.columns, table.spread * values**2, k)
    return np.stack([sums_by(table.columns, values, k), squares])


def _people(responses: ScoredResponses, table: _Differences, k: int) -> Ints:
    """Count the distinct respondents in whose audited responses people found each column."""
    found = table.true > 0
    people, person = np.unique(responses.respondent[table.rows[found]], return_inverse=True)
    pairs = np.unique(table.columns[found] * max(1, people.size) + person)
    return counts_by(pairs // max(1, people.size), k)


def _clustered(
    responses: ScoredResponses, hierarchy: Hierarchy, table: _Differences, extra: Floats, k: int
) -> tuple[Floats, Floats, Floats]:
    """Sum x, respondents' weights times x, and what x adds to the products of contributions."""
    known, person = np.unique(responses.respondent, return_inverse=True)
    weight = sums_by(person, responses.weight, known.size)
    claimed = LossShares.of_responses(responses, hierarchy)
    rows, columns = claimed.rows, claimed.columns
    value = (responses.weight * responses.loss)[rows] * claimed.share
    own = csr_array((value, (person[rows], columns)), shape=(known.size, k))
    added = csr_array((extra, (person[table.rows], table.columns)), shape=(known.size, k))
    crossed = (own.T @ added).toarray()
    products = crossed + crossed.T + (added.T @ added).toarray()
    return np.asarray(added.sum(axis=0)), np.asarray(added.T @ weight), products


def corrected_interval(
    sums: ContributionSums, correction: CorrectionSums, *, worst: float, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Give intervals for corrected points lost.

    Three things are uncertain, and each by itself is a sum of rare amounts of one sign, for which a
    score interval (Wilson 1927) holds where the symmetric one does not: who answered, what the model
    missed, and what it imagined. Their margins are put together by MOVER (Zou & Donner 2008): the
    lower bound lies ``sqrt(sum of squared margins that way)`` below the corrected value. Where the
    audit found no error, an error could still be there, and the margin says how large.

    Parameters
    ----------
    sums
        Of the contributions by the model's codes, not corrected.
    correction
        What the audit adds.
    worst
        The greatest loss of a response: 2 for NPS, else 1.
    level
        The confidence level, between 0 and 1.

    Returns
    -------
    tuple of two ndarrays of shape (k,)
        The bounds in points; NaN for fewer than two respondents or audited responses.
    """
    if sums.respondents < 2 or correction.audited < 2:
        return np.full(sums.totals.shape, np.nan), np.full(sums.totals.shape, np.nan)
    points = 100.0 / sums.weight
    claimed = sums.means()
    centre = claimed + points * correction.totals
    t_people = student_quantile(sums.respondents, level)
    t_audit = float(stdtrit(correction.audited - 1, 0.5 + level / 2))
    unit = _person_unit(sums, worst) * _likeness(sums, correction, centre, worst)
    people = _score_margins(np.maximum(centre, 0.0), unit, t_people)
    missed = _error_margins(correction.missed, correction.exposed, points, t_audit)
    within = np.where(correction.claimed[0] > 0, correction.claimed, correction.exposed)
    imagined = _error_margins(correction.imagined, within, points, t_audit)
    # What the model imagined lies within what it claimed, so it cannot be more.
    room = claimed - points * correction.imagined[0]
    imagined = np.maximum(imagined[0], -room), np.minimum(imagined[1], np.maximum(0.0, room))
    low = centre - np.sqrt(people[0] ** 2 + missed[0] ** 2 + imagined[1] ** 2)
    high = centre + np.sqrt(people[1] ** 2 + missed[1] ** 2 + imagined[0] ** 2)
    return low, high


def _person_unit(sums: ContributionSums, worst: float) -> Floats:
    """Give the variance of the model's points lost over their mean; that of one response where it is 0."""
    mean, variance = sums.means(), np.diag(sums.covariance())
    single = 100.0 * worst * sums.weight_squares / sums.weight**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((mean > 0) & (variance > 0), variance / mean, single)


def _likeness(sums: ContributionSums, correction: CorrectionSums, centre: Floats, worst: float) -> float:
    """Give how much more the true contributions vary than those by the model's codes; from 1.

    Answers of one person are more alike than the model, erring on each anew, makes them. Without the
    draw's own variance that of ``c*`` estimates that of ``c``, for all columns together since it is noisy.
    """
    draw = (100.0 / sums.weight) ** 2 * (correction.missed[1] + correction.imagined[1])
    found = np.diag(correction.applied_to(sums).covariance()) - draw
    known = (correction.exposed[0] > 0) & (centre > 0)
    expected = float(centre[known].sum())
    ratio = float((found[known] / _person_unit(sums, worst)[known]).sum())
    return max(1.0, ratio / expected) if expected > 0 else 1.0


def _error_margins(errors: Floats, exposed: Floats, points: float, quantile: float) -> tuple[Floats, Floats]:
    """Give the margins of a sum of errors of one sign, in points, shape (k,) each.

    The size of an error is taken, weighted by size, from the errors found and one that was not: as large
    as they are where they may be (`exposed`).
    """
    total, squares = exposed
    typical = np.divide(squares, total, out=np.zeros_like(total), where=total > 0)
    size = errors[0] + typical
    unit = np.divide(errors[1] + typical**2, size, out=np.zeros_like(size), where=size > 0)
    return _score_margins(points * errors[0], points * unit, quantile)


def _score_margins(mean: Floats, unit: Floats, quantile: float) -> tuple[Floats, Floats]:
    """Give how far a score interval reaches below and above a mean whose variance is ``unit * mean``."""
    half = quantile**2 * unit / 2.0
    reach = np.sqrt(half**2 + 2.0 * mean * half)
    # half - reach cancels where the mean is small beside half.
    total = mean + half + reach
    low = np.divide(mean**2, total, out=np.zeros_like(mean), where=total > 0)
    return mean - low, half + reach
