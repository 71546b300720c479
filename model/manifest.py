"""What a ranking was computed from, so that anybody can compute it again or learn what has changed since."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.annotations import POLARITIES
from data.errors import InputError, ModelError, NotFoundError
from data.row_digests import RowDigests
from data.settings import Settings
from model.description import read_description
from model.ranking import Ranking
from model.registry import find_model

DECIMALS, DIGITS = 4, 10
"""Figures are compared to so many decimals, and to no more significant digits: sums whose parts were added
in another order differ far behind them."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileRecord(_Record):
    """A file: its path from the manifest's folder, its size, and for small ones its SHA-256."""

    path: str
    bytes: int
    sha256: str | None = None


class ResponsesRecord(_Record):
    """The responses: their number, and for each kind the sum of their hashes; see `data.row_digests`."""

    key: str
    rows: int
    text: str
    tags: str
    answer: str
    listing: FileRecord | None = None


class ModelRecord(_Record):
    """A model and version of the taxonomy: how many responses they read, and the model's thresholds."""

    model: str | None
    taxonomy_version: int | None
    rows: int
    thresholds: dict[str, dict[str, float]] | None = None


class SettingsRecord(_Record):
    """What the ranking was asked for."""

    scale: str
    by: str | None = None
    window: str | None = None
    codes: list[str] | None = None
    level: float = 0.95
    seed: int = 0


class CodeRecord(_Record):
    """The program: its version, its commit where it runs from a clone, and whether files differ from it."""

    version: str
    commit: str | None = None
    changed: bool | None = None


class FiguresRecord(_Record):
    """The figures: a digest of all of them, and those that lead."""

    sha256: str
    metric: float | None
    points_lost: dict[str, float]


class Manifest(_Record):
    """Everything that a ranking came from, and its figures in short."""

    format: Literal["whyscore-manifest/1"] = "whyscore-manifest/1"
    made_at: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    tags: FileRecord
    responses: ResponsesRecord
    models: list[ModelRecord]
    settings: SettingsRecord
    audit: FileRecord | None = None
    code: CodeRecord
    figures: FiguresRecord

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return self.model_dump(mode="json")

    def moved(self, before: Path, after: Path) -> Manifest:
        """Give the manifest as it must lie elsewhere: with paths from that folder."""

        def told(record: FileRecord | None) -> FileRecord | None:
            if record is None:
                return None
            path = before.resolve().parent / record.path
            return record.model_copy(update={"path": _path_from(path, after)})

        responses = self.responses.model_copy(update={"listing": told(self.responses.listing)})
        return self.model_copy(
            update={"tags": told(self.tags), "audit": told(self.audit), "responses": responses}
        )


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, or that of a ranking's report in JSON.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If it holds no manifest that this version knows.
    """
    if not path.is_file():
        raise NotFoundError("there is no such file", file=path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and isinstance(content.get("manifest"), dict):
            content = content["manifest"]
        return Manifest.model_validate(content)
    except (ValueError, ValidationError, RecursionError) as error:
        raise InputError("the file holds no manifest that this version knows", file=path) from error


def figures_of(overall: Ranking, groups: Mapping[str, Ranking]) -> FiguresRecord:
    """Give the digest of all figures of a ranking and of its groups, and those that lead.

    Sentences are left out, and so is `total_check`, which is nothing but rounding error.
    """
    whole = {
        "overall": _figures(overall),
        "groups": {value: _figures(part) for value, part in groups.items()},
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=True, allow_nan=False)
    lost = {row.code: _rounded(row.points_lost) for row in (*overall.rows, *overall.buckets)}
    return FiguresRecord(
        sha256=hashlib.sha256(text.encode("ascii")).hexdigest(),
        metric=_rounded(overall.metric.value),
        points_lost={code: value for code, value in lost.items() if value is not None},
    )


def _figures(ranking: Ranking) -> Any:
    document = ranking.to_dict()
    for name in ("base", "notes", "total_check"):
        document.pop(name)
    return _rounded(document)


def _rounded(value: Any) -> Any:
    """Round every number within plain JSON values; sentences become nothing."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items() if name != "explanation"}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{round(value, DECIMALS):.{DIGITS}g}") + 0.0
    return value


def models_of(digests: RowDigests, model: str | None, settings: Settings) -> list[ModelRecord]:
    """Name what read the responses, with the thresholds of models that can be found.

    Parameters
    ----------
    digests
        Of the responses.
    model
        Where their model is; by default it is looked for in the registry.
    settings
        Of the registry.
    """
    thresholds = {name: _thresholds(name, model, settings) for name, _ in digests.models}
    ordered = sorted(digests.models.items(), key=lambda item: (str(item[0][0]), str(item[0][1])))
    return [
        ModelRecord(model=name, taxonomy_version=version, rows=rows, thresholds=thresholds[name])
        for (name, version), rows in ordered
    ]


def _thresholds(
    name: str | None, model: str | None, settings: Settings
) -> dict[str, dict[str, float]] | None:
    """Give a model's thresholds by code and polarity; None where the model is not to be had."""
    if name is None:
        return None
    try:
        location = find_model(model or f"models:/{name}", settings)
        if not location.is_called(name):
            return None
        description = read_description(location.folder)
    except ModelError:
        return None
    rows = zip(description.codes, description.threshold_array().tolist(), strict=True)
    return {code: dict(zip(map(str, POLARITIES), values, strict=True)) for code, values in rows}


def file_record(path: Path, beside: Path, *, whole: bool = True) -> FileRecord:
    """Describe a file.

    Parameters
    ----------
    path
        The file.
    beside
        The manifest's path, from whose folder the path is told.
    whole
        Whether to take the digest of its content.
    """
    digest = None
    if whole:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(path=_path_from(path, beside), bytes=path.stat().st_size, sha256=digest)


def _path_from(path: Path, beside: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), beside.resolve().parent)).as_posix()
    except ValueError:  # on another drive
        return path.resolve().as_posix()
