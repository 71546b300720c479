"""The items of a JSON body as responses, by the rules of a file's rows."""

from __future__ import annotations

from collections import Counter

from data.errors import InputError
from data.responses import FIELDS, Response, parse_response
from data.scale import Scale
from data.tables import Row
from serving.problems import FieldError
from serving.schemas import ResponseIn


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
