"""The API's OpenAPI document: FastAPI's own, with the bodies and the words that it cannot know of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from data.tags import Evidence, Tag
from data.taxonomy import ReasonCode
from model.changes import Change
from model.hotspots import Hotspot
from model.metric import Metric
from model.ranking import Correction, Impact, ModelFigure, RankingCorrection, RootCause
from model.segment_cells import SegmentCell, SegmentCells
from model.trends import Period, TrendPoint
from serving.access_words import declare_access
from serving.key_schemas import KeyRequest, RotationRequest, SessionRequest
from serving.loop_schemas import AssignmentRequest, NoteRequest, SubscriptionRequest, TransitionRequest
from serving.schemas import Problem, TagRequest, UpsertRequest
from serving.schemas_service import AnnotationsRequest, LineError

_REF = "#/components/schemas/{model}"
_BODIES: tuple[type[BaseModel], ...] = (
    TagRequest,
    UpsertRequest,
    KeyRequest,
    RotationRequest,
    SessionRequest,
    TransitionRequest,
    AssignmentRequest,
    NoteRequest,
    SubscriptionRequest,
    AnnotationsRequest,
    Problem,
)
_RECORDS: tuple[type[BaseModel], ...] = (LineError,)
_DATACLASSES: tuple[type, ...] = (
    Change,
    Correction,
    Evidence,
    Hotspot,
    Impact,
    Metric,
    ModelFigure,
    Period,
    RankingCorrection,
    ReasonCode,
    RootCause,
    SegmentCell,
    SegmentCells,
    Tag,
    TrendPoint,
)

_WORDS = {
    "Evidence": {
        "start": "Where it begins in the comment, in Unicode code points.",
        "end": "Where it ends: the first code point after it.",
        "text": "The words themselves.",
    },
    "ReasonCode": {
        "id": "Names the code for ever; dots give the hierarchy.",
        "label": "Its name for people.",
        "definition": "What it is, in a sentence.",
        "includes": "What belongs to it.",
        "excludes": "What does not, though one might think so.",
        "examples": "Comments that mention it.",
    },
    "Tag": {
        "code": "The reason code.",
        "polarity": "Whether the comment blames, names or praises it.",
        "probability": "The model's probability, from 0 to 1.",
        "evidence": "The parts of the comment that carry it.",
    },
}


def body_of(
    model: type[BaseModel], files: dict[str, Any] | None = None, patch: str | None = None
) -> dict[str, Any]:
    """Describe a body that `serving.uploads` reads: JSON of a shape, or one of some files.

    `patch` is a second content type of the same shape.
    """
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schema},
                **({} if patch is None else {patch: {"schema": schema}}),
                **(files or {}),
            },
        }
    }


def file_body(media_types: Iterable[str]) -> dict[str, Any]:
    """Describe whole files of some content types."""
    return {media_type: {"schema": {}} for media_type in media_types}


def lines_of(*models: str) -> dict[int | str, dict[str, Any]]:
    """Describe an answer of JSON lines, each of one of some shapes."""
    item = {"anyOf": [{"$ref": _REF.format(model=model)} for model in models]}
    content = {"schema": {"type": "string"}, "x-item-schema": item}
    return {200: {"description": "JSON lines.", "content": {"application/x-ndjson": content}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """Give an application's OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        _, bodies = models_json_schema(
            [
                *((model, "validation") for model in _BODIES),
                *((model, "serialization") for model in _RECORDS),
            ],
            ref_template=_REF,
        )
        schemas.update(bodies["$defs"])
        for kind in _DATACLASSES:
            _describe_attributes(schemas[kind.__name__], inspect.getdoc(kind) or "")
            for name, words in _WORDS.get(kind.__name__, {}).items():
                schemas[kind.__name__]["properties"][name].setdefault("description", words)
        declare_access(document)
        app.openapi_schema = document
    return app.openapi_schema


def _describe_attributes(schema: dict[str, Any], docstring: str) -> None:
    """Move the words of a docstring's section ``Attributes`` to the properties that they are about."""
    intro, _, attributes = docstring.partition("\nAttributes\n----------\n")
    schema["description"] = intro.strip()
    for names, words in re.findall(r"^(\S[^\n]*)\n((?:[ ]+[^\n]*\n?|\n)+)", attributes, re.MULTILINE):
        for name in names.split(", "):
            if name in schema["properties"]:
                schema["properties"][name]["description"] = " ".join(words.split())
