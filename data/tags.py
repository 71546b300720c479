"""Tags: what a model says of a response, and the files that hold it."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol, cast

from data.annotations import POLARITIES, Polarity
from data.errors import InputError
from data.responses import FIELDS, Response, match_columns, parse_response
from data.scale import NPS, Scale
from data.tables import Row, read_rows, table_format

Status = Literal["tagged", "uncoded", "no_comment", "error"]
STATUSES: tuple[Status, ...] = ("tagged", "uncoded", "no_comment", "error")
TAG_FIELDS = ("status", "tags", "model", "taxonomy_version", "error")
COLUMNS = FIELDS + TAG_FIELDS
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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
        """Give the tag as plain JSON values."""
        return {
            "code": self.code,
            "polarity": self.polarity,
            "probability": self.probability,
            "evidence": [{"start": e.start, "end": e.end, "text": e.text} for e in self.evidence],
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
    """

    response: Response
    status: Status
    tags: tuple[Tag, ...] = ()
    model: str | None = None
    taxonomy_version: int | None = None
    error: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Give the tagged response as its line of JSON holds it: the response's own fields, then the tags."""
        record = {k: v for k, v in self.response.to_record().items() if k not in TAG_FIELDS}
        record |= {
            "status": self.status,
            "tags": [tag.to_record() for tag in self.tags],
            "model": self.model,
            "taxonomy_version": self.taxonomy_version,
        }
        return record | ({"error": self.error} if self.error is not None else {})

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
    csv_like = table_format(path) in (".csv", ".tsv")
    seen: Counter[str] = Counter()
    for row in read_rows(path):
        if "status" not in row.cells or "tags" not in row.cells:
            raise InputError(
                "the file holds no tags (no 'status' and 'tags'); make one with: whyscore tag RESPONSES",
                file=path,
                row=row.number,
                column="tags",
            )
        yield _parse_tagged(_restore_formulas(row) if csv_like else row, path, scale, seen)


def _restore_formulas(row: Row) -> Row:
    return Row(row.number, {str(_restore(name)): _restore(cell) for name, cell in row.cells.items()})


def _restore(cell: object) -> object:
    guarded = isinstance(cell, str) and len(cell) > 1 and cell[0] == "'" and cell[1] in (*_FORMULA, "'")
    return cast(str, cell)[1:] if guarded else cell


def _parse_tagged(row: Row, path: str | Path, scale: Scale, seen: Counter[str]) -> TaggedResponse:
    cells = row.cells
    own = Row(row.number, {name: cell for name, cell in cells.items() if name not in TAG_FIELDS})
    names = match_columns([name for name in own.cells if name in FIELDS], {}, path)
    response = parse_response(own, names, path, scale=scale, seen=seen)
    if cells["status"] not in STATUSES:
        raise InputError(
            f"the status is not one of {', '.join(STATUSES)}", file=path, row=row.number, column="status"
        )
    version = cells.get("taxonomy_version")
    try:
        known = None if version in (None, "") else int(cast(Any, version))
        raw = json.loads(cells["tags"] or "[]") if isinstance(cells["tags"], str) else cells["tags"] or []
        tags = tuple(_parse_tag(entry) for entry in raw)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError("the tags cannot be understood", file=path, row=row.number, column="tags") from error
    model, failure = (cells.get(name) or None for name in ("model", "error"))
    return TaggedResponse(
        response,
        cast(Status, cells["status"]),
        tags,
        None if model is None else str(model),
        known,
        None if failure is None else str(failure),
    )


def _parse_tag(entry: Mapping[str, Any]) -> Tag:
    polarity, probability = entry["polarity"], float(entry["probability"])
    if polarity not in POLARITIES or not isinstance(entry["code"], str) or math.isnan(probability):
        raise ValueError("not a tag")
    evidence = tuple(
        Evidence(int(e["start"]), int(e["end"]), str(e["text"])) for e in entry.get("evidence") or ()
    )
    return Tag(entry["code"], polarity, probability, evidence)


class _Table(Protocol):
    def write(self, rows: Sequence[TaggedResponse]) -> None: ...

    def close(self) -> None: ...


def write_tags(rows: Iterable[TaggedResponse], path: str | Path, segments: Sequence[str] = ()) -> int:
    """Write tagged responses as JSON lines, CSV or Parquet, chosen by the file's ending.

    Parameters
    ----------
    rows
        May be a stream; 4,096 are held at a time.
    path
        Written in place: give a temporary name and rename it where readers must never see a part.
    segments
        The segment columns of a CSV or Parquet, in order; JSON lines need none.

    Returns
    -------
    int
        How many rows were written.
    """
    form = table_format(path)
    if form in (".csv", ".tsv"):
        table: _Table = _CsvTable(Path(path), segments, "\t" if form == ".tsv" else ",")
    elif form == ".parquet":
        table = _ParquetTable(Path(path), segments)
    elif form in (".jsonl", ".ndjson"):
        table = _JsonTable(Path(path))
    else:
        raise InputError("tags are written as .jsonl, .csv or .parquet", file=path)
    count = 0
    try:
        chunk: list[TaggedResponse] = []
        for row in rows:
            chunk.append(row)
            count += 1
            if len(chunk) >= 4096:
                table.write(chunk)
                chunk.clear()
        table.write(chunk)
    finally:
        table.close()
    return count


def defuse(value: object) -> object:
    """Put ``'`` before a text that a spreadsheet would run as a formula (OWASP, CSV injection).

    A text that starts with ``'`` gets one more, so that reading back is exact.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith((*_FORMULA, "'")) else value


def _flat(row: TaggedResponse, segments: Sequence[str]) -> dict[str, Any]:
    record = row.to_record()
    tags = json.dumps(record["tags"], ensure_ascii=False)
    return {name: record.get(name) for name in COLUMNS[:6]} | {
        **{name: row.response.segments.get(name) for name in segments if name not in COLUMNS},
        "status": row.status,
        "tags": tags,
        "model": row.model,
        "taxonomy_version": row.taxonomy_version,
        "error": row.error,
    }


class _JsonTable:
    def __init__(self, path: Path) -> None:
        self.file = _open_for_text(path)

    def write(self, rows: Sequence[TaggedResponse]) -> None:
        self.file.writelines(row.to_line() for row in rows)

    def close(self) -> None:
        self.file.close()


class _CsvTable:
    def __init__(self, path: Path, segments: Sequence[str], delimiter: str) -> None:
        self.file, self.segments = _open_for_text(path), segments
        self.writer = csv.writer(self.file, delimiter=delimiter)
        names = [*COLUMNS[:6], *(s for s in segments if s not in COLUMNS), *TAG_FIELDS]
        self.writer.writerow([defuse(name) for name in names])

    def write(self, rows: Sequence[TaggedResponse]) -> None:
        for row in rows:
            self.writer.writerow([defuse(value) for value in _flat(row, self.segments).values()])

    def close(self) -> None:
        self.file.close()


class _ParquetTable:
    def __init__(self, path: Path, segments: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        text = [(name, pa.string()) for name in segments if name not in COLUMNS]
        evidence = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("text", pa.string())]))
        tag = pa.struct(
            [
                ("code", pa.string()),
                ("polarity", pa.string()),
                ("probability", pa.float64()),
                ("evidence", evidence),
            ]
        )
        self.schema = pa.schema(
            [
                ("response_id", pa.string()),
                ("score", pa.float64()),
                ("comment", pa.string()),
                ("responded_at", pa.timestamp("us", tz="UTC")),
                ("respondent_id", pa.string()),
                ("weight", pa.float64()),
                *text,
                ("status", pa.string()),
                ("tags", pa.list_(tag)),
                ("model", pa.string()),
                ("taxonomy_version", pa.int64()),
                ("error", pa.string()),
            ]
        )
        self.segments = segments
        self.writer = pq.ParquetWriter(path, self.schema, compression="zstd")

    def write(self, rows: Sequence[TaggedResponse]) -> None:
        import pyarrow as pa

        records = []
        for row in rows:
            record = _flat(row, self.segments)
            record["tags"] = [tag.to_record() for tag in row.tags]
            record |= {"responded_at": row.response.responded_at, "score": row.response.score}
            records.append(record | {"weight": row.response.weight})
        if records:
            self.writer.write_table(pa.Table.from_pylist(records, schema=self.schema))

    def close(self) -> None:
        self.writer.close()


def _open_for_text(path: Path) -> IO[str]:
    import gzip

    if path.suffix.lower() == ".gz":
        return cast(IO[str], gzip.open(path, "wt", encoding="utf-8", newline=""))
    return path.open("w", encoding="utf-8", newline="")
