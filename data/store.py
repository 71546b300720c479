"""The store: every response with its tags, in SQLite or PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

from sqlalchemy import Connection, Engine, delete, func, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from data.annotations import Polarity
from data.responses import Response
from data.store_engine import StoreError, open_engine, reader, store_errors, writer
from data.store_pages import (
    CommentFilter,
    Order,
    Page,
    after_cursor,
    conditions,
    cursor_after,
    segment_is,
    sort_keys,
)
from data.store_rows import (
    ID_CHUNK,
    READ,
    READ_TAGS,
    READ_TAGS_WITHOUT_TEXT,
    READ_WITHOUT_TEXT,
    assemble,
    by_ids,
    canonical,
    response_values,
    tag_values,
)
from data.store_schema import changes, responses, tags
from data.tags import Status, TaggedResponse

__all__ = ["CommentFilter", "Page", "Store", "StoreError", "UpsertResult"]


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """What a write did: responses that are new, that became different, and that stayed as they were."""

    created: int
    updated: int
    unchanged: int


class Store:
    """Every response with its tags; the latest of each id.

    It may be used from many threads, and the same database from many processes. Any method raises
    `StoreError` when the database cannot be used.

    Parameters
    ----------
    engine
        From `data.store_engine.open_engine`; `Store.open` makes it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._reader, self._writer = engine, reader(engine), writer(engine)
        self._turn = threading.Lock()  # this process's writers queue here, not in the database

    @classmethod
    def open(cls, url: str) -> Store:
        """Open a store, and make it first where there is none.

        Parameters
        ----------
        url
            ``sqlite:///path/to/file`` or a PostgreSQL URL.

        Raises
        ------
        InputError
            If the URL is not one that the store understands.
        StoreError
            If the database cannot be reached or made.
        """
        return cls(open_engine(url))

    def close(self) -> None:
        """Let the database go."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def upsert(self, rows: Sequence[TaggedResponse]) -> UpsertResult:
        """Write tagged responses, all or none; writing the same again changes nothing.

        When it returns the rows are on disk. A row replaces what the store has under its id, tags
        included; of several rows with one id the last counts.
        """
        latest = {row.response.response_id: row for row in map(canonical, rows)}
        with self._write() as connection:
            version = connection.scalar(select(changes.c.version).with_for_update())
            before = by_ids(connection, list(latest))
            changed = [row for key, row in latest.items() if before.get(key) != row]
            if changed:
                self._replace(connection, changed)
                connection.execute(update(changes).values(version=(version or 0) + 1))
        created = len(latest.keys() - before.keys())
        return UpsertResult(created, len(changed) - created, len(latest) - len(changed))

    def retag(self, rows: Sequence[TaggedResponse]) -> int:
        """Write the tags of responses that are still what they were when they were read.

        A response that was edited or taken out meanwhile is left alone.

        Returns
        -------
        int
            How many were written.
        """
        fresh = {row.response.response_id: row for row in map(canonical, rows)}
        with self._write() as connection:
            version = connection.scalar(select(changes.c.version).with_for_update())
            before = by_ids(connection, list(fresh))
            changed = [
                row for key, row in fresh.items() if key in before and before[key].response == row.response
            ]
            changed = [row for row in changed if before[row.response.response_id] != row]
            if changed:
                self._replace(connection, changed)
                connection.execute(update(changes).values(version=(version or 0) + 1))
        return len(changed)

    def _replace(self, connection: Connection, rows: list[TaggedResponse]) -> None:
        now = datetime.now(UTC)
        values = [response_values(row, now) for row in rows]
        on_sqlite = self._engine.dialect.name == "sqlite"
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

    def tagged(self, *, batch: int = 2000, texts: bool = True) -> Iterator[TaggedResponse]:
        """Yield every response, as the store was when the first was asked for.

        Parameters
        ----------
        batch
            Responses held in memory at a time.
        texts
            False leaves comments and evidence out: statistics need none, and it is quicker.
        """
        columns, tag_columns = (READ, READ_TAGS) if texts else (READ_WITHOUT_TEXT, READ_TAGS_WITHOUT_TEXT)
        key, last = responses.c.response_id, ""
        with self._read() as connection:
            while True:
                query = select(*columns).where(key > last).order_by(key).limit(batch)
                rows = connection.execute(query).all()
                if not rows:
                    return
                first, last = last, rows[-1][0]
                within = (tags.c.response_id > first, tags.c.response_id <= last)
                yield from assemble(rows, connection.execute(select(*tag_columns).where(*within)))

    def tagged_otherwise(self, *, model: str, taxonomy_version: int, limit: int, after: str) -> Page:
        """Give a page of the responses that another model or taxonomy tagged, by id.

        Parameters
        ----------
        model, taxonomy_version
            Those that are left out.
        limit
            Responses on a page.
        after
            The id to go on behind; empty for the first page.
        """
        other = or_(
            responses.c.model.is_distinct_from(model),
            responses.c.taxonomy_version.is_distinct_from(taxonomy_version),
        )
        key = responses.c.response_id
        with self._read() as connection:
            query = select(*READ).where(other, key > after).order_by(key).limit(limit)
            rows = connection.execute(query).all()
            of_page = tags.c.response_id.in_([row.response_id for row in rows])
            found = assemble(rows, connection.execute(select(*READ_TAGS).where(of_page)))
        return Page(tuple(found), rows[-1].response_id if rows else None)

    def tagged_before(
        self, rows: Sequence[Response], *, model: str, taxonomy_version: int
    ) -> dict[str, TaggedResponse]:
        """Give the responses that this model has read already, word for word, with the tags it gave them.

        Returns
        -------
        dict
            By response id; a response whose comment is new, changed, or failed before is left out.
        """
        wanted = {row.response_id: row for row in rows}
        with self._read() as connection:
            before = by_ids(
                connection,
                list(wanted),
                responses.c.model == model,
                responses.c.taxonomy_version == taxonomy_version,
                responses.c.status != "error",
            )
        return {
            key: replace(old, response=wanted[key])
            for key, old in before.items()
            if old.response.comment == wanted[key].comment
        }

    def comments(
        self,
        *,
        code: str | None = None,
        polarity: Polarity | Literal["non_positive"] | None = None,
        segment: tuple[str, str] | None = None,
        status: Status | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Order = "newest",
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Give a page of the responses that meet every condition that is set.

        Parameters
        ----------
        code, polarity, segment, status, since, until
            As the attributes of `CommentFilter`.
        order
            ``newest`` first (by when they were given or, where nobody knows, received), or those of
            the ``lowest_score`` first and newest first among equals; the ones without a score last.
        limit
            Responses on a page, at least 1.
        after
            The cursor of the page before; None for the first page. Responses written between two
            pages neither repeat nor hide others.

        Raises
        ------
        InputError
            If the cursor is not one that a page of this order gave.
        """
        held = conditions(
            CommentFilter(code, polarity, segment, status, since, until), self._engine.dialect.name
        )
        if after is not None:
            held.append(after_cursor(after, order))
        query = select(*READ, responses.c.moment).where(*held).order_by(*sort_keys(order)).limit(limit + 1)
        with self._read() as connection:
            rows = connection.execute(query).all()
            shown = rows[:limit]
            of_page = tags.c.response_id.in_([row.response_id for row in shown])
            found = assemble(
                (row[:-1] for row in shown), connection.execute(select(*READ_TAGS).where(of_page))
            )
        if len(rows) <= limit:
            return Page(tuple(found), None)
        last = shown[-1]
        return Page(tuple(found), cursor_after(order, last.score, last.moment, last.response_id))

    def count(self) -> int:
        """Give how many responses there are."""
        with self._read() as connection:
            return connection.scalar(select(func.count()).select_from(responses)) or 0

    def version(self) -> int:
        """Give a number that grows with every write that changed something."""
        with self._read() as connection:
            return connection.scalar(select(changes.c.version)) or 0

    def segments(self) -> dict[str, list[str]]:
        """Give each segment's values; names and values sorted."""
        each = func.json_each if self._engine.dialect.name == "sqlite" else func.jsonb_each_text
        entry = each(responses.c.segments).table_valued("key", "value")
        found: dict[str, list[str]] = {}
        with self._read() as connection:
            query = select(entry.c.key, entry.c.value).select_from(responses.join(entry, true())).distinct()
            for name, value in sorted((row.key, row.value) for row in connection.execute(query)):
                found.setdefault(name, []).append(value)
        return found

    def has_segment(self, name: str) -> bool:
        """Tell whether any response has this segment."""
        held = segment_is(name, None, dialect=self._engine.dialect.name)
        with self._read() as connection:
            query = select(responses.c.response_id).where(held).limit(1)
            return connection.scalar(query) is not None

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with store_errors(self._engine.url), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._turn, store_errors(self._engine.url), self._writer.begin() as connection:
            yield connection
