"""A registry in SQLite, read without importing MLflow, which takes seconds and 100 MB.

MLflow alone writes it. Whatever here is not as expected gives None, and the caller asks MLflow itself, in a
process of its own that takes its memory along when it ends.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from data.errors import ModelError

BUSY_SECONDS = 5
FETCH_SECONDS = 600.0
"""A model may have to be fetched over a slow line; who waits for that waits longer than this."""

_LOCAL = "sqlite:///"


class UnknownVersionError(ModelError):
    """The registry answers, and has no such model, version or alias."""


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
            "SELECT coalesce(nullif(storage_location, ''), source), creation_time FROM model_versions "
            "WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'",
            (model, version),
        ).fetchone()
    folder = None if row is None else _path(str(row[0]))
    return None if folder is None or not folder.is_dir() else LocalVersion(folder, (row[1] or 0) / 1000)


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


def find_apart(uri: str, settings: str) -> tuple[str, Path, float | None]:
    """Let a process of its own find a model through MLflow, fetching its files where they are far away.

    Parameters
    ----------
    uri
        As `model.registry.find_model` takes it.
    settings
        The settings as JSON.

    Returns
    -------
    name : str
    folder : Path
    created : float or None
        As `model.registry.ModelLocation` has them.

    Raises
    ------
    ModelError
        If MLflow does not find it; its sentence is that of the other process.
    """
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "model.registry", uri],
            input=settings.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
            timeout=FETCH_SECONDS,
            check=False,
        )
        told = json.loads(ended.stdout.decode("utf-8").splitlines()[-1])
        if "error" in told:
            raise (UnknownVersionError if told.get("unknown") else ModelError)(str(told["error"]))
        created = told["created"]
        return str(told["name"]), Path(told["folder"]), None if created is None else float(created)
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"the model '{uri}' cannot be fetched from the registry") from error
