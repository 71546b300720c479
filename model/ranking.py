"""A ranking of root causes as it is handed on: frozen rows that turn into plain JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from model.metric import Metric

Status = Literal["eligible", "insufficient", "suppressed", "bucket"]


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
    """

    value: float | None
    se: float | None
    low: float | None
    high: float | None
    reason: str | None
    shrunk: bool = False


@dataclass(frozen=True)
class RootCause:
    """A code, a parent of codes or a bucket, with the points that are associated with it.

    Attributes
    ----------
    code
        The code's id; ``uncoded`` or ``no_comment`` for a bucket.
    points_lost, low, high, se
        In points of the metric, with the confidence interval and the standard error; None without responses.
    bracket_low, bracket_high
        The points lost in responses that mention this cause alone, and in all that mention it.
    from_detractors, from_passives
        The two parts of `points_lost`: from the lowest class, and from the middle one (NPS alone).
    mentions, respondents, praised
        Responses that mention the cause, the people behind them, and responses that praise it.
    prevalence, prevalence_high
        The weighted share of mentions; its upper bound by the rule of three where there is none.
    rank, rank_low, rank_high, tier
        Among the eligible causes of its level; None for the others and for buckets.
    status
        ``eligible`` from ten respondents, ``insufficient`` from five, else ``suppressed`` (it still
        counts in the sum; a display folds it). A ``bucket`` is always shown.
    impact
        The leave-one-out impact.
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
        }
