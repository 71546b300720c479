"""A registry in SQLite, read without importing MLflow, which takes seconds and 100 MB.

MLflow alone writes it. Whatever here is not as expected gives None, and the caller asks MLflow itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from data.errors import ModelError

BUSY_SECONDS = 5
_LOCAL = "sqlite:///"


@dataclass(frozen=True)
class LocalVersion:
    """One version of a registered model: its files, and when it was registered (seconds since 1970)."""

    folder: Path
    created: float


def database_of(uri: str) -> Path | None:
    """Give the SQLite file of a registry, None where the registry is something else."""
    return Path(uri.removeprefix(_LOCAL)) if uri.startswith(_LOCAL) else None


def aliased(database: Path, model: str, alias: str) -> int | None:
    """Give the version that an alias names, None where it names none.

    Raises
    ------
    ModelError
        If the registry cannot be read.
    """
    with _opened(database) as connection:
        row = connection.execute(
            "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?", (model, alias)
        ).fetchone()
    return None if row is None else int(row[0])


def local_version(database: Path, model: str, version: int) -> LocalVersion | None:
    """Give where a version's files are; None where there is no such version or they are not on this machine.

    Raises
    ------
    ModelError
        If the registry cannot be read.
    """
    with _opened(database) as connection:
        row = connection.execute(
            "SELECT coalesce(storage_location, source), creation_time FROM model_versions "
            "WHERE name = ? AND version = ?",
            (model, version),
        ).fetchone()
    folder = None if row is None else _path(str(row[0]))
    return None if folder is None else LocalVersion(folder, (row[1] or 0) / 1000)


def _path(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(unquote(parts.path)))
    return Path(uri) if not parts.scheme and uri.startswith("/") else None


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    """Open the file for reading alone: one that is gone must not come back as an empty one."""
    if not database.is_file():
        raise ModelError("there is no model registry here; train a model with: whyscore train", file=database)
    try:
        uri = f"{database.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise ModelError(f"the model registry cannot be read ({error})") from error
