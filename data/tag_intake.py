"""Reads a Parquet tags file into a database of its own, one narrow row for each response.

The file is read once, as columns. Ids are told apart by 64-bit hashes; where two responses share one, the
ids themselves decide. Among ten million respondents the chance that any two are taken for one is 3 in a
million.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.code_sets import CodeSets, words_of
from data.scale import Scale
from data.scratch_database import (
    ARRIVING,
    Database,
    DatabaseLimits,
    repeats_of,
    rows_of,
    run,
    scratch_database,
    stream,
)
from data.tag_batches import Naming, TagBatch, TagColumns
from data.tag_queries import BEST, LOWEST, MIDDLE, REPLACED, UNSCORED, TagQueries, column_of


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
    threads = 2 if limits is None or limits.threads is None else limits.threads
    columns = TagColumns(path, scale, segments, periods=periods, days=days, threads=threads)
    with scratch_database(limits) as database:
        intake = _Intake(database, columns, scale)
        repeated = intake.fill()
        yield TagQueries(database, columns, intake.sets, repeated=repeated)


class _Intake:
    """Fills the table of answers."""

    def __init__(self, database: Database, columns: TagColumns, scale: Scale) -> None:
        self._database, self._columns, self._scale = database, columns, scale
        self.sets = CodeSets()
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

    def fill(self) -> bool:
        """Read the file once; once more where a response id stands in it twice, and tell whether one does."""
        self._load("")
        ids = rows_of(self._database, "SELECT response FROM answers ORDER BY response")
        repeated = sum(part["response"].size for part in repeats_of(ids, "response")) > 0
        if repeated:
            self._find_replaced()
            self._load(f"ANTI JOIN {REPLACED} USING (position)")
        return repeated

    def _load(self, without: str) -> None:
        others = ", ".join(self._schema.names[3:])
        stream(
            self._database,
            self._schema,
            (self._table(batch) for batch in self._columns.batches()),
            "CREATE OR REPLACE TEMP TABLE answers AS SELECT hash(response) AS response, "
            f"CASE WHEN respondent IS NULL THEN NULL ELSE hash(respondent) END AS person, {others} "
            f"FROM {ARRIVING} {without}",
        )

    def _find_replaced(self) -> None:
        """Note the rows that a later row with the same response id replaces."""
        schema = pa.schema([pa.field("position", pa.int64()), pa.field("response", pa.string())])
        ids = (
            pa.record_batch([positions, names], schema=schema)
            for positions, names in self._columns.response_ids()
        )
        twice = "SELECT response FROM answers GROUP BY response HAVING count(*) > 1"
        stream(
            self._database,
            schema,
            ids,
            f"CREATE TEMP TABLE named AS SELECT position, response FROM {ARRIVING} "
            f"WHERE hash(response) IN ({twice})",
        )
        run(
            self._database,
            f"CREATE TEMP TABLE {REPLACED} AS SELECT position FROM named "
            "QUALIFY position < max(position) OVER (PARTITION BY response)",
        )

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
            self.sets.numbers(blamed).astype(np.int32),
            self.sets.numbers(praised).astype(np.int32),
            batch.weight,
            *(batch.segments[name].astype(np.uint16) for name in self._columns.segments),
        ]
        table = pa.record_batch([pa.array(cell) for cell in cells], schema=self._schema)
        return table if batch.kept.all() else table.filter(pa.array(batch.kept))
