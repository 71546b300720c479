"""The store: every response with its tags, in SQLite or PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from sqlalchemy import Connection, Engine, func, select, true, update

from data.annotations import Polarity
from data.errors import WhyscoreError
from data.masking import mask_tagged
from data.pseudonyms import PREFIX, Pseudonyms
from data.responses import Response
from data.source_versions import SourceVersion, overtaken, record_versions
from data.store_deletion import DeleteHook, delete_responses
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
    READ,
    READ_TAGS,
    READ_TAGS_WITHOUT_TEXT,
    READ_WITHOUT_TEXT,
    assemble,
    by_ids,
    canonical,
)
from data.store_schema import changes, responses, tags
from data.store_writing import replace_responses
from data.tags import Status, TaggedResponse
from data.tombstones import Tombstones

__all__ = ["ChangedError", "CommentFilter", "Page", "Store", "StoreError", "UpsertHook", "UpsertResult"]

UpsertHook = Callable[[Connection, Sequence[TaggedResponse], Mapping[str, TaggedResponse]], None]
"""Takes the transaction, the rows that changed, and what those with an id that was there were before."""


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """What a write did.

    Attributes
    ----------
    created, updated, unchanged
        Responses that are new, that became different, and that stayed as they were.
    stale
        Those that were left alone, since the store has a later version of them.
    erased
        Those that were left out, since their respondents were erased.
    """

    created: int
    updated: int
    unchanged: int
    stale: int = 0
    erased: int = 0


class ChangedError(WhyscoreError):
    """A response that somebody else changed in the meantime."""

    exit_code = 2
    status = 409
    title = "Changed in the meantime"


class Store:
    """Every response with its tags; the latest of each id.

    It may be used from many threads, and the same database from many processes. Any method raises
    `StoreError` when the database cannot be used.

    Parameters
    ----------
    engine
        From `data.store_engine.open_engine`; `Store.open` makes it.
    mask
        Personal data that no response is stored with; as `data.personal_data.parse_kinds` gives it.
    erasure_key
        The file with the key of `data.tombstones` and of `data.pseudonyms`.
    """

    def __init__(
        self, engine: Engine, *, mask: tuple[str, ...] = (), erasure_key: Path | None = None
    ) -> None:
        self.mask = mask
        self.tombstones = Tombstones(erasure_key)
        self.pseudonyms = Pseudonyms(erasure_key, self._holds_pseudonyms)
        self._engine, self._reader, self._writer = engine, reader(engine), writer(engine)
        self._turn = threading.Lock()  # this process's writers queue here, not in the database
        self._hooks: list[UpsertHook] = []
        self.delete_hooks: list[DeleteHook] = []

    @classmethod
    def open(cls, url: str, *, mask: tuple[str, ...] = (), erasure_key: Path | None = None) -> Store:
        """Open a store, and make it first where there is none.

        Parameters
        ----------
        url
            ``sqlite:///path/to/file`` or a PostgreSQL URL.
        mask
            Personal data that no response is stored with.
        erasure_key
            The file with the key of the hashes of those who were erased; beside an SQLite file where None.

        Raises
        ------
        InputError
            If the URL is not one that the store understands.
        StoreError
            If the database cannot be reached or made.
        """
        engine = open_engine(url)
        if erasure_key is None and engine.url.get_backend_name() == "sqlite":
            erasure_key = Path(str(engine.url.database)).parent / "erasure.key"
        return cls(engine, mask=mask, erasure_key=erasure_key)

    @property
    def engine(self) -> Engine:
        """The database, for rooms that keep tables of their own beside the responses."""
        return self._engine

    def close(self) -> None:
        """Let the database go."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def on_upsert(self, hook: UpsertHook) -> None:
        """Have every write of changed responses also do this, in the same transaction: both or neither."""
        self._hooks.append(hook)

    def on_delete(self, hook: DeleteHook) -> None:
        """Have every deletion of responses also do this before, in the same transaction."""
        self.delete_hooks.append(hook)

    def upsert(
        self,
        rows: Sequence[TaggedResponse],
        versions: Mapping[str, SourceVersion] | None = None,
        *,
        instead_of: Mapping[str, TaggedResponse | None] | None = None,
    ) -> UpsertResult:
        """Write tagged responses, all or none; writing the same again changes nothing.

        When it returns the rows are on disk. A row replaces what the store has under its id, tags
        included; of several rows with one id the last counts.

        Parameters
        ----------
        rows
            The responses; those of respondents who were erased are left out.
        versions
            By response id, the version that their source gives them: a row that is older than what
            the store has is left out, since sources send their news in any order.
        instead_of
            What the store must still hold under some ids, as `get` gave it.

        Raises
        ------
        ChangedError
            If it holds something else there by now; then nothing was written.
        """
        if self.mask:  # whichever way they came
            rows = [mask_tagged(row, self.mask, self.pseudonyms.of) for row in rows]
        latest = {row.response.response_id: row for row in map(canonical, rows)}
        with self.writing() as connection:
            version = connection.scalar(select(changes.c.version).with_for_update())
            stale = overtaken(connection, versions or {})
            latest = {key: row for key, row in latest.items() if key not in stale}
            given = len(latest)
            gone = self.tombstones.among(connection, (row.response.respondent_id for row in latest.values()))
            if gone:
                latest = {key: row for key, row in latest.items() if row.response.respondent_id not in gone}
            before = by_ids(connection, list(latest))
            if any(before.get(key) != row for key, row in (instead_of or {}).items() if key in latest):
                raise ChangedError("somebody else changed the response in the meantime; read it again")
            changed = [row for key, row in latest.items() if before.get(key) != row]
            if changed:
                replace_responses(connection, changed)
                connection.execute(update(changes).values(version=(version or 0) + 1))
                for hook in self._hooks:
                    hook(connection, changed, before)
            if versions:
                record_versions(connection, {key: versions[key] for key in latest if key in versions})
        created = len(latest.keys() - before.keys())
        updated, unchanged = len(changed) - created, len(latest) - len(changed)
        return UpsertResult(created, updated, unchanged, len(stale), given - len(latest))

    def get(self, response_id: str) -> TaggedResponse | None:
        """Give a response with its tags; None where there is none of this id."""
        with self.reading() as connection:
            return by_ids(connection, [response_id]).get(response_id)

    def delete(
        self, response_id: str, check: Callable[[TaggedResponse | None], object] | None = None
    ) -> bool:
        """Delete a response, its tags and its annotations; tell whether there was one.

        Parameters
        ----------
        response_id
            Which.
        check
            Takes what the store holds at that moment, as `get` gives it; what it raises keeps it there.
        """
        with self.writing() as connection:
            if check is not None:
                connection.scalar(select(changes.c.version).with_for_update())  # writers take turns
                check(by_ids(connection, [response_id]).get(response_id))
            return delete_responses(connection, [response_id], self.delete_hooks) > 0

    def allowed(self, rows: Sequence[Response]) -> list[Response]:
        """Give the responses that may be stored: all but those of respondents who were erased."""
        with self.reading() as connection:
            gone = self.tombstones.among(connection, (row.respondent_id for row in rows))
        return [row for row in rows if row.respondent_id not in gone] if gone else list(rows)

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
        with self.reading() as connection:
            while True:
                query = select(*columns).where(key > last).order_by(key).limit(batch)
                rows = connection.execute(query).all()
                if not rows:
                    return
                first, last = last, rows[-1][0]
                within = (tags.c.response_id > first, tags.c.response_id <= last)
                yield from assemble(rows, connection.execute(select(*tag_columns).where(*within)))

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
        with self.reading() as connection:
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
        with self.reading() as connection:
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
        with self.reading() as connection:
            return connection.scalar(select(func.count()).select_from(responses)) or 0

    def version(self) -> int:
        """Give a number that grows with every write that changed something."""
        with self.reading() as connection:
            return connection.scalar(select(changes.c.version)) or 0

    def segments(self) -> dict[str, list[str]]:
        """Give each segment's values; names and values sorted."""
        each = func.json_each if self._engine.dialect.name == "sqlite" else func.jsonb_each_text
        entry = each(responses.c.segments).table_valued("key", "value")
        found: dict[str, list[str]] = {}
        with self.reading() as connection:
            query = select(entry.c.key, entry.c.value).select_from(responses.join(entry, true())).distinct()
            for name, value in sorted((row.key, row.value) for row in connection.execute(query)):
                found.setdefault(name, []).append(value)
        return found

    def has_segment(self, name: str) -> bool:
        """Tell whether any response has this segment."""
        held = segment_is(name, None, dialect=self._engine.dialect.name)
        with self.reading() as connection:
            query = select(responses.c.response_id).where(held).limit(1)
            return connection.scalar(query) is not None

    def _holds_pseudonyms(self) -> bool:
        named = responses.c.respondent_id.startswith(PREFIX, autoescape=True)
        with self.reading() as connection:
            held = connection.scalar(select(responses.c.response_id).where(named).limit(1)) is not None
            return held or self.tombstones.exist(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a transaction that reads: all of it sees the same state of the store."""
        with store_errors(self._engine.url), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that writes; it takes its turn at once, and all of it happens or nothing."""
        with self._turn, store_errors(self._engine.url), self._writer.begin() as connection:
            yield connection
