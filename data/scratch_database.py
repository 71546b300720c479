"""A database for the length of a piece of work: DuckDB in memory, what does not fit in temporary files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.errors import InputError

Columns = Mapping[str, NDArray[Any]]
Database = duckdb.DuckDBPyConnection

ARRIVING = "arriving"
"""The table under which a query of `stream` finds the batches."""

CHUNK = 250_000
"""Rows of a result that are held at a time."""


@dataclass(frozen=True)
class DatabaseLimits:
    """What a database may take.

    Attributes
    ----------
    threads
        None for all cores.
    memory_mb
        Beyond it, work goes to temporary files (in the folder that ``TMPDIR`` names).
    """

    threads: int | None = None
    memory_mb: int = 1024


@contextmanager
def scratch_database(limits: DatabaseLimits | None = None) -> Iterator[Database]:
    """Open a database that goes when the context ends, and its temporary files with it."""
    limits = limits or DatabaseLimits()
    with tempfile.TemporaryDirectory(prefix="whyscore-") as folder:
        settings: dict[str, Any] = {
            "memory_limit": f"{limits.memory_mb}MB",
            "temp_directory": folder,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
        }
        if limits.threads is not None:
            settings["threads"] = limits.threads
        with duckdb.connect(":memory:", config=settings) as database:
            database.sql("SET enable_progress_bar = false")
            yield database


def quoted(text: object) -> str:
    """Give a text as SQL writes one."""
    return "'" + str(text).replace("'", "''") + "'"


def run(database: Database, query: str) -> None:
    """Run a query that gives nothing."""
    with in_words():
        database.sql(query)


def cells_of(database: Database, query: str) -> list[tuple[Any, ...]]:
    """Give the rows of a small result."""
    with in_words():
        found: list[tuple[Any, ...]] = database.sql(query).fetchall()
        return found


def rows_of(database: Database, query: str) -> Iterator[Columns]:
    """Give the rows of a query in parts, as arrays; nothing else may run before the last."""
    with in_words():
        for part in database.sql(query).to_arrow_reader(CHUNK):
            names = part.schema.names
            yield {name: part.column(name).to_numpy(zero_copy_only=False) for name in names}


def repeats_of(parts: Iterator[Columns], name: str) -> Iterator[Columns]:
    """Keep the rows that share their value in a column with others; the parts are sorted by it.

    Sorting and comparing takes half the time of ``GROUP BY ... HAVING count(*) > 1`` and a join.
    """
    waiting: Columns | None = None  # the last row of the part before, which the next may repeat
    repeated = False
    for part in parts:
        whole = part if waiting is None else {key: np.append(waiting[key], part[key]) for key in part}
        same = whole[name][1:] == whole[name][:-1]
        kept = np.append(same, False) | np.append(repeated, same)
        yield {key: cells[:-1][kept[:-1]] for key, cells in whole.items()}
        waiting, repeated = {key: cells[-1:] for key, cells in whole.items()}, bool(kept[-1])
    if waiting is not None and repeated:
        yield waiting


def stream(database: Database, schema: pa.Schema, batches: Iterator[pa.RecordBatch], query: str) -> None:
    """Run a query over `ARRIVING` batches; what reading them raises comes out as it is."""
    faults: list[Exception] = []

    def guarded() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except Exception as fault:
            faults.append(fault)
            raise

    database.register(ARRIVING, pa.RecordBatchReader.from_batches(schema, guarded()))
    try:
        run(database, query)
    except Exception as error:
        raise (faults[0] if faults else error) from None
    finally:
        database.unregister(ARRIVING)


@contextmanager
def in_words() -> Iterator[None]:
    """Turn a lack of memory or disk into an `InputError`."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise InputError(
            "memory or room for temporary files does not suffice for this file; "
            "give more with WHYSCORE_MEMORY_MB, or name a larger folder with TMPDIR"
        ) from error
