"""Errors as problem documents (RFC 9457): one shape for every one of them, and never a comment in any.

References
----------
Nottingham, M., Wilde, E. & Dalal, S. (2023). Problem Details for HTTP APIs. RFC 9457.
Bryan, P., Zyp, K. & Nottingham, M. (2013). JavaScript Object Notation (JSON) Pointer. RFC 6901.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from data.cells import whole_text
from data.columns import FIELDS
from data.errors import InputError, WhyscoreError
from serving.request_facts import request_id, route_of
from serving.schemas import FieldProblem, Problem

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
"""Field errors in one document; a body with thousands of wrong items is told the first ones."""

_WHEN = {
    401: "No API key, or one that is unknown, revoked or past its time; or a wrong signature.",
    403: "The API key lacks the scope that this needs, or another site's page sent the request.",
    404: "There is no such thing.",
    409: "It does not fit the state that the thing is in, or what others did in the meantime.",
    412: "It is not as the client had read it.",
    413: "The body is larger than this server takes.",
    415: "The body's Content-Type is not one that this operation takes.",
    422: "The input cannot be understood; the document names what and where.",
    429: "Too many requests, or more waits than can be done in time; ``Retry-After`` says when to try again.",
    500: "Something went wrong on this side.",
    503: "The store cannot be reached, no model is loaded, or the answer would come too late.",
    507: "The disk is full; nothing was stored.",
}

_TITLES = {413: "Content too large"}  # Python's phrase for it depends on the version
_DETAILS = {404: "there is nothing at this address", 405: "this address does not take this method"}

log = logging.getLogger("whyscore.serving")


class FieldError(InputError):
    """A field of a JSON body that cannot be understood.

    Parameters
    ----------
    message
        As for `WhyscoreError`.
    place
        Keys and positions that lead to the field, such as ``("responses", 3, "score")``.
    """

    def __init__(self, message: str, place: Sequence[str | int]) -> None:
        super().__init__(message)
        self.place = tuple(place)


class UnsupportedMediaError(WhyscoreError):
    """A body of a kind that an operation does not take."""

    exit_code = 2
    status = 415
    title = "Unsupported media type"


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Give the ``responses`` of an operation that may end in these problems, and in 500 as any may."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _WHEN[status], "content": content} for status in (*statuses, 500)}


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Give a problem as an HTTP response, with the id of the request that ran into it."""
    problem = problem.model_copy(update={"request_id": request_id()})
    return JSONResponse(
        problem.model_dump(exclude_none=True), problem.status, headers=headers, media_type=MEDIA_TYPE
    )


def new_problem(status: int, title: str, detail: str, **more: Any) -> Problem:
    """Make a problem document; its type follows from the title."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return Problem(
        type=f"urn:whyscore:problem:{slug}",
        title=title,
        status=status,
        detail=whole_text(detail),
        **{key: whole_text(v) if isinstance(v, str) else v for key, v in more.items()},
    )


# pydantic would name a class of this program.
_WORDS = dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "this is not a JSON object")
_FLAGS = (
    (re.compile(r'--map (\w+)="\.\.\."'), r"map=\1=... in the address"),
    (re.compile(r"--map\b"), "map"),
    (re.compile(r"--date-format\b"), "date_format"),
)


def words_of(found: Mapping[str, Any]) -> str:
    """Give what pydantic found wrong with a field as a sentence for people, without the value."""
    return plain_words(_WORDS.get(found["type"], found["msg"]))


def plain_words(message: str) -> str:
    """Give a reader's or pydantic's sentence as problems have it, with the names that requests use."""
    return whole_text(_as_parameters(message[:1].lower() + message[1:])).removeprefix("value error, ")


def _as_parameters(sentence: str) -> str:
    """Name parameters of the address where a sentence of the readers of files names flags of a command."""
    for flag, parameter in _FLAGS:
        sentence = flag.sub(parameter, sentence)
    return sentence


def unexpected() -> Response:
    """Give the response to an error that nobody foresaw: it tells nothing of the inside."""
    return problem_response(unforeseen())


def unforeseen() -> Problem:
    """Give the problem of an error that nobody foresaw."""
    return new_problem(
        500, WhyscoreError.title, "something went wrong on this side; the server's log says more"
    )


def problem_of(error: WhyscoreError) -> Problem:
    """Give the problem of a foreseen error, with its place."""
    if error.status >= 500:
        return new_problem(error.status, error.title, error.message)
    if error.unquoted is not None:
        column = error.column if error.column in FIELDS else None
        error = InputError(error.unquoted, file=error.file, row=error.row, column=column)
    place = {"file": error.file, "row": error.row, "column": error.column}
    return new_problem(error.status, error.title, _as_parameters(str(error)), **place)


def http_problem(error: HTTPException) -> Response:
    """Give the response to an error of HTTP itself."""
    title = _TITLES.get(error.status_code) or HTTPStatus(error.status_code).phrase.capitalize()
    detail = _DETAILS.get(error.status_code, str(error.detail))
    return problem_response(new_problem(error.status_code, title, detail), error.headers)


def handle_errors(app: FastAPI) -> None:
    """Turn every foreseen error of an application into a problem document.

    In the event loop: one that is not a coroutine would take a thread for each refused request.
    """
    app.add_exception_handler(WhyscoreError, _whyscore_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(OSError, _system_error)


def error_response(error: WhyscoreError) -> Response:
    """Give the response to a foreseen error, with the time to come back where the error says one."""
    again = None if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return problem_response(problem_of(error), again)


async def _whyscore_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, WhyscoreError)
    if error.status >= 500:
        log.error("%s %s: %s", request.method, route_of(request.scope), error.message)
        return error_response(error)
    if isinstance(error, FieldError):
        return problem_response(_fields_problem(error, [(error.message, ("body", *error.place))]))
    if error.column is not None and error.row is None and error.file is None:
        return problem_response(_fields_problem(error, [(error.message, ("query", error.column))]))
    return error_response(error)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(
        _fields_problem(InputError, [(words_of(found), found["loc"]) for found in error.errors()])
    )


def _fields_problem(
    kind: WhyscoreError | type[WhyscoreError], found: Iterable[tuple[str, Sequence[str | int]]]
) -> Problem:
    """Give the problem of some fields: message and place of each, whose first part is body or query."""
    fields = list(found)
    errors = [_field(message, place) for message, place in fields[:MAX_ERRORS]]
    first = errors[0]
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    where = first.parameter or (first.pointer or "")[2:] or "body"
    where = where if len(where) <= 80 else f"{where[:79]}\u2026"  # a key may be anything
    return new_problem(kind.status, kind.title, f"{where}: {first.detail}{more}", errors=errors)


def _field(message: str, place: Sequence[str | int]) -> FieldProblem:
    detail = plain_words(message)
    if place[:1] == ("body",):
        path = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place[1:])
        return FieldProblem(detail=detail, pointer=whole_text(f"#{path}"))
    return FieldProblem(detail=detail, parameter=str(place[1]))


async def _system_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    log.error("%s %s: the disk is full", request.method, route_of(request.scope))
    detail = "the server's disk for temporary files is full; nothing was stored, try again later"
    return problem_response(new_problem(507, "Storage full", detail))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return http_problem(error)
