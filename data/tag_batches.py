"""Tags in Parquet as columns: what a ranking needs of each row, read and checked a batch at a time.

Only the leaves that count are read: of a tag its code, polarity and probability, never its evidence, and
no comment. A file or a row that does not fit is refused with `UnfitColumnsError`; `data.tags.read_tags`
reads those row by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.annotations import POLARITIES
from data.cells import BLANKS, parse_text, whole_text
from data.errors import InputError
from data.responses import GREATEST_WEIGHT
from data.rows import Row
from data.scale import Scale
from data.tag_schema import LEAVES, UnfitColumnsError, fitting_columns, is_text
from data.tags import STATUSES, parse_tagged

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Naming = Callable[[datetime], str]

ROWS = 131_072
"""Rows of a batch: large enough for columns to pay, small enough for memory (some 20 MB)."""

MOST_VALUES = 65_535
"""Distinct values of a segment that are told apart; far above what a segment may have."""

_DAY = 86_400_000_000  # microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUS = {str(name): place for place, name in enumerate(STATUSES)}
_POLARITY = {str(name): place for place, name in enumerate(POLARITIES)}


@dataclass(frozen=True, eq=False)
class TagBatch:
    """Some rows of a tags file; shape (n,) each where nothing else is said.

    Attributes
    ----------
    first_row
        Position of the first of them in the file, from 0.
    kept
        Which rows lie in the span of days that was asked for.
    response_id, respondent_id
        Arrow arrays of strings, tidied; the second is null where nobody is named.
    score, weight
        NaN for a response without a score; the weight is at least 0.
    status
        Positions in `STATUSES`.
    tag_rows, tag_codes, tag_praises
        Of each tag, shape (m,): its row from 0 to n - 1, sorted; its code's position in
        `TagColumns.codes`; whether its polarity is positive.
    segments
        By name: positions in `TagColumns.values`.
    comment, model, taxonomy_version
        Arrow arrays, the first two of strings; null where the row holds none. None unless asked for.
    """

    first_row: int
    kept: Bools
    response_id: pa.Array
    respondent_id: pa.Array
    score: Floats
    weight: Floats
    status: Ints
    tag_rows: Ints
    tag_codes: Ints
    tag_praises: Bools
    segments: Mapping[str, Ints]
    comment: pa.Array | None = None
    model: pa.Array | None = None
    taxonomy_version: pa.Array | None = None


class TagColumns:
    """The columns of a Parquet tags file.

    Parameters
    ----------
    path
        The file.
    scale
        The declared scale of its scores.
    segments
        Columns to read as segments; one that is not there is blank throughout.
    periods
        Segments that a time names where their column does not, such as ``week``; they may depend on the
        day in UTC alone.
    days
        Only responses that were given from the first to the second of these days, in UTC.
    threads
        1 for no more than this one.

    Attributes
    ----------
    names
        The columns of the file.
    codes
        The codes that were met so far, with their positions.
    values
        By segment: the values that were met so far, with their positions; ``""`` is at 0.

    Raises
    ------
    UnfitColumnsError
        If it must be read row by row.
    """

    def __init__(
        self,
        path: Path,
        scale: Scale,
        segments: Sequence[str] = (),
        *,
        periods: Mapping[str, Naming] | None = None,
        days: tuple[date, date] | None = None,
        threads: int = 2,
    ) -> None:
        self._path, self._scale, self._threads = path, scale, threads
        self._span = None if days is None else tuple(day.toordinal() - _EPOCH.toordinal() for day in days)
        self._types, self._leaves = fitting_columns(path)
        self._periods = {name: naming for name, naming in (periods or {}).items() if name in segments}
        self.names = tuple(self._types)
        self.segments = tuple(segments)
        self.codes: dict[str, int] = {}
        self.values: dict[str, dict[str, int]] = {name: {"": 0} for name in segments}
        self._known_days: dict[str, dict[int, int]] = {name: {} for name in segments}

    def batches(self, *, whole: bool = False) -> Iterator[TagBatch]:
        """Yield the rows in the order of the file.

        Parameters
        ----------
        whole
            With their comments, models and versions of the taxonomy.

        Raises
        ------
        InputError
            If a row cannot be understood, in the words of `data.tags.read_tags`; or a segment has more
            than `MOST_VALUES` values.
        UnfitColumnsError
            If a row must be read by `read_tags`.
        """
        wanted = ["response_id", "respondent_id", "score", "weight", "status", *self.segments]
        wanted += ["comment", "model", "taxonomy_version"] if whole else []
        with _unfit():
            for first, columns in self._columns([*wanted, "responded_at", *self._leaves]):
                batch = self._read(columns, first)
                yield replace(batch, **_rest(columns, batch.score.size)) if whole else batch

    def response_ids(self) -> Iterator[tuple[Ints, pa.Array]]:
        """Yield the positions of kept rows in the file, and the ids of their responses, tidied."""
        with _unfit():
            for first, columns in self._columns(["response_id", "responded_at"]):
                kept = self._kept(columns, len(columns["response_id"]))
                yield first + np.flatnonzero(kept), tidied(columns["response_id"]).filter(pa.array(kept))

    def _columns(self, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, pa.Array]]]:
        dated = bool(self._periods) or self._span is not None
        held = [name for name in wanted if name in self._types or name in self._leaves]
        held = [name for name in held if dated or name != "responded_at"]
        words = [name for name in ("status", *self.segments) if is_text(self._types.get(name))]
        first = 0
        with pq.ParquetFile(self._path, read_dictionary=words) as source:
            for batch in source.iter_batches(ROWS, columns=held, use_threads=self._threads > 1):
                yield first, dict(zip(batch.schema.names, batch.columns, strict=True))
                first += batch.num_rows

    def _read(self, columns: Mapping[str, pa.Array], first: int) -> TagBatch:
        n = len(columns["status"])
        score, weight = (_numbers(columns.get(name), n) for name in ("score", "weight"))
        weight = np.where(np.isnan(weight), 1.0, weight)
        status = _positions(columns["status"], _STATUS)
        rows, codes, praises, wrong_tag = self._tags(columns["tags"])
        wrong = (status < 0) | ((np.bincount(rows, minlength=n) > 0) != (status == _STATUS["tagged"]))
        wrong |= ~(np.isnan(score) | ((score >= self._scale.low) & (score <= self._scale.high)))
        wrong |= ~((weight >= 0) & (weight <= GREATEST_WEIGHT))
        wrong[rows[wrong_tag]] = True
        if wrong.any():
            self._refuse(first + int(np.argmax(wrong)))
        response_id = tidied(columns["response_id"])
        if response_id.null_count:
            raise UnfitColumnsError  # such a row is named after all of its cells
        people = columns.get("respondent_id")
        return TagBatch(
            first_row=first,
            kept=self._kept(columns, n),
            response_id=response_id,
            respondent_id=pa.nulls(n, pa.string()) if people is None else tidied(people),
            score=score,
            weight=weight,
            status=status,
            tag_rows=rows,
            tag_codes=codes,
            tag_praises=praises,
            segments={name: self._segment(name, columns, n) for name in self.segments},
        )

    def _tags(self, tags: pa.ListArray) -> tuple[Ints, Ints, Bools, Bools]:
        """Give each tag's row and code, whether it praises, and whether it is wrong."""
        sizes = pc.list_value_length(tags).fill_null(0).to_numpy(zero_copy_only=False)
        held = tags.flatten()
        code, polarity, probability = (pc.struct_field(held, leaf) for leaf in LEAVES)
        chance = _numbers(probability, len(held))
        kind = _positions(polarity, _POLARITY)
        place = _positions(code, self.codes, whole_text)
        wrong = (place < 0) | (kind < 0) | ~((chance >= 0) & (chance <= 1))
        return np.repeat(np.arange(len(tags)), sizes), place, kind == _POLARITY["positive"], wrong

    def _segment(self, name: str, columns: Mapping[str, pa.Array], n: int) -> Ints:
        places = np.zeros(n, dtype=np.int64)
        values = self.values[name]
        if name in columns:
            places = np.maximum(0, _positions(columns[name], values, lambda cell: parse_text(cell) or ""))
        if name in self._periods and "responded_at" in columns:
            places = np.where(places == 0, self._period(name, columns["responded_at"]), places)
        if len(values) > MOST_VALUES:
            raise InputError(f"'{name}' has more than {MOST_VALUES:,} values; that is no segment")
        return places

    def _kept(self, columns: Mapping[str, pa.Array], n: int) -> Bools:
        """Tell which rows lie in the span of days."""
        if self._span is None:
            return np.ones(n, dtype=np.bool_)
        if "responded_at" not in columns:
            return np.zeros(n, dtype=np.bool_)
        dated, day = _days(columns["responded_at"])
        kept: Bools = dated & (day >= self._span[0]) & (day <= self._span[1])
        return kept

    def _period(self, name: str, moments: pa.Array) -> Ints:
        """Give the positions of the periods of some moments, 0 where there is none."""
        known, values = self._known_days[name], self.values[name]
        dated, day = _days(moments)
        days, place = np.unique(day, return_inverse=True)
        for each in set(days.tolist()) - known.keys():
            try:
                moment = _EPOCH + timedelta(days=each)
            except OverflowError as error:
                raise UnfitColumnsError from error
            known[each] = values.setdefault(self._periods[name](moment), len(values))
        found = np.array([known[each] for each in days.tolist()], dtype=np.int64)
        return np.where(dated, found[place], 0)

    def _refuse(self, position: int) -> None:
        """Raise what `read_tags` says of a row; where it finds no fault, it must read the file."""
        with pq.ParquetFile(self._path) as source:
            first = 0
            for group in range(source.num_row_groups):
                size = source.metadata.row_group(group).num_rows
                if position < first + size:
                    cells = source.read_row_group(group).slice(position - first, 1).to_pylist()[0]
                    parse_tagged(Row(position + 2, cells), self._path, self._scale, Counter())
                    break
                first += size
        raise UnfitColumnsError


@contextmanager
def _unfit() -> Iterator[None]:
    """Say that rows must be read one by one where Arrow cannot read a column."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise UnfitColumnsError from error


def _days(moments: pa.Array) -> tuple[Bools, Ints]:
    """Tell which moments are known, and give the day of each since 1970 in UTC."""
    instants = moments.cast(pa.timestamp("us", moments.type.tz), safe=False).cast(pa.int64())
    return moments.is_valid().to_numpy(zero_copy_only=False), instants.fill_null(0).to_numpy() // _DAY


def _rest(columns: Mapping[str, pa.Array], n: int) -> dict[str, pa.Array]:
    """Read the columns that are no figures, as `data.tags.read_tags` does."""
    comment, model = (
        pc.replace_substring(columns.get(name, pa.nulls(n)).cast(pa.string()), "\0", "\ufffd")
        for name in ("comment", "model")
    )
    shown = pc.not_equal(pc.binary_length(pc.utf8_trim(comment, BLANKS)), 0)
    return {
        "comment": pc.if_else(shown, comment, None),
        "model": pc.if_else(pc.not_equal(model, ""), model, None),
        "taxonomy_version": columns.get("taxonomy_version", pa.nulls(n)).cast(pa.int64()),
    }


def _numbers(column: pa.Array | None, n: int) -> Floats:
    """Give a column as floats, NaN where it holds nothing."""
    if column is None:
        return np.full(n, np.nan)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _positions(column: pa.Array, known: dict[str, int], tidy: Callable[[str], str] | None = None) -> Ints:
    """Give the position of each cell's text, -1 where there is none; `tidy` reads texts that are new."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    places = []
    for value in encoded.dictionary.to_pylist():
        if value is None:
            places.append(-1)
        elif tidy is None:
            places.append(known.get(value, -1))
        else:
            places.append(known.setdefault(tidy(value), len(known)))
    index = encoded.indices.cast(pa.int64()).fill_null(len(places)).to_numpy(zero_copy_only=False)
    found: Ints = np.array([*places, -1], dtype=np.int64)[index]
    return found


def tidied(column: pa.Array) -> pa.Array:
    """Give a column of texts as `data.cells.parse_text` reads each: without blanks around, null if blank."""
    texts = column.cast(pa.string())
    offsets = np.frombuffer(texts.buffers()[1] or bytes(4), dtype=np.int32)
    first, last = offsets[texts.offset], offsets[texts.offset + len(texts)]
    held = texts.buffers()[2]
    letters = np.frombuffer(held if held is not None else b"", dtype=np.uint8)[first:last]
    if not bool(((letters > 0x20) & (letters < 0x7F)).all()):
        texts = pc.replace_substring(pc.utf8_trim(texts, BLANKS), "\0", "\ufffd")
    empty = pc.equal(pc.binary_length(texts), 0)
    return pc.if_else(empty, None, texts) if pc.any(empty).as_py() else texts
