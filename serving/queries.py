"""Query parameters that several endpoints take, each described once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from data.cells import parse_time, whole_text
from data.errors import InputError


def _moment(text: object) -> datetime | None:
    return parse_time(text)


# ISO 8601 alone, in UTC where it has no offset: pydantic would also take seconds since 1970.
_Moment = Annotated[
    datetime | None, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
# No database looks for what it cannot hold.
Text = Annotated[str, AfterValidator(whole_text)]
Since = Annotated[_Moment, Query(description="Responses given at this time or later (ISO 8601).")]
Until = Annotated[_Moment, Query(description="Responses given before this time (ISO 8601).")]
SegmentFilter = Annotated[
    Text | None,
    Query(description="Responses with this value of a segment, as name:value.", examples=["region:North"]),
]


def parse_columns(pairs: list[str]) -> dict[str, str]:
    """Read ``field=column`` pairs.

    Raises
    ------
    InputError
        If one has no equals sign, or a field stands twice.
    """
    columns: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals or name in columns:
            raise InputError("a column is mapped once for each field, as field=column", column="map")
        columns[name] = column
    return columns
