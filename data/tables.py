"""Rows from any table file - CSV, TSV, XLSX, Parquet, JSON lines, each also as ``.gz`` - one at a time."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from data.cells import BLANKS, tidy_name, whole_text
from data.errors import InputError, NotFoundError
from data.files import broken_encoding, open_text, plain_reason
from data.qualtrics import qualtrics_header
from data.rows import Row, checked_header, named_cells
from data.workbooks import parquet_rows, xlsx_rows

__all__ = ["FORMATS", "Row", "broken_encoding", "open_text", "parse_json_object", "read_rows", "table_format"]

FORMATS = (".csv", ".tsv", ".xlsx", ".parquet", ".jsonl", ".ndjson")
_LONGEST = 16 * 1024 * 1024  # characters of a line or a cell: beyond it a quotation mark was left open
_DEEPEST = 32  # levels of JSON inside JSON
_IMPORT_ID = "ImportId"  # stands in the third header row of Qualtrics' files
_SEPARATOR_LINE = re.compile(r'\A"?sep=(.)"?\r?\n', re.IGNORECASE)  # Excel's own: it shows no row for it
csv.field_size_limit(_LONGEST)


def table_format(path: str | Path) -> str:
    """Give the format of a file by its name, such as ``.csv``; ``.gz`` is looked through.

    Raises
    ------
    InputError
        If the ending is none of `FORMATS`.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    if not suffixes or suffixes[-1] not in FORMATS:
        raise InputError(f"the file's ending is not one of {', '.join(FORMATS)} (or one with .gz)", file=path)
    return suffixes[-1]


def read_rows(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a table file in constant memory (XLSX: in openpyxl's read-only mode).

    Rows without anything in them are left out. Column names come as `data.cells.tidy_name` gives them
    (JSON lines: as they are).

    Parameters
    ----------
    path
        A CSV or TSV with a header, or with Qualtrics' three (UTF-8, or UTF-16 with its mark; ``,`` ``;``
        tab or ``|``), an XLSX
        (its first sheet), a Parquet file, or JSON lines.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If the file cannot be read; it names row and column where one is at fault.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("there is no such file", file=path)
    form = table_format(path)
    readers = {".xlsx": xlsx_rows, ".parquet": parquet_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    try:
        yield from readers.get(form, _csv_rows)(path)
    except UnicodeError as error:
        raise InputError("the file's text is broken; save it as 'CSV UTF-8'", file=path) from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"the file cannot be read ({plain_reason(error)})", file=path) from error


class _LongLineError(Exception):
    """A line that might not fit in memory."""


def _lines(file: IO[str]) -> Iterator[str]:
    while line := file.readline(_LONGEST):
        if len(line) >= _LONGEST:
            raise _LongLineError("a line is longer than 16 million characters")
        yield line


def _csv_rows(path: Path) -> Iterator[Row]:
    with open_text(path) as file:
        head = file.read(65536)
        file.seek(0)
        lines = _lines(file)
        declared = _SEPARATOR_LINE.match(head)
        if declared:
            next(lines)
        tab = table_format(path) == ".tsv"
        delimiter = "\t" if tab else declared.group(1) if declared else _delimiter(head)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        number = 0
        try:
            header = next(reader, None)
            if header is None:
                raise InputError("the file is empty; its first row must name the columns", file=path)
            number = 1
            names = checked_header(path, header)
            first: list[list[str]] = []
            if _IMPORT_ID in head:  # only then are rows read ahead
                for cells in itertools.islice(reader, 2):
                    first.append(cells)
                    number += 1
            more = qualtrics_header(names, *first) if len(first) == 2 else None
            rows, start = (reader, 4) if more else (itertools.chain(first, reader), 2)
            for number, cells in enumerate(rows, start=start):
                if "".join(cells).strip(BLANKS):
                    yield Row(number, _checked_cells(path, number, names, cells), more)
        except (csv.Error, _LongLineError) as error:
            raise InputError(
                f"the row cannot be read as {'TSV' if tab else 'CSV'}: {error}"
                " (is a quotation mark left open?)",
                file=path,
                row=number + 1,
            ) from error


def _delimiter(head: str) -> str:
    """Choose the separator that gives the first rows as many cells as the header, and most cells."""

    def fit(delimiter: str) -> tuple[float, int]:
        try:
            rows = list(itertools.islice(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), 8))
        except csv.Error:
            return 0.0, 0
        widths = [len(row) for row in rows if row] or [0]
        return (widths.count(widths[0]) / len(widths) if widths[0] > 1 else 0.0), widths[0]

    return max(",;\t|", key=fit)


def _checked_cells(path: Path, number: int, names: list[str], cells: list[str]) -> dict[str, Any]:
    if any(cell.strip(BLANKS) for cell in cells[len(names) :]):
        raise InputError(
            f"the row has {len(cells)} cells but the header has {len(names)}; "
            "a text that holds the separator must stand in quotation marks",
            file=path,
            row=number,
        )
    row = named_cells(names, cells, "")
    for name, cell in row.items():
        if broken_encoding(cell):
            raise InputError(
                "the text is not UTF-8; save the file as 'CSV UTF-8'", file=path, row=number, column=name
            )
    return row


def _json_rows(path: Path) -> Iterator[Row]:
    number = 0
    with open_text(path) as file:
        try:
            for number, line in enumerate(_lines(file), start=1):
                if broken_encoding(line):
                    raise InputError("the line is not UTF-8", file=path, row=number)
                if line.strip(BLANKS):
                    yield Row(number, parse_json_object(line, path, number))
        except _LongLineError as error:
            raise InputError(str(error), file=path, row=number + 1) from error


class _NotJsonError(ValueError):
    """What Python's reader takes, but JSON lines do not; says so in words."""


def _refuse_constant(name: str) -> float:
    raise _NotJsonError(f"{name} is no JSON number; leave it out or write null")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _NotJsonError(f"the key '{tidy_name(name)[:40]}' stands twice")
    return record


def _mended(value: Any, levels: int) -> Any:
    """Give a JSON value with whole texts; raise `_NotJsonError` where it is nested deeper than `levels`."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, dict | list) and levels == 0:
        raise _NotJsonError(f"it is nested deeper than {_DEEPEST} levels")
    if isinstance(value, dict):
        return {whole_text(name): _mended(inner, levels - 1) for name, inner in value.items()}
    return [_mended(inner, levels - 1) for inner in value] if isinstance(value, list) else value


def parse_json_object(line: str, path: str | Path, number: int) -> dict[str, Any]:
    r"""Read one line of JSON lines; a lone surrogate such as ``\ud83d`` is read as U+FFFD.

    Raises
    ------
    InputError
        If the line is not one JSON object, a key stands twice in one, or it is nested deeper than 32
        levels; it names file and row.
    """
    try:
        value = json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
        if "\\u" in line or line.count("{") + line.count("[") > _DEEPEST:
            value = _mended(value, _DEEPEST)
    except json.JSONDecodeError as error:
        raise InputError(
            f"the line is not JSON ({error.msg.removesuffix(' at')} at character {error.colno})",
            file=path,
            row=number,
        ) from None  # the cause would carry the whole line, comment and all
    except (ValueError, RecursionError) as error:
        reason = f"({error})" if isinstance(error, _NotJsonError) else "that can be read"
        raise InputError(f"the line is not JSON {reason}", file=path, row=number) from None
    if not isinstance(value, dict):
        raise InputError(
            "the line is not a JSON object; JSON lines hold one object on each line", file=path, row=number
        )
    return value
