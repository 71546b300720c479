"""The registry read without MLflow, where it is SQLite and a folder: MLflow takes seconds and 200 MB to load.

Reads two tables of MLflow's own database, and nothing where they are not as expected: then MLflow itself is
asked, in a process of its own that takes its memory along when it ends.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from data.errors import ModelError

_BUSY_S = 5.0
_TIMEOUT_S = 600.0  # a model may have to be fetched over a slow line

_ALIAS = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
_SOURCE = (
    "SELECT COALESCE(NULLIF(storage_location, ''), source) FROM model_versions "
    "WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'"
)


def local_version(database: Path, uri: str) -> tuple[str, Path] | None:
    """Find a version of a model in MLflow's SQLite file.

    Parameters
    ----------
    database
        MLflow's.
    uri
        ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.

    Returns
    -------
    name : str
        Such as ``reason-codes/7``.
    folder : Path
        Of the version's files, which is there.

    None where the database cannot tell, or the files lie elsewhere: MLflow may know better.
    """
    target = uri.removeprefix("models:/")
    if target == uri or not database.is_file():
        return None
    try:
        with closing(
            sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        ) as db:
            model, at, alias = target.partition("@")
            if at:
                version = _only(db, _ALIAS, (model, alias))
            else:
                model, _, text = target.partition("/")
                version = int(text) if text.isdecimal() else None
            source = None if version is None else _only(db, _SOURCE, (model, version))
    except (sqlite3.Error, ValueError):
        return None
    folder = None if source is None else _local_folder(str(source))
    return None if folder is None else (f"{model}/{version}", folder)


def _only(db: sqlite3.Connection, query: str, values: tuple[object, ...]) -> str | int | None:
    """Give the value of the only row; None where there is none, or more (MLflow's workspaces)."""
    rows = db.execute(query, values).fetchall()
    return rows[0][0] if len(rows) == 1 else None


def _local_folder(source: str) -> Path | None:
    parts = urlsplit(source)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        folder = Path(url2pathname(unquote(parts.path)) if os.name == "nt" else unquote(parts.path))
    elif not parts.scheme:
        folder = Path(source)
    else:
        return None
    return folder if folder.is_dir() else None


def find_apart(uri: str, settings: str) -> tuple[str, Path]:
    """Let a process of its own find a model through MLflow, fetching its files where they are far away.

    Parameters
    ----------
    uri
        As `model.registry.find_model` takes it.
    settings
        The settings as JSON.

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
            timeout=_TIMEOUT_S,
            check=False,
        )
        told = json.loads(ended.stdout.decode("utf-8").splitlines()[-1])
        if "error" in told:
            raise ModelError(str(told["error"]))
        return str(told["name"]), Path(told["folder"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"the model '{uri}' cannot be fetched from the registry") from error
