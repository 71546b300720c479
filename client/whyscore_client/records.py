"""What all replies of the API share, and its problems."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A JSON object of the API."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class FieldProblem(Record):
    """One field that is wrong."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(Record):
    """Something that went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    file: str | None = None
    row: int | None = None
    column: str | None = None
    errors: list[FieldProblem] | None = None
    request_id: str | None = None


class Page(Record):
    """A page of a list."""

    next_cursor: str | None
    next: str | None
