"""Endpoints of one response, and of one respondent: read, replace, change, delete, erase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response as HttpResponse

from data.cells import whole_text
from data.erasure import erase_respondent
from data.errors import InputError, NotFoundError, WhyscoreError
from data.masking import mask_response
from data.responses import FIELDS, Response, parse_response
from data.store import ChangedError
from data.tables import Row
from data.tags import TaggedResponse
from serving.entity_tags import NOT_MODIFIED, IfMatch, IfNoneMatch, check_unchanged, require_match, tag_of
from serving.openapi import body_of
from serving.problems import FieldError, declared
from serving.queries import Text
from serving.schemas import ResponseIn, TaggedRecord
from serving.schemas_service import ErasureReply
from serving.state import ServiceState, State
from serving.uploads import JSON, UploadDependency, validated

router = APIRouter()

MERGE_PATCH = "application/merge-patch+json"
_TRIES = 3

ResponseId = Annotated[Text, Path(max_length=512, description="The response.")]
RespondentId = Annotated[Text, Path(max_length=512, description="The respondent, as responses name it.")]


class ErasedError(WhyscoreError):
    """A response of somebody who was erased."""

    exit_code = 2
    status = 409
    title = "Respondent was erased"


def _found(state: ServiceState, response_id: str) -> TaggedResponse:
    row = state.store.get(response_id)
    if row is None:
        raise NotFoundError("there is no such response")
    return row


@router.get(
    "/v1/responses/{response_id:path}",
    operation_id="getResponse",
    summary="A response with its tags",
    response_model=TaggedRecord,
    response_model_exclude_unset=True,
    responses=declared(404, 422, 503) | NOT_MODIFIED,
)
def get_response(
    state: State, reply: HttpResponse, response_id: ResponseId, if_none_match: IfNoneMatch = None
) -> dict[str, Any]:
    """Give a stored response with its tags."""
    row = _found(state, response_id)
    check_unchanged(if_none_match, tag_of(row), reply)
    return row.to_record()


@router.put(
    "/v1/responses/{response_id:path}",
    operation_id="replaceResponse",
    summary="Store one response",
    response_model=TaggedRecord,
    response_model_exclude_unset=True,
    responses=declared(409, 412, 413, 415, 422, 503, 507),
    openapi_extra=body_of(ResponseIn),
)
def replace_response(
    state: State,
    reply: HttpResponse,
    upload: UploadDependency,
    response_id: ResponseId,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Tag a response and store it, instead of the one of its id where there is one.

    A comment that the same model has read before, word for word, is not read again. Of two who replace it
    at once the last one's stays, unless ``If-Match`` says what it is to be instead of.
    """
    upload.require([JSON])
    item = upload.read(ResponseIn)
    instead_of = None
    if if_match is not None:
        instead_of = {response_id: state.store.get(response_id)}
        require_match(if_match, instead_of[response_id])
    row = _written(state, _parsed(state, item, response_id), instead_of)
    reply.headers["ETag"] = tag_of(row)
    return row.to_record()


@router.patch(
    "/v1/responses/{response_id:path}",
    operation_id="changeResponse",
    summary="Change one response",
    response_model=TaggedRecord,
    response_model_exclude_unset=True,
    responses=declared(404, 409, 412, 413, 415, 422, 503, 507),
    openapi_extra=body_of(ResponseIn, patch=MERGE_PATCH),
)
def change_response(
    state: State,
    reply: HttpResponse,
    upload: UploadDependency,
    response_id: ResponseId,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Change the fields and segments that are given; null takes one away (RFC 7396).

    Where the comment changes, it is tagged anew.
    """
    upload.require([JSON, MERGE_PATCH])
    patch = upload.read(ResponseIn).model_dump(mode="json", exclude_unset=True)
    for number in range(_TRIES):
        before = _found(state, response_id)
        require_match(if_match, before)
        merged = {k: v for k, v in (before.response.to_record() | patch).items() if v is not None}
        item = validated(ResponseIn, merged)
        try:
            row = _written(state, _parsed(state, item, response_id), {response_id: before})
            break
        except ChangedError:
            if number == _TRIES - 1:
                raise
    reply.headers["ETag"] = tag_of(row)
    return row.to_record()


@router.delete(
    "/v1/responses/{response_id:path}",
    operation_id="deleteResponse",
    summary="Delete one response",
    status_code=204,
    response_class=HttpResponse,
    responses=declared(404, 412, 422, 503, 507),
)
def delete_response(state: State, response_id: ResponseId, if_match: IfMatch = None) -> None:
    """Delete a response, its tags and its annotations in the store.

    Nothing keeps it from being stored again; `DELETE /v1/respondents` does.
    """
    check = None if if_match is None else partial(require_match, if_match)
    if not state.store.delete(response_id, check):
        raise NotFoundError("there is no such response")


@router.delete(
    "/v1/respondents/{respondent_id:path}",
    operation_id="eraseRespondent",
    summary="Erase a respondent",
    response_model=ErasureReply,
    responses=declared(422, 503, 507),
)
def erase(state: State, respondent_id: RespondentId) -> dict[str, Any]:
    """Erase all that a respondent said, and store nothing of theirs again.

    Responses, tags, evidence and annotations go from the store, and items from the audits of the server's
    home folder, drawn and labelled. What is left is a keyed hash of the id, by which later responses are
    left out. Asking again does no harm, nor does a respondent that nobody knows yet.
    """
    counts = asdict(erase_respondent(respondent_id, state.store, state.settings.home))
    counts.pop("file_rows")
    return counts


def _parsed(state: ServiceState, item: ResponseIn, response_id: str) -> Response:
    if item.response_id is not None and whole_text(str(item.response_id)) != response_id:
        raise FieldError("the id is another than the address names", ("response_id",))
    cells = item.cells() | {"response_id": response_id}
    try:
        parsed = parse_response(Row(1, cells), {name: name for name in FIELDS}, "body", scale=state.scale)
    except InputError as error:
        raise FieldError(error.message, (error.column or "",)) from None
    if parsed.response_id != response_id:  # blanks around it, or nothing else
        raise InputError("the id of a response has no blanks around it", column="response_id")
    return parsed


def _written(
    state: ServiceState, response: Response, instead_of: Mapping[str, TaggedResponse | None] | None
) -> TaggedResponse:
    """Tag a response, unless its model has read the comment, and store it as `Store.upsert` does."""
    tagger, name = state.tagger, response.response_id
    if state.store.mask:  # before the model reads it, and before it is compared with what is stored
        response = mask_response(response, state.store.mask, state.store.pseudonyms.of).response
    if not state.store.allowed([response]):
        raise ErasedError("the respondent was erased, and nothing of theirs is stored")
    known = state.store.tagged_before([response], model=tagger.name, taxonomy_version=tagger.taxonomy.version)
    row = known[name] if name in known else tagger.tag([response])[0]
    if state.store.upsert([row], instead_of=instead_of).erased:
        raise ErasedError("the respondent was erased, and nothing of theirs is stored")
    return _found(state, name)
