"""What the HTTP API takes and gives; the parts that `data` and `model` define are taken from there."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from data.cells import parse_time
from data.errors import InputError
from data.personal_data import parse_kinds
from data.tags import Status, Tag
from data.taxonomy import ReasonCode
from model.changes import Change
from model.hotspots import Hotspot
from model.metric import Metric
from model.operating_points import BALANCED, PointName
from model.ranking import RankingCorrection, RootCause
from model.segment_cells import SegmentCells

MAX_TAG_ITEMS = 1000
"""Responses in one request for tags; tags of more are stored or written to a file."""


def _iso_time(text: str) -> str:
    parse_time(text)
    return text


SegmentValue = str | int | float | bool | None
IsoTime = Annotated[str, AfterValidator(_iso_time), Field(json_schema_extra={"format": "date-time"})]
Id = Annotated[str, Field(max_length=512)] | int

_RESPONSE: JsonDict = {
    "response_id": "r1",
    "score": 3,
    "comment": "Billed twice, but the agent was lovely.",
    "responded_at": "2026-04-06T09:30:00+00:00",
    "region": "North",
}
_TAGGED: JsonDict = _RESPONSE | {
    "respondent_id": None,
    "weight": 1,
    "status": "tagged",
    "tags": [
        {
            "code": "billing.unexpected-charge",
            "polarity": "negative",
            "probability": 0.97,
            "evidence": [{"start": 0, "end": 12, "text": "Billed twice"}],
        }
    ],
    "model": "reason-codes/7",
    "taxonomy_version": 3,
}


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class ResponseIn(BaseModel):
    """One answer to a survey. Every other key is a segment, such as ``region`` or ``channel``."""

    model_config = ConfigDict(
        strict=True, extra="allow", allow_inf_nan=False, json_schema_extra={"examples": [_RESPONSE]}
    )
    __pydantic_extra__: dict[str, SegmentValue] = Field(init=False)

    response_id: Id | None = Field(
        None, description="Names the response; a later one with the same id replaces it."
    )
    score: float | None = Field(None, description="On the declared scale; null where it was left out.")
    comment: str | None = Field(None, description="The verbatim; null where there is none.")
    responded_at: IsoTime | None = Field(
        None, description="When it was given, in ISO 8601; UTC where it has no offset."
    )
    respondent_id: Id | None = Field(
        None, description="Who answered, where known: answers of one person are not independent."
    )
    weight: float | None = Field(
        None, ge=0, description="What the answer counts for, such as the customer's value; 1 where not given."
    )

    def cells(self) -> dict[str, Any]:
        """Give it as a row of a table has it."""
        extra = self.__pydantic_extra__
        segments = {key: str(v).lower() if isinstance(v, bool) else v for key, v in extra.items()}
        return segments | {name: getattr(self, name) for name in type(self).model_fields}


def _mask_kind(name: str) -> str:
    try:
        return parse_kinds([name])[0]
    except InputError as error:
        raise ValueError(error.message) from None


MaskKind = Annotated[
    str,
    Field(pattern=r"^(card|iban|email|phone(:[A-Z]{2})?)$", examples=["card"]),
    AfterValidator(_mask_kind),
]
MASK_WORDS = (
    "Personal data to replace by placeholders such as [card]: card, iban, email, phone, and phone:GB for "
    "numbers as written there too. What the server masks anyway is masked besides."
)


class TagRequest(_Request):
    """Responses to tag; nothing is stored."""

    responses: list[ResponseIn] = Field(max_length=MAX_TAG_ITEMS, description="The responses.")
    operating_point: PointName = Field(
        BALANCED,
        description="Where to draw the line: high_precision gives fewer tags of which more are right, "
        "high_recall more tags that miss less.",
    )
    mask: list[MaskKind] = Field(
        [],
        max_length=20,
        description=f"{MASK_WORDS} The model reads the masked comment; comment and evidence of the answer "
        "are those of the original.",
    )
    model: str | None = Field(
        None,
        max_length=200,
        description="A version to tag with, instead of the one that serves.",
        examples=["reason-codes/7"],
    )


class UpsertRequest(_Request):
    """Responses to tag and store, each with a ``response_id``."""

    responses: list[ResponseIn] = Field(description="The responses.")
    mask: list[MaskKind] = Field(
        [],
        max_length=20,
        description=f"{MASK_WORDS} Evidence is that of the masked comment, which is stored.",
    )


class TaggedRecord(BaseModel):
    """A response with its tags, as a line of a tags file holds it; its segments stand beside the fields."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_TAGGED]})
    __pydantic_extra__: dict[str, str] = Field(init=False)

    response_id: str = Field(description="Names the response.")
    score: int | float | None = Field(description="On the declared scale.")
    comment: str | None = Field(description="The verbatim; evidence counts its Unicode code points.")
    responded_at: str | None = Field(
        description="When it was given, in UTC.", json_schema_extra={"format": "date-time"}
    )
    respondent_id: str | None = Field(description="Who answered, where known.")
    weight: int | float = Field(description="What the answer counts for.")
    status: Status = Field(
        description="tagged; uncoded (a comment, no code); no_comment; error (then ``error`` says why)."
    )
    tags: list[Tag] = Field(description="The codes that the comment mentions, likeliest first.")
    model: str | None = Field(description="The model that tagged it.")
    taxonomy_version: int | None = Field(description="The version of the taxonomy that the model knows.")
    error: str = Field("", description="Why the comment could not be tagged; there with status error alone.")
    abstained: bool = Field(
        False,
        description="True where the comment is uncoded because it is unlike those that the model was trained "
        "on; left out elsewhere.",
    )


class TagReply(BaseModel):
    """The tagged responses, in the order of the request."""

    model: str = Field(
        description="The model that tagged them, with its operating point where not the balanced one.",
        examples=["reason-codes/7"],
    )
    operating_point: PointName = Field(description="The operating point that set the thresholds.")
    taxonomy_version: int = Field(description="The version of the taxonomy that the model knows.")
    responses: list[TaggedRecord] = Field(description="The tagged responses.")


class UpsertReply(BaseModel):
    """What became of the responses; all of them are on disk."""

    model: str = Field(description="The model that tagged them, and its version.")
    taxonomy_version: int = Field(description="The version of its taxonomy.")
    received: int = Field(description="Rows in the request.")
    replaced: int = Field(description="Rows that a later row of the request with the same id replaced.")
    created: int = Field(description="Responses that the store did not have.")
    updated: int = Field(description="Responses that are different now.")
    unchanged: int = Field(description="Responses that are as they were.")
    tagged: int = Field(description="Comments with a code.")
    uncoded: int = Field(description="Comments without a code.")
    no_comment: int = Field(description="Responses without a comment.")
    error: int = Field(description="Comments that could not be tagged.")
    abstained: int = Field(
        description="Uncoded comments that are unlike those that the model was trained on."
    )
    reused: int = Field(description="Comments that the same model had read before, and did not read again.")
    left_out: int = Field(
        description="Rows that are no answers and were left out: Qualtrics' survey previews."
    )
    erased: int = Field(description="Responses left out, since their respondents were erased.")


class ResponsesReply(BaseModel):
    """A page of responses."""

    responses: list[TaggedRecord] = Field(description="The responses, in the order that was asked for.")
    next_cursor: str | None = Field(description="Give it as ``cursor`` for the next page; null on the last.")
    next: str | None = Field(
        description="The address of the next page, as header ``Link`` names it; null on the last."
    )


class RankingReply(BaseModel):
    """Root causes in order, with the base that they stand on."""

    scale: str = Field(description="The scale of the scores.", examples=["nps"])
    metric: Metric = Field(description="The metric with its interval.")
    level: float = Field(description="The confidence level of every interval.")
    n_scored: int = Field(description="Scored responses: the base of every figure.")
    n_unscored: int = Field(description="Responses left out for want of a score.")
    n_commented: int = Field(description="Scored responses with a comment.")
    n_errors: int = Field(description="Scored responses whose comment could not be read.")
    base: str = Field(description="What the base is, in a sentence.")
    rows: list[RootCause] = Field(description="The codes, in order.")
    buckets: dict[str, RootCause] = Field(description="Points lost without a code: uncoded and no_comment.")
    parents: list[RootCause] = Field(description="The parents of the codes, each the sum of its codes.")
    total_check: float | None = Field(
        description="Points lost over rows and buckets, less (100 - metric): 0 up to rounding error."
    )
    notes: list[str] = Field(description="Sentences that belong beside the figures.")
    correction: RankingCorrection = Field(
        description="Whether the points are corrected for the model's errors."
    )


class RootCausesReply(RankingReply):
    """Ranked root causes of all responses that meet the filter and, on request, of each segment's value."""

    labels: dict[str, str] = Field(description="Each code's label, parents and buckets included.")
    models: dict[str, int] = Field(
        description="How many of the store's responses each model tagged; more than one model can look like "
        "a change of customers."
    )
    versions: list[str] = Field(
        description="What tagged the comments of the store, model and taxonomy version in words; of several, "
        "differences between periods may be the model's.",
        examples=[["reason-codes/7 (taxonomy 3)"]],
    )
    from_: str | None = Field(
        alias="from",
        description="When the first of the responses was given, in UTC; null where none has a time.",
        json_schema_extra={"format": "date-time"},
    )
    to: str | None = Field(
        description="When the last of the responses was given, in UTC.",
        json_schema_extra={"format": "date-time"},
    )
    by: str | None = Field(description="The segment of ``groups``.")
    groups: dict[str, RankingReply] | None = Field(
        description='A ranking for each value of ``by``; ``""`` holds responses without a value.'
    )
    cells: SegmentCells | None = Field(
        description="Points lost by code and value of ``by``, shrunk towards the code's overall value: for "
        "comparing values with each other. Without rows ``reason`` says why: ``periods``, "
        "``too_many_values`` or ``no_eligible_code``."
    )


class FindingsReply(BaseModel):
    """What stands out beyond chance, by segment and over the weeks."""

    q: float = Field(
        description="The false discovery rate, of hotspots and of changes each: of those flagged, about this "
        "share is expected to be chance."
    )
    hotspots: list[Hotspot] = Field(
        description="Segment values in which a cause loses more, most points first."
    )
    changes: list[Change] = Field(description="Changes over the weeks in what a cause loses.")
    doubtful: list[Hotspot | Change] = Field(
        description="Differences found among all tags, not among those that are likelier right than wrong."
    )
    refused: str | None = Field(
        description="Why no change over time was looked for: two models or taxonomy versions tagged the "
        "responses; null where one did."
    )
    notes: list[str] = Field(description="Sentences that belong beside the figures.")
    versions: list[str] = Field(description="What tagged the comments of the store, as in `/v1/root-causes`.")
    labels: dict[str, str] = Field(description="The label of each code that is found.")


class Segment(BaseModel):
    """A column that responses can be grouped by."""

    name: str = Field(description="The name, as ``by`` and ``segment`` take it.", examples=["region"])
    values: list[str] = Field(description="Its values, sorted; at most 1,000.")
    n_values: int = Field(description="How many values there are; above 1,000 it cannot be ranked by.")
    derived: bool = Field(description="Whether it was made from ``responded_at``: ``month`` and ``week``.")


class SegmentsReply(BaseModel):
    """What responses can be grouped by."""

    segments: list[Segment] = Field(description="The segments, by name.")


class TaxonomyReply(BaseModel):
    """The reason codes that the model knows."""

    name: str = Field(description="The taxonomy's name.")
    version: int = Field(description="The taxonomy's version.")
    codes: list[ReasonCode] = Field(description="Every code, in the order of the file.")
    active: list[str] = Field(description="The ids that can still be tagged: all but the deprecated ones.")


class Health(BaseModel):
    """The process is up."""

    status: str = Field(description="Always ``ok``.", examples=["ok"])


class Readiness(BaseModel):
    """The store can be reached and a model is loaded."""

    status: str = Field(description="Always ``ready``.", examples=["ready"])
    model: str = Field(description="The model that tags.", examples=["reason-codes/7"])
    responses: int = Field(description="Responses in the store.")
    problems: list[str] | None = Field(
        None, description="What is wrong though it works, such as a registry that cannot be asked."
    )


class FieldProblem(BaseModel):
    """One field that is wrong."""

    detail: str = Field(description="What is wrong with it; never holds its value.")
    pointer: str | None = Field(None, description="Where it stands in the body, as a JSON pointer.")
    parameter: str | None = Field(None, description="Which query parameter it is.")


class Problem(BaseModel):
    """Something that went wrong, after RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:whyscore:problem:input-not-understood",
                    "title": "Input not understood",
                    "status": 422,
                    "detail": "april.csv, row 3, column 'score': 11 is outside the NPS scale 0-10",
                    "file": "april.csv",
                    "row": 3,
                    "column": "score",
                }
            ]
        }
    )

    type: str = Field(description="Names the kind of problem, the same every time.")
    title: str = Field(description="The kind of problem, for people.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, in a sentence; never holds a comment.")
    file: str | None = Field(None, description="The file that it is in.")
    row: int | None = Field(None, description="The row, as a spreadsheet shows it: the header is row 1.")
    column: str | None = Field(None, description="The column.")
    errors: list[FieldProblem] | None = Field(None, description="The fields that are wrong, one by one.")
    request_id: str | None = Field(None, description="Names the request in the server's log.")
