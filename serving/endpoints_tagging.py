"""Endpoints that take responses: tag them, or tag and store them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from data.errors import InputError
from data.responses import FIELDS, Response, parse_response
from data.scale import Scale
from data.tables import Row
from serving.ingest import ingest, ingest_file
from serving.openapi import body_of, file_body
from serving.problems import FieldError, declared
from serving.queries import parse_columns
from serving.request_facts import note_items
from serving.schemas import ResponseIn, TagReply, TagRequest, UpsertReply, UpsertRequest
from serving.state import ServiceState, State
from serving.uploads import FILES, JSON, Upload, UploadDependency

router = APIRouter()

Columns = Annotated[
    list[str],
    Query(
        alias="map",
        description="Of a file: the column of a field, where its name differs, as field=column.",
        examples=[["comment=What could we do better?"]],
    ),
]
DateFormat = Annotated[
    str | None,
    Query(description="Of a file: the format of its dates, where it is not ISO 8601.", examples=["%d/%m/%Y"]),
]
Filename = Annotated[
    str | None, Query(max_length=255, description="Of a file: the name that problems call it by.")
]


PinnedModel = Annotated[
    str | None,
    Query(
        alias="model",
        max_length=200,
        description="A version to tag with, instead of the one that serves.",
        examples=["reason-codes/7"],
    ),
]


@router.post(
    "/v1/tag",
    operation_id="tagResponses",
    summary="Tag responses",
    response_model=TagReply,
    response_model_exclude_unset=True,
    responses=declared(404, 413, 415, 422, 503, 507),
    openapi_extra=body_of(TagRequest),
)
def tag_responses(state: State, upload: UploadDependency, pinned: PinnedModel = None) -> dict[str, Any]:
    """Tag up to 1,000 responses without storing them.

    A comment that cannot be read has the status `error` and fails no other. The model that serves tags,
    or the version that `model` names, in the query or in the body.
    """
    return tag_request(state, upload, pinned)


def tag_request(state: ServiceState, upload: Upload, pinned: str | None) -> dict[str, Any]:
    """Tag the responses of a body with the model that serves, or the one that is named.

    Raises
    ------
    NotFoundError
        If there is no such model.
    FieldError
        If the body names another one.
    """
    upload.require([JSON])
    request = upload.read(TagRequest)
    if pinned is not None and request.model not in (None, pinned):
        raise FieldError("the address names another model", ("model",))
    responses = parse_items(request.responses, state.scale)
    note_items(len(responses))
    tagger = state.tagger_for(pinned or request.model).at(request.operating_point)
    rows = tagger.tag(responses)
    return {
        "model": tagger.name,
        "operating_point": request.operating_point,
        "taxonomy_version": tagger.taxonomy.version,
        "responses": [row.to_record() for row in rows],
    }


@router.post(
    "/v1/responses",
    operation_id="upsertResponses",
    summary="Tag and store responses",
    response_model=UpsertReply,
    responses=declared(413, 415, 422, 503, 507),
    openapi_extra=body_of(UpsertRequest, file_body(FILES)),
)
def upsert_responses(
    state: State,
    upload: UploadDependency,
    map_: Columns = [],  # noqa: B006 - FastAPI copies it
    date_format: DateFormat = None,
    filename: Filename = None,
) -> dict[str, Any]:
    """Tag responses and store them; when this answers, all of them are on disk.

    Takes JSON, where each response names itself by `response_id`, or a whole file: CSV, TSV, JSON
    lines, Parquet or XLSX, where a response without an id gets one made from its content. All rows
    are checked before any is written. Sending the same again changes nothing, and a response
    replaces an older one with its id.
    """
    upload.require([JSON, *FILES])
    tagger = state.tagger
    if upload.media_type == JSON:
        items = upload.read(UpsertRequest).responses
        note_items(len(items))
        return asdict(ingest(parse_items(items, state.scale, ids=True), tagger, state.store))
    try:
        counts = ingest_file(
            upload.path,
            tagger,
            state.store,
            scale=state.scale,
            columns=parse_columns(map_),
            date_format=date_format,
        )
        note_items(counts.received)
        return asdict(counts)
    except InputError as error:
        if error.file is not None:  # the temporary file's name tells nobody anything
            error.file = filename or f"upload{upload.path.suffix}"
        raise


def parse_items(items: list[ResponseIn], scale: Scale, *, ids: bool = False) -> list[Response]:
    """Read the items of a request as responses, by the rules of a file's rows.

    Parameters
    ----------
    items
        In the order of the request.
    scale
        The declared scale.
    ids
        Whether each must have a ``response_id``; otherwise one is made from its content.

    Raises
    ------
    FieldError
        Names the first field that cannot be understood.
    """
    seen: Counter[str] = Counter()
    names = {name: name for name in FIELDS}
    responses = []
    for place, item in enumerate(items):
        if ids and item.response_id in (None, ""):
            raise FieldError("a stored response needs an id", ("responses", place, "response_id"))
        try:
            responses.append(parse_response(Row(place, item.cells()), names, "body", scale=scale, seen=seen))
        except InputError as error:
            raise FieldError(error.message, ("responses", place, error.column or "")) from None
    return responses
