"""What the HTTP API takes and gives beside tags and rankings: jobs, erasure, annotations, models, series."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from data.annotations import Polarity
from data.jobs import JobState
from model.hotspots import Hotspot
from model.metric import Metric
from model.periods import Unit
from model.trends import Period, TrendPoint

NextCursor = Annotated[
    str | None, Field(description="Give it as ``cursor`` for the next page; null on the last.")
]
Next = Annotated[
    str | None,
    Field(description="The address of the next page, as header ``Link`` names it; null on the last."),
]
_MOMENT = {"format": "date-time"}
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class LineError(BaseModel):
    """The record of a line that could not be understood or tagged."""

    line: int = Field(description="The line, from 1; blank lines count.")
    response_id: str | None = Field(description="The response, where it could be read.")
    status: Literal["error"] = Field(description="Always ``error``.")
    error: str = Field(description="Why, in a sentence; never holds a comment.")
    tags: list[Any] = Field(max_length=0, description="Always empty.")
    model: str = Field(description="The model of the stream.")
    taxonomy_version: int = Field(description="The version of the taxonomy that the model knows.")


class ErasureReply(BaseModel):
    """What was erased of a respondent, whose responses are refused from now on."""

    responses: int = Field(description="Responses in the store.")
    tags: int = Field(description="Their tags.")
    evidence: int = Field(description="Parts of comments that carried their tags.")
    annotations: int = Field(description="Annotations in the store.")
    audit_items: int = Field(description="Items of audits, drawn and labelled.")


class JobProblem(BaseModel):
    """Why a job failed, after RFC 9457."""

    type: str = Field(description="Names the kind of problem, the same every time.")
    title: str = Field(description="The kind of problem, for people.")
    status: int = Field(description="The HTTP status that a request would have ended in.")
    detail: str = Field(description="What is wrong, in a sentence; never holds a comment.")
    file: str | None = Field(None, description="The file that it is in.")
    row: int | None = Field(None, description="The row, as a spreadsheet shows it: the header is row 1.")
    column: str | None = Field(None, description="The column.")


class JobReply(BaseModel):
    """A job and how far it is."""

    job_id: str = Field(description="Names the job.")
    kind: Literal["import"] = Field(description="What it does: tags and stores the responses of a file.")
    state: JobState = Field(
        description="queued; running; done; failed (``problem`` says why); cancelled (what was stored stays)."
    )
    file: str | None = Field(description="The file, as the request named it.")
    rows_done: int = Field(description="Responses that are tagged and on disk.")
    rows_total: int | None = Field(description="Responses in the file; null until all rows are checked.")
    counts: dict[str, int] = Field(
        description="What became of them, as ``POST /v1/responses`` counts it; of the latest attempt, to "
        "which what an interrupted one stored is unchanged."
    )
    problem: JobProblem | None = Field(description="Why it failed.")
    attempts: int = Field(description="How often it was begun since it last got further.")
    cancel_requested: bool = Field(description="Whether somebody asked for its end.")
    created_at: Moment = Field(description="When it was put up, in UTC.")
    updated_at: Moment = Field(description="When it was last heard of, in UTC.")
    finished_at: Moment | None = Field(description="When it ended, in UTC.")


class JobsReply(BaseModel):
    """A page of jobs."""

    jobs: list[JobReply] = Field(description="The jobs, newest first; those that ended long ago are gone.")
    next_cursor: NextCursor
    next: Next


class CodeLabelIn(BaseModel):
    """A code that a comment mentions."""

    model_config = ConfigDict(strict=True, extra="forbid")

    code: str = Field(description="The reason code.")
    polarity: Polarity = Field("negative", description="Whether the comment blames, names or praises it.")
    evidence: str | None = Field(None, description="The part of the comment that says so.")


class AnnotationIn(BaseModel):
    """What somebody says that a comment is about."""

    model_config = ConfigDict(
        strict=True,
        extra="ignore",  # as a file's rows may say more, such as an audit's mark
        json_schema_extra={
            "examples": [
                {
                    "response_id": "r1",
                    "comment": "Billed twice, but the agent was lovely.",
                    "taxonomy_version": 3,
                    "annotator": "ana",
                    "codes": [{"code": "billing.unexpected-charge", "polarity": "negative"}],
                }
            ]
        },
    )

    response_id: str | int | None = Field(
        None, description="The response; made from the comment where missing."
    )
    comment: str = Field(description="The verbatim.")
    taxonomy_version: int | None = Field(
        None, description="The version that the annotator worked with; the model's own where missing."
    )
    annotator: str | None = Field(None, description="Who says so.")
    codes: list[CodeLabelIn | str] = Field(
        description="The codes that apply, as objects or bare ids; none says: reviewed, none applies."
    )


class AnnotationsRequest(BaseModel):
    """Annotations to keep."""

    model_config = ConfigDict(strict=True, extra="forbid")

    annotations: list[AnnotationIn] = Field(description="The annotations.")


class AnnotationsKept(BaseModel):
    """What became of annotations; all of them are on disk."""

    received: int = Field(description="Annotations in the request.")
    created: int = Field(description="Those that the store did not have.")
    updated: int = Field(description="Those that replaced what their annotator had said before.")
    unchanged: int = Field(description="Those that the store had, word for word.")


class AnnotationLabel(BaseModel):
    """A code that a comment was said to mention."""

    code: str = Field(description="The reason code.")
    polarity: Polarity = Field(description="Whether the comment blames, names or praises it.")
    evidence: str | None = Field(None, description="The part of the comment that says so.")


class AnnotationRecord(BaseModel):
    """An annotation, as a line of an annotations file holds it."""

    response_id: str = Field(description="The response.")
    comment: str = Field(description="The verbatim.")
    taxonomy_version: int = Field(description="The version that the annotator worked with.")
    annotator: str | None = Field(None, description="Who says so.")
    codes: list[AnnotationLabel] = Field(description="The codes that apply.")


class AnnotationsReply(BaseModel):
    """A page of annotations."""

    annotations: list[AnnotationRecord] = Field(description="The annotations, by response.")
    next_cursor: NextCursor
    next: Next


class TaxonomyVersion(BaseModel):
    """A version of the taxonomy."""

    version: int = Field(description="The version.")
    codes: list[str] = Field(description="The ids that somebody who worked with it could choose, sorted.")
    added: list[str] = Field(description="Those that the version before did not have.")
    removed: list[str] = Field(description="Those of the version before that it does not have.")


class TaxonomyVersionsReply(BaseModel):
    """The versions of the taxonomy that the model knows, as its migrations tell them."""

    name: str = Field(description="The taxonomy's name.")
    versions: list[TaxonomyVersion] = Field(description="The versions, newest first.")
    next_cursor: NextCursor
    next: Next


class ModelVersion(BaseModel):
    """A version of the model in the registry."""

    version: int = Field(description="The version.")
    name: str = Field(description="The model as tags name it.", examples=["reason-codes/7"])
    champion: bool = Field(description="Whether it is the one that tags, unless another was asked for.")
    created_at: Moment = Field(description="When it was registered, in UTC.")
    run_id: str = Field(description="The MLflow run that made it.")
    metrics: dict[str, float] = Field(
        description="Figures of its training, on comments it was not fitted on."
    )
    params: dict[str, str] = Field(description="What it was trained with.")


class ModelsReply(BaseModel):
    """A page of the registry's versions."""

    models: list[ModelVersion] = Field(description="The versions, newest first.")
    next_cursor: NextCursor
    next: Next


class ChampionReply(BaseModel):
    """A change of champion."""

    champion: int = Field(description="The champion from now on.")
    before: int | None = Field(description="The champion before.")


class MetricSeries(BaseModel):
    """The metric of some responses, and in each period."""

    metric: Metric = Field(description="The metric with its interval.")
    periods: list[Period] | None = Field(
        description="Every period from the first with a response to the last; null where not asked for."
    )


class MetricReply(MetricSeries):
    """The metric of all responses that meet the filter, by period and segment."""

    scale: str = Field(description="The scale of the scores.", examples=["nps"])
    level: float = Field(description="The confidence level of every interval.")
    n_unscored: int = Field(description="Responses left out for want of a score.")
    n_undated: int = Field(description="Scored responses without a time, which are in no period.")
    period: Unit | None = Field(description="The unit of ``periods``.")
    by: str | None = Field(description="The segment of ``groups``.")
    groups: dict[str, MetricSeries] | None = Field(
        description='The metric of each value of ``by``; ``""`` holds responses without a value.'
    )


class TrendsReply(BaseModel):
    """Points lost to causes, period by period."""

    scale: str = Field(description="The scale of the scores.", examples=["nps"])
    by: Unit = Field(description="The unit of the periods.")
    level: float = Field(description="The confidence level of every interval.")
    periods: list[Period] = Field(description="Every period from the first with a response to the last.")
    causes: dict[str, list[TrendPoint]] = Field(
        description="From a code, parent or bucket to its points, one for each period."
    )
    notes: list[str] = Field(description="Sentences that belong beside the figures.")
    labels: dict[str, str] = Field(description="The label of each cause.")


class HotspotsReply(BaseModel):
    """Segment values in which a cause loses more than elsewhere, beyond chance."""

    q: float = Field(
        description="The false discovery rate: about this share of them is expected to be chance."
    )
    hotspots: list[Hotspot] = Field(description="The hotspots, most points first.")
    versions: list[str] = Field(description="What tagged the comments of the store, as in `/v1/root-causes`.")
    labels: dict[str, str] = Field(description="The label of each code that is found.")
