"""Files as bytes and as text: gzip looked through, encodings told apart, failures said in a sentence."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from data.errors import InputError

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_TEXT = {
    b"PK\x03\x04": "the file is a workbook or a zip archive, not text; a workbook's name ends in .xlsx",
    b"PAR1": "the file is Parquet, not text; its name should end in .parquet",
    b"\xd0\xcf\x11\xe0": "the file is an old Excel workbook, not text; save it as .xlsx or .csv",
    b"\xff\xfe\0\0": "the file is not text in UTF-8; save it as 'CSV UTF-8'",  # UTF-32
}


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacked where it is gzipped, whatever its name says."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if packed:
            with gzip.open(raw, "rb") as unpacked:
                yield cast(IO[bytes], unpacked)
        elif path.suffix.lower() == ".gz":
            raise InputError("the file's name ends in .gz, but it is not gzipped", file=path)
        else:
            yield raw


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file for reading, gzipped or not, in UTF-8 or in UTF-16 where its mark says so.

    Bytes that are not UTF-8 become lone surrogates, so that the reader can name their cell.

    Raises
    ------
    InputError
        If it is a workbook, Parquet or other bytes under the name of a text file.
    """
    with open_bytes(path) as raw:
        head = raw.read(1024)
        raw.seek(0)
        utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        hint = next((hint for magic, hint in _NOT_TEXT.items() if head.startswith(magic)), None)
        if hint is None and not utf16 and b"\0" in head:
            hint = "the file is not text in UTF-8; save it as 'CSV UTF-8'"
        if hint is not None:
            raise InputError(hint, file=path)
        # In UTF-16 only half an emoji can be wrong: it becomes U+FFFD, as it does in JSON.
        encoding, errors = ("utf-16", "replace") if utf16 else ("utf-8-sig", "surrogateescape")
        with io.TextIOWrapper(cast(Any, raw), encoding=encoding, errors=errors, newline="") as text:
            yield text


def broken_encoding(text: str) -> bool:
    """Tell whether a text holds bytes that were not in the file's encoding."""
    return not text.isascii() and _SURROGATE.search(text) is not None


def create_text(path: Path) -> IO[str]:
    """Open a file for writing UTF-8, its line ends left as they come, gzipped where its name says so."""
    if path.suffix.lower() == ".gz":
        return cast(IO[str], gzip.open(path, "wt", encoding="utf-8", newline=""))
    return path.open("w", encoding="utf-8", newline="")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write, such as a missing folder or a full disk, into an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"the file cannot be written ({plain_reason(error)})", file=path) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside the one of that name, which takes its place once it is whole and on disk.

    Raises
    ------
    InputError
        If it cannot be written; the file that was there stays as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def create_secret(path: Path, text: str) -> None:
    """Make a file that its owner alone can read; it appears whole, and only once.

    Where another process makes it at the same moment, the first one counts.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(name, path)
        finally:
            os.unlink(name)


def plain_reason(error: BaseException) -> str:
    """Give the reason of an operating system's or a library's error, on one line."""
    text = str(getattr(error, "strerror", None) or error).splitlines()
    return text[0] if text else type(error).__name__
