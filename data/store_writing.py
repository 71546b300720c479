"""Tagged responses written over those of the same ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete
from sqlalchemy.dialects import postgresql, sqlite

from data.store_rows import ID_CHUNK, response_values, tag_values
from data.store_schema import responses, tags
from data.tags import TaggedResponse


def replace_responses(connection: Connection, rows: Sequence[TaggedResponse]) -> None:
    """Write rows, at least one, as `data.store_rows.canonical` gives them; each id once."""
    now = datetime.now(UTC)
    values = [response_values(row, now) for row in rows]
    on_sqlite = connection.dialect.name == "sqlite"
    statement = sqlite.insert(responses) if on_sqlite else postgresql.insert(responses)
    kept = ("response_id", "received_at")  # these stay what they were
    new = {name: statement.excluded[name] for name in values[0] if name not in kept}
    connection.execute(statement.on_conflict_do_update(index_elements=["response_id"], set_=new), values)
    ids = [row.response.response_id for row in rows]
    for start in range(0, len(ids), ID_CHUNK):
        connection.execute(delete(tags).where(tags.c.response_id.in_(ids[start : start + ID_CHUNK])))
    found = [value for row in rows for value in tag_values(row)]
    if found:
        connection.execute(tags.insert(), found)
