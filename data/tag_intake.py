"""Reads a Parquet tags file into a database of its own, one narrow row for each response.

The file is read once, as columns. Ids are told apart by 64-bit hashes; where two responses share one, the
ids themselves decide. Among ten million respondents the chance that any two are taken for one is 3 in a
million.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from data.code_sets import CodeSets, words_of
from data.scale import Scale
from data.tag_batches import Naming, TagBatch, TagColumns
from data.tag_queries import (
    BEST,
    LOWEST,
    MIDDLE,
    UNSCORED,
    DatabaseLimits,
    TagQueries,
    column_of,
    in_words,
    repeats_of,
    rows_of,
)


@contextmanager
def open_answers(
    path: Path,
    scale: Scale,
    segments: Sequence[str] = (),
    *,
    periods: Mapping[str, Naming] | None = None,
    days: tuple[date, date] | None = None,
    limits: DatabaseLimits | None = None,
) -> Iterator[TagQueries]:
    """Read a Parquet tags file into a database of its own, which goes when the context ends.

    The latest row of a response id wins.

    Parameters
    ----------
    path, scale, segments, periods, days
        As `data.tag_batches.TagColumns` takes them.
    limits
        What the database may take.

    Raises
    ------
    InputError
        If a row cannot be understood, or memory and disk do not suffice.
    UnfitColumnsError
        If the file must be read row by row.
    """
    limits = limits or DatabaseLimits()
    columns = TagColumns(path, scale, segments, periods=periods, days=days, threads=limits.threads or 2)
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
            sets = _Intake(database, columns, scale).fill()
            yield TagQueries(database, columns, sets)


class _Intake:
    """Fills the table of answers."""

    def __init__(self, database: duckdb.DuckDBPyConnection, columns: TagColumns, scale: Scale) -> None:
        self._database, self._columns, self._scale = database, columns, scale
        self._sets = CodeSets()
        groups = [pa.field(column_of(place), pa.uint16()) for place in range(len(columns.segments))]
        self._schema = pa.schema(
            [
                pa.field("position", pa.int64()),
                pa.field("response", pa.string()),
                pa.field("respondent", pa.string()),
                pa.field("kind", pa.uint8()),
                pa.field("status", pa.uint8()),
                pa.field("codes", pa.int32()),
                pa.field("praised", pa.int32()),
                pa.field("weight", pa.float64()),
                *groups,
            ]
        )

    def fill(self) -> CodeSets:
        """Read the file once; once more where a response id stands in it twice."""
        self._load("")
        ids = rows_of(self._database, "SELECT response FROM answers ORDER BY response")
        if sum(part["response"].size for part in repeats_of(ids, "response")):
            self._find_replaced()
            self._load("ANTI JOIN replaced USING (position)")
        return self._sets

    def _load(self, without: str) -> None:
        others = ", ".join(self._schema.names[3:])
        self._stream(
            self._schema,
            (self._table(batch) for batch in self._columns.batches()),
            "CREATE OR REPLACE TEMP TABLE answers AS SELECT hash(response) AS response, "
            f"CASE WHEN respondent IS NULL THEN NULL ELSE hash(respondent) END AS person, {others} "
            f"FROM arriving {without}",
        )

    def _find_replaced(self) -> None:
        """Note the rows that a later row with the same response id replaces."""
        schema = pa.schema([pa.field("position", pa.int64()), pa.field("response", pa.string())])
        ids = (
            pa.record_batch([positions, names], schema=schema)
            for positions, names in self._columns.response_ids()
        )
        twice = "SELECT response FROM answers GROUP BY response HAVING count(*) > 1"
        self._stream(
            schema,
            ids,
            "CREATE TEMP TABLE named AS SELECT position, response FROM arriving "
            f"WHERE hash(response) IN ({twice})",
        )
        with in_words():
            self._database.sql(
                "CREATE TEMP TABLE replaced AS SELECT position FROM named "
                "QUALIFY position < max(position) OVER (PARTITION BY response)"
            )

    def _stream(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch], query: str) -> None:
        """Run a query over batches as they come; what reading them raises comes out as it is."""
        faults: list[Exception] = []

        def guarded() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except Exception as fault:
                faults.append(fault)
                raise

        self._database.register("arriving", pa.RecordBatchReader.from_batches(schema, guarded()))
        try:
            with in_words():
                self._database.sql(query)
        except Exception as error:
            raise (faults[0] if faults else error) from None
        finally:
            self._database.unregister("arriving")

    def _table(self, batch: TagBatch) -> pa.RecordBatch:
        n, known = batch.score.size, len(self._columns.codes)
        loss = np.full(n, -1.0)
        scored = ~np.isnan(batch.score)
        loss[scored] = self._scale.loss(batch.score[scored])
        kind = np.select(
            [loss < 0, loss == 0, loss == self._scale.worst_loss], [UNSCORED, BEST, LOWEST], MIDDLE
        )
        praises = batch.tag_praises
        blamed = words_of(batch.tag_rows[~praises], batch.tag_codes[~praises], n, known)
        praised = words_of(batch.tag_rows[praises], batch.tag_codes[praises], n, known) & ~blamed
        cells = [
            np.arange(batch.first_row, batch.first_row + n),
            batch.response_id,
            batch.respondent_id,
            kind.astype(np.uint8),
            batch.status.astype(np.uint8),
            self._sets.numbers(blamed).astype(np.int32),
            self._sets.numbers(praised).astype(np.int32),
            batch.weight,
            *(batch.segments[name].astype(np.uint16) for name in self._columns.segments),
        ]
        table = pa.record_batch([pa.array(cell) for cell in cells], schema=self._schema)
        return table if batch.kept.all() else table.filter(pa.array(batch.kept))
