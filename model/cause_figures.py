"""The figures of every cause, from sums to rows: points lost, bracket, leave-one-out impact, status."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from data.audits import AuditFault
from data.scale import Scale
from model.cause_sums import BUCKETS, CauseSums
from model.correction import LEAST_AUDITED, LEAST_POSITIVES, CorrectionSums, corrected_interval
from model.leave_one_out import LeaveOneOut, leave_one_out
from model.loss_shares import column_names
from model.points_lost import (
    ContributionSums,
    mean_interval,
    rule_of_three,
    student_quantile,
    uneven_freedom,
)
from model.ranking import Correction, Impact, ModelFigure, RankingCorrection, RootCause, Status

Floats = NDArray[np.float64]

ELIGIBLE, INSUFFICIENT = 10, 5
"""Distinct respondents from which a code is ranked, and from which it is shown at all."""

_UNCORRECTED = "Points lost are as the model reads the comments, not corrected for its errors."


class Place(NamedTuple):
    """A cause's rank, its rank interval and its tier; all None for a cause that is not ranked."""

    rank: int | None = None
    low: int | None = None
    high: int | None = None
    tier: int | None = None


@dataclass(frozen=True, eq=False)
class LostFigures:
    """Points lost with their errors and intervals, shape (k,) each, and their covariance, shape (k, k)."""

    means: Floats
    covariance: Floats
    errors: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, sums: ContributionSums, effective_n: float, worst: float, level: float) -> LostFigures:
        """Compute the figures by the model's codes; `worst` is the greatest loss of a response."""
        means, covariance = sums.means(), sums.covariance()
        errors = np.sqrt(np.maximum(0.0, np.diag(covariance)))
        low, high = mean_interval(
            means,
            errors,
            respondents=sums.respondents,
            effective_n=effective_n,
            worst=100.0 * worst,
            level=level,
        )
        return cls(means, covariance, errors, low, high)

    def corrected(
        self, sums: ContributionSums, correction: CorrectionSums, worst: float, level: float
    ) -> LostFigures:
        """Give the figures that an audit corrects; `sums` are those of the model's codes."""
        total = correction.applied_to(sums)
        covariance = total.covariance()
        low, high = corrected_interval(sums, correction, worst=worst, level=level)
        fallible = correction.exposed[0] > 0
        return LostFigures(
            total.means(),
            covariance,
            np.sqrt(np.maximum(0.0, np.diag(covariance))),
            np.where(fallible, low, self.low),
            np.where(fallible, high, self.high),
        )

    def cautious_covariance(self, respondents: int, level: float) -> Floats:
        """Give the covariance for comparisons, no smaller than the intervals say.

        Where an audit found no error of a rare code, its sample covariance knows of none; the interval
        allows for those that it did not meet.
        """
        if respondents < 2:
            return self.covariance
        reach = (self.high - self.low) / (2.0 * student_quantile(respondents, level))
        known = self.errors > 0
        factor = np.divide(reach, self.errors, out=np.ones_like(reach), where=known)
        factor = np.maximum(1.0, factor)
        wider: Floats = self.covariance * np.outer(factor, factor)
        return wider


@dataclass(frozen=True, eq=False)
class CauseFigures:
    """The figures of every column of `CauseSums`, shape (k,) each, in points; NaN where undefined.

    Attributes
    ----------
    sums
        What they come from.
    lost
        The points lost; corrected where the ranking is.
    model_lost
        The points lost by the model's codes alone.
    state
        Whether the ranking is corrected.
    impact
        The leave-one-out impacts.
    reason
        Why no column has an impact; None where they may have one.
    unseen
        The rule of three: what may be the prevalence of a code that nobody mentions.
    level
        The confidence level.
    """

    sums: CauseSums
    lost: LostFigures
    model_lost: LostFigures
    state: RankingCorrection
    impact: LeaveOneOut
    reason: str | None
    unseen: float
    level: float

    @classmethod
    def of(
        cls,
        sums: CauseSums,
        scale: Scale,
        promoters_tagged: bool,
        level: float,
        fault: AuditFault | None = None,
    ) -> CauseFigures:
        """Compute the figures; `fault` says why an audit does not correct. See `rank_from_sums`."""
        loss, people = sums.loss, sums.loss.respondents
        size = loss.effective_respondents
        by_model = LostFigures.of(sums.contributions, size, scale.worst_loss, level)
        state, lost = correction_state(sums.correction, fault), by_model
        if state.status == "corrected" and sums.correction is not None:
            lost = by_model.corrected(sums.contributions, sums.correction, scale.worst_loss, level)
        reason = None if promoters_tagged else "promoters_not_tagged"
        if (loss.counts > 0).sum() < 2:
            reason = "all_in_one_class" if loss.n else "no_responses"
        impact = leave_one_out(
            sums.mentions,
            weight=loss.weight,
            loss=float(loss.weights @ loss.class_losses),
            moments=loss.moments,
            n=loss.n,
            respondents=people,
            pseudo_losses=(2.0, 1.0, 0.0) if scale.worst_loss == 2 else (1.0, 0.0),
        )
        return cls(sums, lost, by_model, state, impact, reason, rule_of_three(size, level), level)

    @property
    def applied(self) -> CorrectionSums | None:
        """What corrects the figures; None where nothing does."""
        return self.sums.correction if self.state.status == "corrected" else None

    def row(self, column: int, place: Place) -> RootCause:
        """Give a column as a row."""
        sums, weight, applied = self.sums, self.sums.contributions.weight or math.nan, self.applied
        lost, mentions = float(self.lost.means[column]), int(sums.mentions.mentions[column])
        alone, anywhere = float(sums.alone[column]), float(sums.mentions.loss[column])
        by_class = sums.by_class[column]
        if applied is not None:
            alone, anywhere = alone + float(applied.alone[column]), anywhere + float(applied.anywhere[column])
            by_class = by_class + applied.by_class[column]
        return RootCause(
            code=self.code(column),
            points_lost=_known(lost),
            low=_known(self.lost.low[column]),
            high=_known(self.lost.high[column]),
            se=_known(self.lost.errors[column]),
            bracket_low=_known(100.0 * alone / weight),
            bracket_high=_known(100.0 * anywhere / weight),
            from_detractors=_known(100.0 * float(by_class[0]) / weight),
            from_passives=_known(100.0 * float(by_class[1]) / weight),
            mentions=mentions,
            respondents=int(sums.respondents[column]),
            praised=int(sums.praised[column]),
            prevalence=_known(float(sums.mentions.weight[column]) / weight),
            prevalence_high=self.unseen if mentions == 0 and sums.loss.n else None,
            rank=place.rank,
            rank_low=place.low,
            rank_high=place.high,
            tier=place.tier,
            status=self.status(column),
            impact=self.row_impact(column),
            correction=self.row_correction(column),
        )

    def code(self, column: int) -> str:
        """Give the column's name."""
        return column_names(self.sums.hierarchy)[column]

    def status(self, column: int) -> Status:
        """Give the column's status."""
        if 0 <= column - len(self.sums.hierarchy.codes) < len(BUCKETS):
            return "bucket"
        people = int(self.sums.respondents[column])
        if self.applied is not None:
            people = max(people, int(self.applied.positives[column]))
        if people >= ELIGIBLE:
            return "eligible"
        return "insufficient" if people >= INSUFFICIENT else "suppressed"

    def row_correction(self, column: int) -> Correction:
        """Give what the audit says of a column."""
        model, sums, state = self.model_lost, self.sums.correction, self.state
        figure = ModelFigure(*(_known(part[column]) for part in (model.means, model.low, model.high)))
        positives = None if sums is None else int(sums.positives[column])
        # Nobody can be wrong about a response without a comment.
        settled = positives is None or positives >= LEAST_POSITIVES or self.code(column) == "no_comment"
        if state.status == "uncorrected" or settled:
            return Correction(state.status, state.reason, positives, figure)
        return Correction("uncorrected", "few_audited_positives", positives, figure)

    def row_impact(self, column: int) -> Impact:
        """Give the column's leave-one-out impact, or the reason why it has none."""
        value, error = float(self.impact.value[column]), float(self.impact.error[column])
        reason = self.reason
        if reason is None and math.isnan(value):
            reason = "mentioned_by_all" if self.sums.mentions.mentions[column] else "no_mentions"
        if reason is not None:
            return Impact(None, None, None, None, reason)
        shrunk = bool(self.impact.shrunk[column])
        if math.isnan(error):
            return Impact(value, None, None, None, None, shrunk)
        reach = float(stdtrit(self.impact_freedom(column), 0.5 + self.level / 2)) * error
        return Impact(value, error, value - reach, value + reach, None, shrunk)

    def impact_freedom(self, column: int) -> float:
        """Give the degrees of freedom of the column's impact, fewer where weights are uneven."""
        mentions, loss = self.sums.mentions, self.sums.loss
        own = float(mentions.within[column, 0, 0])
        return float(
            uneven_freedom(
                float(mentions.weight[column]) ** 2 / own if own > 0 else 1.0,
                respondents=int(self.impact.respondents[column]),
                effective_n=loss.effective_respondents / loss.respondents * self.impact.respondents[column],
            )
        )


def correction_state(correction: CorrectionSums | None, fault: AuditFault | None) -> RankingCorrection:
    """Tell whether an audit corrects a ranking, and why it does not."""
    if fault is not None:
        return RankingCorrection("uncorrected", fault.reason, f"{_UNCORRECTED} {fault.sentence}", None)
    if correction is None:
        sentence = f"{_UNCORRECTED} Draw an audit with: whyscore audit sample."
        return RankingCorrection("uncorrected", "no_audit", sentence, None)
    audited = correction.audited
    if audited < LEAST_AUDITED:
        sentence = (
            f"{_UNCORRECTED} {audited:,} of them were audited; an audit corrects from {LEAST_AUDITED} on."
        )
        return RankingCorrection("uncorrected", "few_audited_rows", sentence, audited)
    sentence = f"Points lost are corrected for the model's errors by an audit of {audited:,} of the comments."
    return RankingCorrection("corrected", None, sentence, audited)


def _known(value: float) -> float | None:
    """Give None for NaN, and a plain float otherwise."""
    return None if math.isnan(value) else float(value)
