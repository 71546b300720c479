"""A ranking of root causes as it is handed on: frozen rows that turn into plain JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from model.metric import Metric

Status = Literal["eligible", "insufficient", "suppressed", "bucket"]
CorrectionStatus = Literal["corrected", "uncorrected"]


@dataclass(frozen=True)
class Impact:
    """The leave-one-out impact of a cause, in points.

    Attributes
    ----------
    value, se, low, high
        Below 0 where the cause goes with lower scores; None where undefined, and `reason` says why.
    reason
        ``no_responses``, ``promoters_not_tagged``, ``all_in_one_class``, ``no_mentions``,
        ``mentioned_by_all``, or None.
    shrunk
        Whether pseudo-rows were added, as they are below ten mentions.
    p_value, q_value
        Of an eligible cause whose impact is below 0: two-sided, and the least false discovery rate at which
        it is flagged; 1 where it is not below 0, None for the others.
    flagged
        Whether it is below 0 beyond chance, at the false discovery rate of `model.impact_tests`.
    """

    value: float | None
    se: float | None
    low: float | None
    high: float | None
    reason: str | None
    shrunk: bool = False
    p_value: float | None = None
    q_value: float | None = None
    flagged: bool = False


@dataclass(frozen=True)
class ModelFigure:
    """Points lost by the model's codes alone, its errors included.

    Attributes
    ----------
    points_lost, low, high
        With their confidence interval; None without responses.
    """

    points_lost: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Correction:
    """What an audit says of a cause.

    Attributes
    ----------
    status
        ``corrected`` where the cause's points are corrected for the model's errors and the audit holds
        enough of it; else ``uncorrected``.
    reason
        Why it is uncorrected: ``no_audit``; ``few_audited_rows`` (under 300); ``other_responses``,
        ``other_comments``, ``other_model``, ``other_taxonomy_version`` or ``seen_in_training``, where the
        audit does not fit; ``few_audited_positives`` (under 10 of this cause). In this last case alone
        the points still hold the cause's share of the correction, without which the sum would not be
        exact, and the interval is as wide as that deserves.
    audited_positives
        The people in whose audited comments people found the cause; None without an audit.
    uncorrected
        The points by the model's codes alone.
    """

    status: CorrectionStatus
    reason: str | None
    audited_positives: int | None
    uncorrected: ModelFigure


@dataclass(frozen=True)
class RankingCorrection:
    """Whether a ranking is corrected for the model's errors.

    Attributes
    ----------
    status, reason
        As those of `Correction`, for the ranking as a whole.
    explanation
        The same in a sentence.
    audited
        Audited responses among those that are ranked; None without an audit.
    """

    status: CorrectionStatus
    reason: str | None
    explanation: str
    audited: int | None


@dataclass(frozen=True)
class RootCause:
    """A code, a parent of codes or a bucket, with the points that are associated with it.

    Attributes
    ----------
    code
        The code's id; ``uncoded`` or ``no_comment`` for a bucket.
    points_lost, low, high, se
        In points of the metric, with the confidence interval and the standard error; None without
        responses. Corrected by an audit they may lie below 0.
    bracket_low, bracket_high
        The points lost in responses that mention this cause alone, and in all that mention it; corrected
        as the points are, so that by chance they may lie the wrong way round.
    from_detractors, from_passives
        The two parts of `points_lost`: from the lowest class, and from the middle one (NPS alone).
    mentions, respondents, praised
        Responses that mention the cause by the model's codes, the people behind them, and responses that
        praise it. An audit does not change them.
    prevalence, prevalence_high
        The weighted share of mentions; its upper bound by the rule of three where there is none.
    rank, rank_low, rank_high, tier
        Among the eligible causes of its level; None for the others and for buckets.
    status
        ``eligible`` from ten respondents (by the model's codes or in an audit that corrects),
        ``insufficient`` from five, else ``suppressed`` (it still counts in the sum; a display folds it).
        A ``bucket`` is always shown.
    impact
        The leave-one-out impact, by the model's codes.
    correction
        Whether the points are corrected for the model's errors, and what they are without.
    """

    code: str
    points_lost: float | None
    low: float | None
    high: float | None
    se: float | None
    bracket_low: float | None
    bracket_high: float | None
    from_detractors: float | None
    from_passives: float | None
    mentions: int
    respondents: int
    praised: int
    prevalence: float | None
    prevalence_high: float | None
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    tier: int | None
    status: Status
    impact: Impact
    correction: Correction

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Ranking:
    """Root causes in order, and the base they stand on.

    Attributes
    ----------
    scale
        The scale's name, such as ``nps``.
    metric
        The metric with its interval.
    level
        The confidence level of every interval.
    n_scored, n_unscored, n_commented, n_errors
        Scored responses (the base of every figure); responses left out for want of a score; scored
        responses with a comment; comments that could not be read.
    base
        What the base is, in a sentence.
    rows
        The codes: eligible ones first, then insufficient, then suppressed ones; each group from most
        to least points lost, ties by id.
    buckets
        ``uncoded`` and ``no_comment``, always both.
    parents
        The parents of the codes, in the same order as `rows`; each sums its codes. A parent is ranked
        among all causes of its level.
    total_check
        Points lost over rows and buckets, less ``100 - metric``: 0 up to rounding error.
    notes
        Sentences that belong beside the figures.
    correction
        Whether the points are corrected for the model's errors.
    """

    scale: str
    metric: Metric
    level: float
    n_scored: int
    n_unscored: int
    n_commented: int
    n_errors: int
    base: str
    rows: tuple[RootCause, ...]
    buckets: tuple[RootCause, ...]
    parents: tuple[RootCause, ...]
    total_check: float | None
    notes: tuple[str, ...]
    correction: RankingCorrection

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "scale": self.scale,
            "metric": self.metric.to_dict(),
            "level": self.level,
            "n_scored": self.n_scored,
            "n_unscored": self.n_unscored,
            "n_commented": self.n_commented,
            "n_errors": self.n_errors,
            "base": self.base,
            "rows": [row.to_dict() for row in self.rows],
            "buckets": {row.code: row.to_dict() for row in self.buckets},
            "parents": [row.to_dict() for row in self.parents],
            "total_check": self.total_check,
            "notes": list(self.notes),
            "correction": asdict(self.correction),
        }
