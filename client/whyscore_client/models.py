"""What the API gives; fields that a later server adds are kept, and none is required to be known."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from whyscore_client.records import Page, Problem, Record

Polarity = Literal["negative", "neutral", "positive"]
OperatingPoint = Literal["high_precision", "balanced", "high_recall"]
Order = Literal["newest", "lowest_score"]
Unit = Literal["day", "week", "month"]


class Evidence(Record):
    """A part of a comment; offsets count Unicode code points."""

    start: int
    end: int
    text: str


class Tag(Record):
    """A reason code that a comment mentions."""

    code: str
    polarity: Polarity
    probability: float
    evidence: list[Evidence] = []


class TaggedResponse(Record):
    """A response with its tags; its segments are in `segments`."""

    response_id: str
    score: float | None
    comment: str | None
    responded_at: datetime | None
    respondent_id: str | None
    weight: float
    status: str
    tags: list[Tag]
    model: str | None
    taxonomy_version: int | None
    error: str = ""
    abstained: bool = False

    @property
    def segments(self) -> dict[str, Any]:
        """The response's segments."""
        return dict(self.model_extra or {})


class LineError(Record):
    """The record of a line of a stream that could not be understood or tagged."""

    line: int
    response_id: str | None
    status: Literal["error"]
    error: str
    tags: list[Any]
    model: str
    taxonomy_version: int


class TagReply(Record):
    """Tagged responses, in the order of the request."""

    model: str
    operating_point: OperatingPoint
    taxonomy_version: int
    responses: list[TaggedResponse]


class UpsertReply(Record):
    """What became of responses, and the model that tagged them."""

    model: str
    taxonomy_version: int
    received: int
    replaced: int
    created: int
    updated: int
    unchanged: int
    tagged: int
    uncoded: int
    no_comment: int
    error: int
    abstained: int
    reused: int
    left_out: int
    erased: int


class ResponsesPage(Page):
    """A page of responses."""

    responses: list[TaggedResponse]


class ErasureReply(Record):
    """What was erased of a respondent."""

    responses: int
    tags: int
    evidence: int
    annotations: int
    audit_items: int


class Metric(Record):
    """A metric and its confidence interval."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    respondents: int
    effective_n: float | None
    level: float


class RootCause(Record):
    """Points lost to a cause, with what belongs to them."""

    code: str


class Ranking(Record):
    """Root causes in order."""

    scale: str
    metric: Metric
    level: float
    n_scored: int
    n_unscored: int
    n_commented: int
    n_errors: int
    base: str
    rows: list[RootCause]
    buckets: dict[str, RootCause]
    parents: list[RootCause]
    total_check: float | None
    notes: list[str]
    correction: dict[str, Any]


class RootCauses(Ranking):
    """Ranked root causes, and those of each value of a segment."""

    labels: dict[str, str]
    models: dict[str, int]
    versions: list[str]
    from_: datetime | None = Field(alias="from")
    to: datetime | None
    by: str | None
    groups: dict[str, Ranking] | None
    cells: dict[str, Any] | None


class Period(Record):
    """A day, week or month, and the metric in it."""

    start: str
    end: str
    partial: bool
    responses: int
    respondents: int
    versions: list[str]
    metric: Metric


class MetricSeries(Record):
    """A metric, and the metric of each period."""

    metric: Metric
    periods: list[Period] | None


class MetricReply(MetricSeries):
    """The metric by period and segment."""

    scale: str
    level: float
    n_unscored: int
    n_undated: int
    period: Unit | None
    by: str | None
    groups: dict[str, MetricSeries] | None


class TrendPoint(Record):
    """Points lost to a cause in a period."""

    points_lost: float | None
    low: float | None
    high: float | None
    se: float | None
    mentions: int
    reason: str | None


class Trends(Record):
    """Causes over time."""

    scale: str
    by: Unit
    level: float
    periods: list[Period]
    causes: dict[str, list[TrendPoint]]
    notes: list[str]
    labels: dict[str, str]


class Hotspot(Record):
    """A segment's value in which a cause loses more."""

    code: str
    segment: str
    value: str
    points: float
    sentence: str


class Hotspots(Record):
    """Hotspots at a false discovery rate."""

    q: float
    hotspots: list[Hotspot]
    versions: list[str]
    labels: dict[str, str]


class Findings(Record):
    """What stands out beyond chance."""

    q: float
    hotspots: list[Hotspot]
    changes: list[dict[str, Any]]
    doubtful: list[dict[str, Any]]
    notes: list[str]
    refused: str | None
    versions: list[str]
    labels: dict[str, str]


class Segment(Record):
    """A column that responses can be grouped by."""

    name: str
    values: list[str]
    n_values: int
    derived: bool


class Segments(Record):
    """What responses can be grouped by."""

    segments: list[Segment]


class ReasonCode(Record):
    """A reason code."""

    id: str
    label: str = ""
    definition: str = ""
    includes: list[str] = []
    excludes: list[str] = []
    examples: list[str] = []


class Taxonomy(Record):
    """The reason codes that the model knows."""

    name: str
    version: int
    codes: list[ReasonCode]
    active: list[str]


class TaxonomyVersion(Record):
    """A version of the taxonomy."""

    version: int
    codes: list[str]
    added: list[str]
    removed: list[str]


class TaxonomyVersionsPage(Page):
    """A page of the taxonomy's versions."""

    name: str
    versions: list[TaxonomyVersion]


class AnnotationLabel(Record):
    """A code that a comment was said to mention."""

    code: str
    polarity: Polarity = "negative"
    evidence: str | None = None


class Annotation(Record):
    """What somebody says that a comment is about."""

    response_id: str
    comment: str
    taxonomy_version: int
    annotator: str | None = None
    codes: list[AnnotationLabel]


class AnnotationsKept(Record):
    """What became of annotations."""

    received: int
    created: int
    updated: int
    unchanged: int


class AnnotationsPage(Page):
    """A page of annotations."""

    annotations: list[Annotation]


class Job(Record):
    """A job and how far it is."""

    job_id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    file: str | None
    rows_done: int
    rows_total: int | None
    counts: dict[str, int]
    problem: Problem | None
    attempts: int
    cancel_requested: bool
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "cancelled")


class JobsPage(Page):
    """A page of jobs."""

    jobs: list[Job]


class Health(Record):
    """The process is up."""

    status: str


class Readiness(Record):
    """The service can work."""

    status: str
    model: str
    responses: int
    problems: list[str] | None = None
