"""The digests of a Parquet tags file of any size: those of `data.row_digests`, computed by columns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data.code_sets import CodeSets, words_of
from data.files import writing
from data.row_digests import ANSWER_END, KINDS, DigestKey, RowDigests, said_of
from data.scratch_database import ARRIVING, Database, cells_of, quoted, stream
from data.tag_batches import TagBatch, TagColumns
from data.tags import STATUSES

_WORDS = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    [
        ("position", pa.int64()),
        ("response_id", pa.string()),
        ("comment", pa.string()),
        ("said", _WORDS),
        ("score", pa.float64()),
        ("weight", pa.float64()),
        ("respondent", pa.string()),
        ("value", _WORDS),
        ("model", pa.string()),
        ("taxonomy_version", pa.int64()),
    ]
)
_ANSWER = f" || {quoted(ANSWER_END)} || ".join(
    ["coalesce(score::VARCHAR, '')", "weight::VARCHAR", "coalesce(respondent, '')", "value::VARCHAR"]
)
_VALUES = {"text": "coalesce(comment, '')", "tags": "said::VARCHAR", "answer": _ANSWER}


def digest_columns(
    database: Database,
    columns: TagColumns,
    key: DigestKey,
    *,
    by: str | None = None,
    without: str = "",
    listing: Path | None = None,
) -> RowDigests:
    """Take the digests of a tags file.

    Parameters
    ----------
    database
        Does the work.
    columns
        The file.
    key
        Of the hashes.
    by
        The segment that is ranked by, among those of `columns`.
    without
        A join of SQL that leaves out replaced rows.
    listing
        Where to write every response with its hashes; see `data.row_digests.listing_schema`.
    """
    hashes = ", ".join(f"{_hashed(key, kind)} AS {kind}" for kind in KINDS)
    rows = f"SELECT response_id, {hashes}, model, taxonomy_version FROM {ARRIVING} {without}"
    batches = _Said(columns, by).batches()
    if listing is None:
        stream(database, _SCHEMA, batches, f"CREATE OR REPLACE TEMP TABLE digests AS {_summed(rows)}")
        found = cells_of(database, "SELECT * FROM digests")
    else:
        found = _listed(database, rows, batches, listing)
    sums = {kind: sum(int(row[place + 3]) for row in found) for place, kind in enumerate(KINDS)}
    models = {(row[0], row[1]): int(row[2]) for row in found}
    return RowDigests(key.name, sum(models.values()), sums, models)


def _listed(
    database: Database, rows: str, batches: Iterator[pa.RecordBatch], listing: Path
) -> list[tuple[Any, ...]]:
    """Write the listing, which appears whole or not at all, and sum it."""
    partial = listing.with_name(f".{listing.name}.{os.getpid()}.partial")
    with writing(listing):
        partial.touch()
        try:
            copy = f"COPY ({rows}) TO {quoted(partial)} (FORMAT parquet, COMPRESSION zstd)"
            stream(database, _SCHEMA, batches, copy)
            found = cells_of(database, _summed(f"FROM read_parquet({quoted(partial)})"))
            partial.replace(listing)
        finally:
            partial.unlink(missing_ok=True)
    return found


def _hashed(key: DigestKey, kind: str) -> str:
    """Give `DigestKey.hash` in SQL."""
    text = (
        f"{quoted(key.digits + kind + ':')} || length(response_id) || ':' || response_id || {_VALUES[kind]}"
    )
    return f"('0x' || left(sha256({text}), 16))::UBIGINT"


def _summed(rows: str) -> str:
    sums = ", ".join(f"sum({kind})" for kind in KINDS)
    return f"SELECT model, taxonomy_version, count(*), {sums} FROM ({rows}) GROUP BY ALL"


class _Said:
    """Gives the rows of a file with what the model said of them in words."""

    def __init__(self, columns: TagColumns, by: str | None) -> None:
        self._columns, self._by = columns, by
        self._sets = CodeSets()

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._columns.batches(whole=True):
            table = pa.record_batch(self._cells(batch), schema=_SCHEMA)
            yield table if batch.kept.all() else table.filter(pa.array(batch.kept))

    def _cells(self, batch: TagBatch) -> list[pa.Array]:
        n = batch.score.size
        value = np.zeros(n, dtype=np.int64) if self._by is None else batch.segments[self._by]
        values = [""] if self._by is None else list(self._columns.values[self._by])
        missing = np.isnan(batch.score)
        return [
            pa.array(np.arange(batch.first_row, batch.first_row + n)),
            batch.response_id,
            batch.comment,
            self._said(batch),
            pa.array(np.where(missing, 0.0, batch.score) + 0.0, mask=missing),
            pa.array(batch.weight + 0.0),
            batch.respondent_id,
            pa.DictionaryArray.from_arrays(pa.array(value.astype(np.int32)), pa.array(values)),
            batch.model,
            batch.taxonomy_version,
        ]

    def _said(self, batch: TagBatch) -> pa.DictionaryArray:
        n, names = batch.score.size, list(self._columns.codes)
        praises, known = batch.tag_praises, len(names)
        blamed = words_of(batch.tag_rows[~praises], batch.tag_codes[~praises], n, known)
        praised = words_of(batch.tag_rows[praises], batch.tag_codes[praises], n, known) & ~blamed
        numbers = [self._sets.numbers(words) for words in (blamed, praised)]
        key = (numbers[0] * len(self._sets) + numbers[1]) * len(STATUSES) + batch.status
        _, firsts, place = np.unique(key, return_index=True, return_inverse=True)
        words = [
            said_of(
                STATUSES[batch.status[row]],
                *([names[code] for code in self._sets.codes_in(number[row])] for number in numbers),
            )
            for row in firsts
        ]
        return pa.DictionaryArray.from_arrays(pa.array(place.astype(np.int32)), pa.array(words, pa.string()))
