"""A change of the metric, taken apart into its causes, as frozen rows that turn into plain JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from model.metric import Metric, MetricChange
from model.ranking import Status


@dataclass(frozen=True)
class Part:
    """A part of a change, in points.

    Attributes
    ----------
    points
        Above 0 where more is lost after than before.
    low, high, se
        The confidence interval and the standard error, clustered by respondent; None where a group has
        fewer than two respondents.
    """

    points: float
    low: float | None
    high: float | None
    se: float | None

    @classmethod
    def of(cls, points: float, reach: float, error: float) -> Part:
        """Build a part with a symmetric interval; NaN stands for what is not known."""
        if math.isnan(reach):
            return cls(float(points), None, None, None)
        return cls(float(points), float(points - reach), float(points + reach), float(error))


@dataclass(frozen=True)
class CauseChange:
    """The change of the points lost to a code, a bucket or a parent, from one group to another.

    Attributes
    ----------
    code
        The code's id; ``uncoded`` or ``no_comment`` for a bucket.
    status
        As in a ranking, by the distinct respondents of both groups together.
    before, after
        Points lost in either group.
    change, low, high, se
        After less before, above 0 where more is lost; with the confidence interval and the standard
        error, clustered by respondent. None where a group has fewer than two respondents.
    p_value, q_value
        Of no change (two-sided), and the least false discovery rate over codes and buckets at which it is
        flagged; None for parents and where fewer than ten respondents mention it.
    flagged
        Whether the change passes the false discovery rate.
    mentions_before, mentions_after, respondents_before, respondents_after
        Counts in either group.
    sentence
        The change in words, where it is flagged.
    """

    code: str
    status: Status
    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    se: float | None
    p_value: float | None
    q_value: float | None
    flagged: bool
    mentions_before: int
    mentions_after: int
    respondents_before: int
    respondents_after: int
    sentence: str | None


@dataclass(frozen=True)
class ExplainedChange:
    """The change of a metric between two groups, and of all its causes.

    Attributes
    ----------
    scale, names, segment, level, q
        The scale's name; what the groups are called; the segment whose values they are, None for
        periods; the confidence level; the false discovery rate.
    before, after
        The metric in either group.
    metric
        Its change, with the test. Above 0 where the metric rose: the opposite sign of the causes'.
    rows
        The codes: eligible ones first, then insufficient, then suppressed; each from the largest change
        to the smallest, ties by id.
    buckets, parents
        ``uncoded`` and ``no_comment``, always both; the parents, each the sum of its codes.
    shared_respondents
        People who answered in both groups.
    total_check
        The changes over rows and buckets, plus the metric's: 0 up to rounding error.
    notes
        Sentences that belong beside the figures.
    """

    scale: str
    names: tuple[str, str]
    segment: str | None
    level: float
    q: float
    before: Metric
    after: Metric
    metric: MetricChange
    rows: tuple[CauseChange, ...]
    buckets: tuple[CauseChange, ...]
    parents: tuple[CauseChange, ...]
    shared_respondents: int
    total_check: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "scale": self.scale,
            "from": self.names[0],
            "to": self.names[1],
            "segment": self.segment,
            "level": self.level,
            "q": self.q,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "metric": self.metric.to_dict(),
            "rows": [asdict(row) for row in self.rows],
            "buckets": {row.code: asdict(row) for row in self.buckets},
            "parents": [asdict(row) for row in self.parents],
            "shared_respondents": self.shared_respondents,
            "total_check": self.total_check,
            "notes": list(self.notes),
        }
