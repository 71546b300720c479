"""The items of a JSON body as responses, by the rules of a file's rows."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from data.cells import whole_text
from data.errors import InputError
from data.responses import FIELDS, Response, parse_response
from data.scale import Scale
from data.tables import Row
from serving.problems import FieldError, plain_words, words_of
from serving.schemas import ResponseIn, TagRequest
from serving.uploads import parse_json, read_json, validated

_ECHOED = ("response_id", "comment")  # what a record of an item that cannot be understood still says of it


def parse_items(
    items: list[ResponseIn], scale: Scale, *, ids: bool = False, faults: dict[int, str] | None = None
) -> list[Response]:
    """Read the items of a request as responses, by the rules of a file's rows.

    Parameters
    ----------
    items
        In the order of the request.
    scale
        The declared scale.
    ids
        Whether each must have a ``response_id``; otherwise one is made from its content.
    faults
        Takes what is wrong with items that cannot be understood, by their places; what is given in their
        stead has their ids and comments alone. None raises.

    Raises
    ------
    FieldError
        Names the first field that cannot be understood.
    """
    seen: Counter[str] = Counter()
    names = {name: name for name in FIELDS}

    def parse(place: int, item: ResponseIn) -> Response:
        return parse_response(Row(place, item.cells()), names, "body", scale=scale, seen=seen)

    responses = []
    for place, item in enumerate(items):
        if ids and item.response_id in (None, ""):
            raise FieldError("a stored response needs an id", ("responses", place, "response_id"))
        try:
            responses.append(parse(place, item))
        except InputError as error:
            if faults is None:
                raise FieldError(error.message, ("responses", place, error.column or "")) from None
            faults.setdefault(place, _fault(error.column, plain_words(error.message)))
            responses.append(parse(place, ResponseIn(response_id=item.response_id, comment=item.comment)))
    return responses


def read_tag_request(body: bytes, scale: Scale) -> tuple[TagRequest, list[Response], dict[int, str]]:
    """Read a request for tags; an item that cannot be understood fails no other.

    Parameters
    ----------
    body
        JSON.
    scale
        The declared scale.

    Returns
    -------
    request, responses, faults
        A response for each item, and what is wrong with some, by their places: of these the response has
        no more than id and comment.

    Raises
    ------
    InputError
        If it is not JSON.
    RequestValidationError
        If something else than an item cannot be understood.
    """
    faults: dict[int, str] = {}
    try:
        wanted = read_json(body, TagRequest)
    except RequestValidationError as error:
        wanted = _without_wrong_items(body, error, faults)
    return wanted, parse_items(wanted.responses, scale, faults=faults), faults


def _without_wrong_items(body: bytes, error: RequestValidationError, faults: dict[int, str]) -> TagRequest:
    for found in error.errors():
        match found["loc"]:
            case ("body", "responses", int(place), *field):
                faults.setdefault(place, _fault(str(field[0]) if field else None, words_of(found)))
            case _:
                raise error
    whole = parse_json(body, "body")
    items = [_echo(item) if place in faults else item for place, item in enumerate(whole["responses"])]
    return validated(TagRequest, whole | {"responses": items})


def _echo(item: Any) -> dict[str, Any]:
    """Give those of an item's fields that its record repeats, where they are sound."""
    sound = {}
    for name in _ECHOED if isinstance(item, dict) else ():
        with suppress(ValidationError):
            ResponseIn.model_validate({name: item.get(name)})
            sound[name] = item.get(name)
    return sound


def _fault(field: str | None, words: str) -> str:
    return words if not field else f"{whole_text(field)[:80]}: {words}"
