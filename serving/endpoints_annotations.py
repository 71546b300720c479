"""Endpoints of annotations, and of the taxonomy that they are checked against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from data.annotations import Annotation, ever_known, parse_annotation, read_annotations
from data.cursors import cursor_of, position_of
from data.errors import InputError
from data.store import Store
from data.stored_annotations import all_annotations, annotation_page, keep_annotations
from data.tables import Row
from data.taxonomy import Taxonomy
from serving.endpoints_tagging import Filename
from serving.idempotency import PARAMETER
from serving.openapi import body_of, file_body, lines_of
from serving.paging import Cursor, Limit, next_page
from serving.problems import FieldError, declared
from serving.schemas_service import (
    AnnotationsKept,
    AnnotationsReply,
    AnnotationsRequest,
    TaxonomyVersionsReply,
)
from serving.state import State
from serving.uploads import JSON, UploadDependency

router = APIRouter()

NDJSON = "application/x-ndjson"


@router.post(
    "/v1/annotations",
    operation_id="keepAnnotations",
    summary="Keep annotations",
    response_model=AnnotationsKept,
    responses=declared(409, 413, 415, 422, 503, 507),
    openapi_extra=body_of(AnnotationsRequest, file_body([NDJSON])) | {"parameters": [PARAMETER]},
)
def keep(state: State, upload: UploadDependency, filename: Filename = None) -> dict[str, Any]:
    """Check annotations against the taxonomy of the model and keep them, all or none.

    Takes JSON or an annotations file of JSON lines. What an annotator said of a response replaces what
    the same one had said before.
    """
    upload.require([JSON, NDJSON])
    taxonomy = state.tagger.taxonomy
    if upload.media_type == JSON:
        rows = _parsed(upload.read(AnnotationsRequest), taxonomy)
    else:
        try:
            rows = list(read_annotations(upload.path, taxonomy))
        except InputError as error:
            if error.file is not None:  # the temporary file's name tells nobody anything
                error.file = filename or "upload.ndjson"
            raise
    kept = asdict(keep_annotations(rows, state.store))
    return {"received": len(rows)} | {name: kept[name] for name in ("created", "updated", "unchanged")}


def _parsed(request: AnnotationsRequest, taxonomy: Taxonomy) -> list[Annotation]:
    ever, rows = ever_known(taxonomy), []
    for place, item in enumerate(request.annotations):
        cells = item.model_dump(exclude_unset=True, exclude_none=True)
        try:
            rows.append(parse_annotation(Row(place, cells), taxonomy, "body", ever))
        except InputError as error:
            raise FieldError(error.message, ("annotations", place, error.column or "")) from None
    return rows


@router.get(
    "/v1/annotations",
    operation_id="listAnnotations",
    summary="Annotations, by response",
    response_model=AnnotationsReply,
    response_model_exclude_unset=True,
    responses=declared(422, 503),
)
def list_annotations(
    request: Request, reply: Response, state: State, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Give a page of the annotations that are kept."""
    rows, following = annotation_page(state.store, limit, cursor)
    return {
        "annotations": [row.to_record() for row in rows],
        **next_page(request, reply, following),
    }


class JsonLines(StreamingResponse):
    """JSON lines as they are made."""

    media_type = NDJSON


@router.get(
    "/v1/annotations/export",
    operation_id="exportAnnotations",
    summary="All annotations as a file",
    response_class=JsonLines,
    responses=lines_of("AnnotationRecord") | declared(503),
)
def export_annotations(state: State) -> JsonLines:
    """Give all annotations that are kept as a file to train with."""
    headers = {"Content-Disposition": 'attachment; filename="annotations.jsonl"'}
    state.store.version()  # a store that is gone is told while there is still time to
    return JsonLines(_records(state.store), headers=headers)


def _records(store: Store) -> Iterator[str]:
    for row in all_annotations(store):
        yield json.dumps(row.to_record(), ensure_ascii=False) + "\n"


@router.get(
    "/v1/taxonomy/versions",
    operation_id="listTaxonomyVersions",
    summary="The versions of the taxonomy",
    response_model=TaxonomyVersionsReply,
    responses=declared(422, 503),
)
def list_taxonomy_versions(
    request: Request, reply: Response, state: State, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Give the versions of the taxonomy that the model knows, and which codes each had."""
    taxonomy = state.tagger.taxonomy
    newest = min(taxonomy.version, _position(cursor)) if cursor is not None else taxonomy.version
    shown = range(newest, max(0, newest - limit), -1)
    following = cursor_of("taxonomy", str(shown[-1] - 1)) if shown and shown[-1] > 1 else None
    return {
        "name": taxonomy.name,
        "versions": [_version(taxonomy, number) for number in shown],
        **next_page(request, reply, following),
    }


def _position(cursor: str) -> int:
    (text,) = position_of(cursor, "taxonomy", 1)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError("the cursor is not one that a page of this list gave", column="cursor")
    return int(text)


def _version(taxonomy: Taxonomy, number: int) -> dict[str, Any]:
    known = taxonomy.known_at(number)
    before = taxonomy.known_at(number - 1) if number > 1 else frozenset()
    return {
        "version": number,
        "codes": sorted(known),
        "added": sorted(known - before),
        "removed": sorted(before - known),
    }
