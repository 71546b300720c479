"""The figures of every cause, from sums to rows: points lost, bracket, leave-one-out impact, status."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.scale import Scale
from model.cause_sums import BUCKETS, CauseSums
from model.leave_one_out import LeaveOneOut, leave_one_out
from model.points_lost import mean_interval, rule_of_three, student_quantile
from model.ranking import Impact, RootCause, Status

Floats = NDArray[np.float64]

ELIGIBLE, INSUFFICIENT = 10, 5
"""Distinct respondents from which a code is ranked, and from which it is shown at all."""


class Place(NamedTuple):
    """A cause's rank, its rank interval and its tier; all None for a cause that is not ranked."""

    rank: int | None = None
    low: int | None = None
    high: int | None = None
    tier: int | None = None


@dataclass(frozen=True, eq=False)
class CauseFigures:
    """The figures of every column of `CauseSums`, shape (k,) each, in points; NaN where undefined.

    Attributes
    ----------
    sums
        What they come from.
    means, covariance, errors, low, high
        The points lost, their joint covariance, standard errors and intervals.
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
    means: Floats
    covariance: Floats
    errors: Floats
    low: Floats
    high: Floats
    impact: LeaveOneOut
    reason: str | None
    unseen: float
    level: float

    @classmethod
    def of(cls, sums: CauseSums, scale: Scale, promoters_tagged: bool, level: float) -> CauseFigures:
        """Compute the figures; the arguments are those of `rank_from_sums`."""
        loss, people = sums.loss, sums.loss.respondents
        means, covariance = sums.contributions.means(), sums.contributions.covariance()
        errors = np.sqrt(np.maximum(0.0, np.diag(covariance)))
        size = loss.effective_respondents
        low, high = mean_interval(
            means, errors, respondents=people, effective_n=size, worst=100.0 * scale.worst_loss, level=level
        )
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
        return cls(
            sums, means, covariance, errors, low, high, impact, reason, rule_of_three(size, level), level
        )

    def row(self, column: int, place: Place) -> RootCause:
        """Give a column as a row."""
        sums, weight = self.sums, self.sums.contributions.weight or math.nan
        lost, mentions = float(self.means[column]), int(sums.mentions.mentions[column])
        by_class = 100.0 * sums.by_class[column] / weight
        return RootCause(
            code=self.code(column),
            points_lost=_known(lost),
            low=_known(self.low[column]),
            high=_known(self.high[column]),
            se=_known(self.errors[column]),
            bracket_low=_known(100.0 * float(sums.alone[column]) / weight),
            bracket_high=_known(100.0 * float(sums.mentions.loss[column]) / weight),
            from_detractors=_known(by_class[0]),
            from_passives=_known(by_class[1]),
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
        )

    def code(self, column: int) -> str:
        """Give the column's name."""
        return (*self.sums.hierarchy.codes, *BUCKETS, *self.sums.hierarchy.parents)[column]

    def status(self, column: int) -> Status:
        """Give the column's status."""
        if 0 <= column - len(self.sums.hierarchy.codes) < len(BUCKETS):
            return "bucket"
        people = int(self.sums.respondents[column])
        if people >= ELIGIBLE:
            return "eligible"
        return "insufficient" if people >= INSUFFICIENT else "suppressed"

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
        reach = student_quantile(int(self.impact.respondents[column]), self.level) * error
        return Impact(value, error, value - reach, value + reach, None, shrunk)


def _known(value: float) -> float | None:
    """Give None for NaN, and a plain float otherwise."""
    return None if math.isnan(value) else float(value)
