"""Annotations in the store: the latest of each response and annotator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from data.annotations import Annotation, CodeLabel
from data.cursors import cursor_of, position_of
from data.masking import mask_annotation
from data.service_schema import kept_annotations
from data.store import Store, UpsertResult
from data.store_rows import ID_CHUNK

_CURSOR = "annotations"
_COLUMNS = [
    kept_annotations.c[name] for name in ("response_id", "comment", "codes", "taxonomy_version", "annotator")
]


def keep_annotations(rows: Sequence[Annotation], store: Store) -> UpsertResult:
    """Write annotations, all or none; one replaces what its annotator said of the response before.

    They are masked as the store masks responses.
    """
    if store.mask:
        rows = [mask_annotation(row, store.mask) for row in rows]
    latest = {(row.response_id, row.annotator or ""): row for row in rows}
    now = datetime.now(UTC)
    with store.writing() as connection:
        before = _held(connection, sorted({name for name, _ in latest}))
        changed = [row for key, row in latest.items() if before.get(key) != row]
        if changed:
            on_sqlite = connection.dialect.name == "sqlite"
            statement = sqlite.insert(kept_annotations) if on_sqlite else postgresql.insert(kept_annotations)
            new = {
                name: statement.excluded[name]
                for name in ("comment", "taxonomy_version", "codes", "updated_at")
            }
            connection.execute(
                statement.on_conflict_do_update(index_elements=["response_id", "annotator"], set_=new),
                [_values(row, now) for row in changed],
            )
    created = len(latest.keys() - before.keys())
    return UpsertResult(created, len(changed) - created, len(latest) - len(changed))


def annotation_page(
    store: Store, limit: int, cursor: str | None = None
) -> tuple[list[Annotation], str | None]:
    """Give some annotations by response id, and the cursor of those after them, None after the last.

    Raises
    ------
    InputError
        If the cursor is not one that a page of annotations gave.
    """
    held: list[ColumnElement[bool]] = []
    key = (kept_annotations.c.response_id, kept_annotations.c.annotator)
    if cursor is not None:
        held.append(tuple_(*key) > tuple_(*position_of(cursor, _CURSOR, 2)))
    with store.reading() as connection:
        query = select(*_COLUMNS).where(*held).order_by(*key).limit(limit + 1)
        found = [_annotation(row) for row in connection.execute(query)]
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], cursor_of(_CURSOR, last.response_id, last.annotator or "")


def all_annotations(store: Store, batch: int = 1000) -> Iterator[Annotation]:
    """Yield every annotation, by response id."""
    cursor: str | None = None
    while True:
        rows, cursor = annotation_page(store, batch, cursor)
        yield from rows
        if cursor is None:
            return


def _held(connection: Connection, ids: Sequence[str]) -> dict[tuple[str, str], Annotation]:
    found = {}
    for start in range(0, len(ids), ID_CHUNK):
        query = select(*_COLUMNS).where(kept_annotations.c.response_id.in_(ids[start : start + ID_CHUNK]))
        for row in connection.execute(query):
            one = _annotation(row)
            found[one.response_id, one.annotator or ""] = one
    return found


def _values(row: Annotation, now: datetime) -> dict[str, Any]:
    record = row.to_record()
    return {
        "response_id": row.response_id,
        "annotator": row.annotator or "",
        "comment": record["comment"],
        "taxonomy_version": row.taxonomy_version,
        "codes": record["codes"],
        "updated_at": now,
    }


def _annotation(row: Any) -> Annotation:
    labels = tuple(CodeLabel(one["code"], one["polarity"], one.get("evidence")) for one in row.codes)
    return Annotation(row.response_id, row.comment, labels, row.taxonomy_version, row.annotator or None)
