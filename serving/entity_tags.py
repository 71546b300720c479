"""Entity tags: what has not changed is not sent again (RFC 9110, sections 8.8.3 and 13)."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from starlette.responses import Response

from data.errors import WhyscoreError
from data.tags import TaggedResponse
from serving.state import State

IfNoneMatch = Annotated[
    str | None, Header(description="The `ETag` of what the client has; unchanged, the answer is 304.")
]
IfMatch = Annotated[
    str | None,
    Header(description="The `ETag` of what the client has read; changed since, the answer is 412."),
]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "It is as the client has it."}}


class PreconditionError(WhyscoreError):
    """A response that is not what the client had read."""

    exit_code = 2
    status = 412
    title = "Precondition failed"


class _Unchanged(Exception):
    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


def tag_of(row: TaggedResponse) -> str:
    """Give the entity tag of a response."""
    return _weak(json.dumps(row.to_record(), sort_keys=True))


def require_match(wanted: str | None, row: TaggedResponse | None) -> None:
    """Raise `PreconditionError` unless a response is the one that the client has read."""
    if wanted is not None and (row is None or not _matches(wanted, tag_of(row))):
        raise PreconditionError("the response is not what was read before; read it again")


def check_unchanged(wanted: str | None, tag: str, reply: Response) -> None:
    """Set the entity tag of an answer, and end the request with 304 where the client has it."""
    reply.headers["ETag"] = tag
    if wanted is not None and _matches(wanted, tag):
        raise _Unchanged(tag)


def _check_store(request: Request, reply: Response, state: State, if_none_match: IfNoneMatch = None) -> None:
    loaded = state.loaded
    model = ["", 0] if isinstance(loaded, str) else [loaded.name, loaded.taxonomy.version]
    # Before anything is read: what is written meanwhile makes the tag old, never wrong.
    known = [request.app.version, state.store.version(), *model, request.url.path, request.url.query]
    check_unchanged(if_none_match, _weak(json.dumps(known)), reply)


OfStore = Depends(_check_store)
"""A dependency of whatever follows from the store, the model and the address alone."""


def handle_unchanged(app: FastAPI) -> None:
    """Let an application answer 304."""

    def unchanged(request: Request, error: Exception) -> Response:
        assert isinstance(error, _Unchanged)
        return Response(status_code=304, headers={"ETag": error.tag})

    app.add_exception_handler(_Unchanged, unchanged)


def _weak(text: str) -> str:
    # Weak: gzip makes other bytes of the same answer.
    return f'W/"{hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]}"'


def _matches(wanted: str, tag: str) -> bool:
    given = {part.strip().removeprefix("W/") for part in wanted.split(",")}
    return "*" in given or tag.removeprefix("W/") in given
