"""A change across two models, bridged by an overlap, as frozen rows that turn into plain JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from model.explained_change import Part
from model.metric import Metric, MetricChange
from model.ranking import Status


@dataclass(frozen=True)
class BridgedCause:
    """The change of the points lost to a cause, parted into the model's effect and the customers' change.

    Attributes
    ----------
    code, status
        As in a ranking; the status by the respondents of both groups together.
    change
        Points lost after, as the later model tags, less before, as the earlier one does.
    model_effect, customer_change
        Its two parts, which sum to it.
    p_value, q_value
        Of no change of customers, and the least false discovery rate over codes and buckets at which it is
        flagged; None for parents and where fewer than ten respondents mention it.
    flagged
        Whether the change of customers passes the false discovery rate.
    """

    code: str
    status: Status
    change: float
    model_effect: Part
    customer_change: Part
    p_value: float | None
    q_value: float | None
    flagged: bool


@dataclass(frozen=True)
class BridgedChange:
    """The change of a metric between two groups that different models tagged.

    Attributes
    ----------
    scale, names, segment, level, q
        As in `model.explained_change.ExplainedChange`.
    versions
        What tagged either group.
    overlap
        People of either group with a comment and a loss whom both versions tagged.
    before, after, metric
        The metric in either group and its change, which depends on no tags.
    rows, buckets, parents
        The causes: eligible codes first, then insufficient, then suppressed; each from the largest change
        of customers to the smallest. Model effects sum to 0 over rows and buckets.
    total_check
        The changes of customers over rows and buckets, plus the metric's change: 0 up to rounding error.
    notes
        Sentences that belong beside the figures.
    """

    scale: str
    names: tuple[str, str]
    segment: str | None
    versions: tuple[str, str]
    overlap: tuple[int, int]
    level: float
    q: float
    before: Metric
    after: Metric
    metric: MetricChange
    rows: tuple[BridgedCause, ...]
    buckets: tuple[BridgedCause, ...]
    parents: tuple[BridgedCause, ...]
    total_check: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "scale": self.scale,
            "from": self.names[0],
            "to": self.names[1],
            "segment": self.segment,
            "versions": list(self.versions),
            "overlap": list(self.overlap),
            "level": self.level,
            "q": self.q,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "metric": self.metric.to_dict(),
            "rows": [asdict(row) for row in self.rows],
            "buckets": {row.code: asdict(row) for row in self.buckets},
            "parents": [asdict(row) for row in self.parents],
            "total_check": self.total_check,
            "notes": list(self.notes),
        }
