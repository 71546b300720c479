"""Rows from the binary table files: XLSX and Parquet."""

from __future__ import annotations

import gzip
import io
import itertools
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import IO, Any

from data.cells import is_blank
from data.errors import InputError, WhyscoreError
from data.files import open_bytes
from data.rows import Row, checked_header, named_cells

_LAST_ROW = 1_048_576  # of a workbook, as Excel has it; a file that claims more would never end
_MOST_UNPACKED = 2 * 1024**3  # bytes: what a workbook or a gzipped file may come to
_LAST_COLUMN = 16_384  # of a workbook, as Excel has it
_MOST_SWELLING = 200  # times: text packs to a fiftieth at best, and what packs better is made to hurt
_HARMLESS = 16 * 1024**2  # bytes that may swell from however little
_CHUNK = 1024
_ENCRYPTED_OR_OLD = b"\xd0\xcf\x11\xe0"


def _one_sentence(what: str) -> Callable[[Callable[[Path], Iterator[Row]]], Callable[[Path], Iterator[Row]]]:
    """Turn whatever a library raises at a broken file into an `InputError`: it may be nearly anything."""

    def decorate(reader: Callable[[Path], Iterator[Row]]) -> Callable[[Path], Iterator[Row]]:
        @wraps(reader)
        def guarded(path: Path) -> Iterator[Row]:
            rows = reader(path)
            try:
                yield from rows
            except (WhyscoreError, EOFError):
                raise
            except Exception as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk's own failure; pyarrow's errors of the content have no number
                raise InputError(f"the file is not {what} that can be read", file=path) from error

        return guarded

    return decorate


@contextmanager
def _seekable(path: Path) -> Iterator[IO[bytes]]:
    """Open a file in which a reader may jump: itself, or in memory where it was gzipped."""
    with open_bytes(path) as file:
        if not isinstance(file, gzip.GzipFile):
            yield file
            return
        most = min(_MOST_UNPACKED, max(_HARMLESS, _MOST_SWELLING * path.stat().st_size))
        data = file.read(most + 1)
        if len(data) > most:
            bound = "2 GiB" if most == _MOST_UNPACKED else f"{_MOST_SWELLING} times its size"
            raise InputError(f"the file unpacks to more than {bound}; unpack it, or use CSV", file=path)
        yield io.BytesIO(data)


@_one_sentence("a workbook")
def xlsx_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a workbook's first sheet."""
    from openpyxl import load_workbook

    with ExitStack() as stack:
        file = stack.enter_context(_seekable(path))
        _check_archive(file, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl tells of styles and extensions that it leaves out
            book = load_workbook(file, read_only=True, data_only=True)
        stack.enter_context(closing(book))
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some programs write a size of one cell
        rows = _quietly(sheet.iter_rows(values_only=True))
        header = next(rows, None)
        if header is None:
            raise InputError("the first sheet is empty; its first row must name the columns", file=path)
        if len(header) > _LAST_COLUMN:
            raise InputError(f"a workbook has at most {_LAST_COLUMN} columns", file=path, row=1)
        names = checked_header(path, header)
        for number, values in enumerate(rows, start=2):
            if number > _LAST_ROW:
                raise InputError(f"a workbook has at most {_LAST_ROW} rows", file=path, row=number)
            _check_width(path, number, names, values)
            cells = named_cells(names, map(_unescaped, values), None)
            if not all(map(_shows_nothing, cells.values())):
                yield Row(number, cells)


def _check_width(path: Path, number: int, names: Sequence[str], values: Sequence[Any]) -> None:
    """Refuse a row that says something beyond the last named column: it would be lost."""
    filled = [place for place in range(len(names), len(values)) if not _shows_nothing(values[place])]
    if filled:
        raise InputError(
            f"the row has {filled[-1] + 1} cells but the header has {len(names)}; "
            "the first row must name the columns",
            file=path,
            row=number,
        )


def _shows_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and is_blank(value))


def _check_archive(file: IO[bytes], path: Path) -> None:
    if file.read(4) == _ENCRYPTED_OR_OLD:
        raise InputError(
            "the workbook is protected by a password or in Excel's old format; save it as .xlsx or .csv",
            file=path,
        )
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > _MOST_UNPACKED:
        raise InputError("the workbook unpacks to more than 2 GiB; save it as CSV", file=path)
    # A row is parsed whole before anything of it is seen: one of a million cells takes minutes.
    if any(one.file_size > max(_HARMLESS, _MOST_SWELLING * one.compress_size) for one in entries):
        sentence = f"the workbook unpacks to more than {_MOST_SWELLING} times its size; save it as CSV"
        raise InputError(sentence, file=path)
    file.seek(0)


def _quietly(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield rows without openpyxl's warnings, whose texts would mix with the command's own output."""
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chunk = list(itertools.islice(rows, _CHUNK))
        if not chunk:
            return
        yield from chunk


def _unescaped(value: Any) -> Any:
    """Undo the one escape that is common in workbooks: a carriage return inside a text."""
    return value.replace("_x000D_", "\r") if isinstance(value, str) and "_x000D_" in value else value


@_one_sentence("Parquet")
def parquet_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file, a batch at a time."""
    import pyarrow.parquet as pq

    with _seekable(path) as file, pq.ParquetFile(file) as source:
        names = checked_header(path, source.schema_arrow.names)
        number = 1
        for batch in source.iter_batches(batch_size=_CHUNK):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                cells = named_cells(names, values, None)
                yield Row(number, {name: _decoded(cells[name], name, path, number) for name in cells})


def _decoded(value: Any, name: str, path: Path, number: int) -> Any:
    """Read bytes as UTF-8: some writers do not mark their texts as such."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("the text is not UTF-8", file=path, row=number, column=name) from None
