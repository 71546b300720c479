"""Which version of its record a survey tool sent last: its events arrive twice, late, and in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Column, Connection, Float, ForeignKey, Table, Text, delete, select

from data.store_schema import metadata

_CHUNK = 500

source_versions = Table(
    "source_versions",
    metadata,
    Column("response_id", Text, ForeignKey("responses.response_id", ondelete="CASCADE"), primary_key=True),
    Column("major", Float, nullable=False),
    Column("minor", Float, nullable=False),
)


class SourceVersion(NamedTuple):
    """A place in the order of a record's versions: compared by the first number, then by the second.

    Attributes
    ----------
    major
        What the source orders by: when it last changed the record (seconds since 1970), or how often.
    minor
        What tells apart versions of the same moment.
    """

    major: float
    minor: float = 0.0


def overtaken(connection: Connection, versions: Mapping[str, SourceVersion]) -> set[str]:
    """Give the response ids of which the store has a later version than these; equal ones are not late."""
    found: set[str] = set()
    for part in _parts(list(versions)):
        query = select(source_versions).where(source_versions.c.response_id.in_(part))
        for row in connection.execute(query):
            if SourceVersion(row.major, row.minor) > versions[row.response_id]:
                found.add(row.response_id)
    return found


def record_versions(connection: Connection, versions: Mapping[str, SourceVersion]) -> None:
    """Note the versions that the store has now; their responses must be there."""
    for part in _parts(list(versions)):
        connection.execute(delete(source_versions).where(source_versions.c.response_id.in_(part)))
        values = [{"response_id": key, **versions[key]._asdict()} for key in part]
        connection.execute(source_versions.insert(), values)


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
