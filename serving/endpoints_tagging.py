"""Endpoints that take responses: tag them, or tag and store them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response as JsonAnswer

from data.errors import InputError
from data.personal_data import parse_kinds
from serving.idempotency import PARAMETER
from serving.ingest import ingest, ingest_file
from serving.items import parse_items
from serving.openapi import body_of, file_body
from serving.problems import declared
from serving.queries import parse_columns
from serving.request_facts import note_items
from serving.schemas import MASK_WORDS, MaskKind, TagReply, TagRequest, UpsertReply, UpsertRequest
from serving.state import State
from serving.tag_requests import tag_together
from serving.uploads import FILES, JSON, UploadDependency

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
Mask = Annotated[list[MaskKind], Query(max_length=20, description=MASK_WORDS)]


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
    responses=declared(404, 413, 415, 422, 429, 503, 507),
    openapi_extra=body_of(TagRequest),
)
async def tag_responses(request: Request, pinned: PinnedModel = None) -> JsonAnswer:
    """Tag up to 1,000 responses without storing them.

    An item that cannot be understood, and a comment that cannot be read, has a record with the status
    `error` and the reason, and fails no other. Where more waits than can be read in time the answer is 429.
    The model that serves tags, or the version that `model` names, in the query or in the body.
    """
    return await tag_together(request, pinned)


@router.post(
    "/v1/responses",
    operation_id="upsertResponses",
    summary="Tag and store responses",
    response_model=UpsertReply,
    responses=declared(409, 413, 415, 422, 503, 507),
    openapi_extra=body_of(UpsertRequest, file_body(FILES)) | {"parameters": [PARAMETER]},
)
def upsert_responses(
    state: State,
    upload: UploadDependency,
    map_: Columns = [],  # noqa: B006 - FastAPI copies it
    date_format: DateFormat = None,
    filename: Filename = None,
    mask: Mask = [],  # noqa: B006 - FastAPI copies it
) -> dict[str, Any]:
    """Tag responses and store them; when this answers, all of them are on disk.

    Takes JSON, where each response names itself by `response_id`, or a whole file: CSV, TSV, JSON
    lines, Parquet or XLSX, where a response without an id gets one made from its content. All rows
    are checked before any is written. Sending the same again changes nothing, and a response
    replaces an older one with its id.
    """
    upload.require([JSON, *FILES])
    tagger = state.tagger
    said_by = {"model": tagger.name, "taxonomy_version": tagger.taxonomy.version}
    if upload.media_type == JSON:
        request = upload.read(UpsertRequest)
        note_items(len(request.responses))
        items = parse_items(request.responses, state.scale, ids=True)
        kinds = parse_kinds((*mask, *request.mask))
        return said_by | asdict(ingest(items, tagger, state.store, mask=kinds))
    try:
        counts = ingest_file(
            upload.path,
            tagger,
            state.store,
            scale=state.scale,
            columns=parse_columns(map_),
            date_format=date_format,
            mask=parse_kinds(mask),
        )
        note_items(counts.received)
        return said_by | asdict(counts)
    except InputError as error:
        if error.file is not None:  # the temporary file's name tells nobody anything
            error.file = filename or f"upload{upload.path.suffix}"
        raise
