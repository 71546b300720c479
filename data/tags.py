"""Tags: what a model says of a response, and the files that hold it."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from data.annotations import POLARITIES, Polarity
from data.cells import defuse, parse_number, tidy_name, whole_text
from data.errors import InputError
from data.files import create_text, writing
from data.responses import FIELDS, RESERVED, Response, parse_response, restored
from data.scale import NPS, Scale
from data.tables import Row, read_rows, table_format

if TYPE_CHECKING:
    import pyarrow

Status = Literal["tagged", "uncoded", "no_comment", "error"]
STATUSES: tuple[Status, ...] = ("tagged", "uncoded", "no_comment", "error")
TAG_FIELDS = RESERVED
COLUMNS = FIELDS + TAG_FIELDS
_ABSTAINED = {"": False, "false": False, "true": True}
_CHUNK = 4096
_ROW_GROUP = 131_072  # rows of Parquet that lie together; small groups are slow to read and pack badly
_OUTPUT = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

__all__ = [
    "COLUMNS",
    "STATUSES",
    "TAG_FIELDS",
    "Evidence",
    "Status",
    "Tag",
    "TaggedResponse",
    "defuse",
    "parquet_schema",
    "parse_tagged",
    "read_tags",
    "write_tags",
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The part of a comment that carries a code; offsets count Unicode code points."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A reason code that a comment mentions, with its polarity and the model's probability."""

    code: str
    polarity: Polarity
    probability: float
    evidence: tuple[Evidence, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Give the tag as plain JSON values that UTF-8 can hold."""
        return {
            "code": whole_text(self.code),
            "polarity": self.polarity,
            "probability": self.probability,
            "evidence": [{"start": e.start, "end": e.end, "text": whole_text(e.text)} for e in self.evidence],
        }


@dataclass(frozen=True, slots=True)
class TaggedResponse:
    """A response with what a model said of it.

    Attributes
    ----------
    status
        tagged; uncoded (a comment, no code); no_comment; error (then `error` says why).
    model, taxonomy_version
        What tagged it, such as ``reason-codes/7``.
    abstained
        Whether the comment is uncoded because it is unlike those that the model was trained on.
    """

    response: Response
    status: Status
    tags: tuple[Tag, ...] = ()
    model: str | None = None
    taxonomy_version: int | None = None
    error: str | None = None
    abstained: bool = False

    def to_record(self) -> dict[str, Any]:
        """Give the tagged response as its line of JSON holds it: the response's own fields, then the tags."""
        record = {k: v for k, v in self.response.to_record().items() if k not in TAG_FIELDS}
        record |= {
            "status": self.status,
            "tags": [tag.to_record() for tag in self.tags],
            "model": None if self.model is None else whole_text(self.model),
            "taxonomy_version": self.taxonomy_version,
        }
        if self.error is not None:
            record["error"] = whole_text(self.error)
        return record | ({"abstained": True} if self.abstained else {})

    def to_line(self) -> str:
        """Give the record as one line of JSON, newline included."""
        return json.dumps(self.to_record(), ensure_ascii=False) + "\n"


def read_tags(path: str | Path, *, scale: Scale = NPS) -> Iterator[TaggedResponse]:
    """Yield the tagged responses of a tags file (JSON lines, CSV or Parquet, also gzipped).

    Raises
    ------
    InputError
        If it is no tags file or a cell cannot be understood; names file, row and column.
    """
    guarded = table_format(path) in (".csv", ".tsv", ".xlsx")  # a workbook was such a CSV once
    seen: Counter[str] = Counter()
    for row in read_rows(path):
        if "status" not in row.cells or "tags" not in row.cells:
            raise InputError(
                "the file holds no tags (no 'status' and 'tags'); make one with: whyscore tag RESPONSES",
                file=path,
                row=row.number,
                column="tags",
            )
        yield parse_tagged(restored(row) if guarded else row, path, scale, seen)


def parse_tagged(row: Row, path: str | Path, scale: Scale, seen: Counter[str]) -> TaggedResponse:
    """Read one row of a tags file; `seen` counts equal rows without an id.

    Raises
    ------
    InputError
        Names file, row and column of what cannot be understood.
    """
    cells = row.cells

    def wrong(column: str, message: str) -> InputError:
        return InputError(message, file=path, row=row.number, column=column)

    own = Row(row.number, {name: cell for name, cell in cells.items() if name not in TAG_FIELDS})
    names = {name: name for name in FIELDS if name in own.cells}
    response = parse_response(own, names, path, scale=scale, seen=seen)
    status = cells["status"]
    if status not in STATUSES:
        raise wrong("status", f"the status is not one of {', '.join(STATUSES)}")
    try:
        version = parse_number(cells.get("taxonomy_version"))
        known = None if version is None else _whole_number(version)
    except ValueError:
        raise wrong("taxonomy_version", "the version is not a whole number") from None
    try:
        raw = cells["tags"]
        raw = json.loads(raw) if isinstance(raw, str) and raw.strip() else raw or []
        tags = tuple(_parse_tag(entry) for entry in raw)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise wrong("tags", "the tags cannot be understood") from None
    if (status == "tagged") != bool(tags):
        has = "none" if status == "tagged" else "some"
        raise wrong("status", f"the status is '{status}', but there are {has} in 'tags'")
    abstained = _ABSTAINED.get(str(cells.get("abstained") or "").strip().lower())
    if abstained is None:
        raise wrong("abstained", "it is neither true nor false")
    if abstained and status != "uncoded":
        raise wrong("abstained", f"the model abstained, but the status is '{status}'")
    model, failure = (cells.get(name) or None for name in ("model", "error"))
    return TaggedResponse(
        response,
        cast(Status, status),
        tags,
        None if model is None else whole_text(str(model)),
        known,
        None if failure is None else whole_text(str(failure)),
        abstained,
    )


def _whole_number(value: Any) -> int:
    """Read a number without a fraction, as a spreadsheet or pandas may have made ``3.0`` of 3."""
    if isinstance(value, bool) or not 0 <= value <= 2**53 or value != int(value):
        raise ValueError("not a whole number")
    return int(value)


def _parse_tag(entry: Any) -> Tag:
    if not isinstance(entry, Mapping) or not isinstance(entry["code"], str):
        raise TypeError("not a tag")
    polarity, probability = entry["polarity"], entry["probability"]
    if polarity not in POLARITIES or isinstance(probability, bool) or not 0 <= probability <= 1:
        raise ValueError("not a tag")
    evidence = tuple(_parse_evidence(part) for part in entry.get("evidence") or ())
    return Tag(whole_text(entry["code"]), polarity, float(probability), evidence)


def _parse_evidence(part: Any) -> Evidence:
    start, end, text = _whole_number(part["start"]), _whole_number(part["end"]), part["text"]
    if not isinstance(text, str) or not start <= end:
        raise ValueError("not evidence")
    return Evidence(start, end, whole_text(text))


class _Table(Protocol):
    def write(self, rows: Sequence[TaggedResponse]) -> None: ...

    def close(self) -> None: ...


def write_tags(rows: Iterable[TaggedResponse], path: str | Path, segments: Sequence[str] = ()) -> int:
    """Write tagged responses as JSON lines, CSV or Parquet, chosen by the file's ending.

    Parameters
    ----------
    rows
        May be a stream; 4,096 are held at a time (131,072 for Parquet). Lone surrogates are written as
        U+FFFD.
    path
        Written in place: give a temporary name and rename it where readers must never see a part.
    segments
        The segment columns of a CSV or Parquet, in order; others are left out there. JSON lines need
        none: they hold every segment.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    InputError
        If the ending is of another format, or the file cannot be written.
    """
    path, form = Path(path), table_format(path)
    gzipped_parquet = form == ".parquet" and path.suffix.lower() == ".gz"
    if form not in _OUTPUT or gzipped_parquet:
        raise InputError("tags are written as .jsonl, .csv, .tsv (each also with .gz) or .parquet", file=path)
    names = [name for name in dict.fromkeys(segments) if name not in COLUMNS]
    if form != ".jsonl" and form != ".ndjson":
        _check_segments(names, path)
    with writing(path):
        table = _open_table(path, form, names)
    count = 0
    chunk: list[TaggedResponse] = []
    try:
        for row in rows:
            chunk.append(row)
            count += 1
            if len(chunk) >= _CHUNK:
                with writing(path):
                    table.write(chunk)
                chunk.clear()
        with writing(path):
            table.write(chunk)
    finally:
        with writing(path):
            table.close()
    return count


def _check_segments(names: Sequence[str], path: Path) -> None:
    for name in names:
        if name != tidy_name(name) or not name:
            raise InputError(
                "a segment's name has blanks around it or line breaks in it", file=path, column=name
            )


def _open_table(path: Path, form: str, segments: Sequence[str]) -> _Table:
    if form == ".parquet":
        return _ParquetTable(path, segments)
    if form in (".csv", ".tsv"):
        return _CsvTable(path, segments, "\t" if form == ".tsv" else ",")
    return _JsonTable(path)


def _flat(row: TaggedResponse, segments: Sequence[str]) -> dict[str, Any]:
    record = row.to_record()
    record["tags"] = json.dumps(record["tags"], ensure_ascii=False)
    return {name: record.get(name) for name in (*FIELDS, *segments, *TAG_FIELDS)}


class _JsonTable:
    def __init__(self, path: Path) -> None:
        self.file = create_text(path)

    def write(self, rows: Sequence[TaggedResponse]) -> None:
        self.file.writelines(row.to_line() for row in rows)

    def close(self) -> None:
        self.file.close()


class _CsvTable:
    def __init__(self, path: Path, segments: Sequence[str], delimiter: str) -> None:
        self.file, self.segments = create_text(path), segments
        self.writer = csv.writer(self.file, delimiter=delimiter)
        self.writer.writerow([defuse(name) for name in (*FIELDS, *segments, *TAG_FIELDS)])

    def write(self, rows: Sequence[TaggedResponse]) -> None:
        for row in rows:
            cells = _flat(row, self.segments).values()
            self.writer.writerow(["true" if cell is True else defuse(cell) for cell in cells])

    def close(self) -> None:
        self.file.close()


def parquet_schema(segments: Sequence[str]) -> pyarrow.Schema:
    """Give the columns of a Parquet tags file, of which `segments` are texts."""
    import pyarrow as pa

    evidence = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("text", pa.string())]))
    tag = pa.struct(
        [
            ("code", pa.string()),
            ("polarity", pa.string()),
            ("probability", pa.float64()),
            ("evidence", evidence),
        ]
    )
    return pa.schema(
        [
            ("response_id", pa.string()),
            ("score", pa.float64()),
            ("comment", pa.string()),
            ("responded_at", pa.timestamp("us", tz="UTC")),
            ("respondent_id", pa.string()),
            ("weight", pa.float64()),
            *((name, pa.string()) for name in segments),
            ("status", pa.string()),
            ("tags", pa.list_(tag)),
            ("model", pa.string()),
            ("taxonomy_version", pa.int64()),
            ("error", pa.string()),
            ("abstained", pa.bool_()),
        ]
    )


class _ParquetTable:
    def __init__(self, path: Path, segments: Sequence[str]) -> None:
        import pyarrow.parquet as pq

        self.schema = parquet_schema(segments)
        self.segments = segments
        self.writer = pq.ParquetWriter(path, self.schema, compression="zstd")
        self.waiting: list[Any] = []

    def write(self, rows: Sequence[TaggedResponse]) -> None:
        import pyarrow as pa

        records = []
        for row in rows:
            record = _flat(row, self.segments)
            record["tags"] = [tag.to_record() for tag in row.tags]
            record |= {"responded_at": row.response.responded_at, "score": row.response.score}
            records.append(record | {"weight": row.response.weight})
        if records:
            self.waiting.append(pa.Table.from_pylist(records, schema=self.schema))
        if sum(table.num_rows for table in self.waiting) >= _ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if self.waiting:
            self.writer.write_table(pa.concat_tables(self.waiting), row_group_size=_ROW_GROUP)
            self.waiting.clear()

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self.writer.close()
