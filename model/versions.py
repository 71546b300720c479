"""The versions of a model in the registry: listed, promoted, and rolled back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ModelError, NotFoundError
from data.settings import Settings
from model.registry import CHAMPION, connect

_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_HISTORY = "champions"  # a tag of the registered model: former champions, latest last


@dataclass(frozen=True)
class RegisteredVersion:
    """One version in the registry, with the figures of its training."""

    version: int
    champion: bool
    created_ms: int
    run_id: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]


class NoEarlierChampionError(ModelError):
    """A way back that leads nowhere."""

    status = 409
    title = "No earlier champion"


@contextmanager
def _registry_errors(missing: NotFoundError | None = None) -> Iterator[None]:
    """Turn the registry's failures into one sentence, and what is not there into `missing`."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if missing is not None and getattr(error, "error_code", None) in _MISSING:
            raise missing from error
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise ModelError(f"the model registry cannot be used ({reason})") from error


def list_versions(settings: Settings) -> list[RegisteredVersion]:
    """Give every version of the model, newest first; empty where there is none.

    Raises
    ------
    ModelError
        If the registry cannot be used.
    """
    with _registry_errors():
        return _listed(settings)


def _listed(settings: Settings) -> list[RegisteredVersion]:
    client = connect(settings)
    champion = current_champion(settings)
    versions = client.search_model_versions(f"name = '{settings.model_name}'")
    rows = []
    for version in sorted(versions, key=lambda v: -int(v.version)):
        run = client.get_run(version.run_id).data
        rows.append(
            RegisteredVersion(
                int(version.version),
                int(version.version) == champion,
                version.creation_timestamp,
                version.run_id,
                dict(run.metrics),
                dict(run.params),
            )
        )
    return rows


def current_champion(settings: Settings) -> int | None:
    """Give the version that the alias ``champion`` names, None where it names none."""
    try:
        with _registry_errors(NotFoundError("there is no champion")):
            client = connect(settings)
            return int(client.get_model_version_by_alias(settings.model_name, CHAMPION).version)
    except NotFoundError:
        return None


def promote(version: int, settings: Settings) -> int | None:
    """Make a version the champion and remember the one before.

    Returns
    -------
    int or None
        The champion before.

    Raises
    ------
    NotFoundError
        If the registry has no such version.
    """
    missing = NotFoundError(f"the registry has no version {version} of {settings.model_name}")
    with _registry_errors(missing):
        client = connect(settings)
        client.get_model_version(settings.model_name, str(version))
    before = current_champion(settings)
    with _registry_errors():
        if before is not None and before != version:
            history = [*_history(settings), before]
            client.set_registered_model_tag(settings.model_name, _HISTORY, json.dumps(history[-100:]))
        client.set_registered_model_alias(settings.model_name, CHAMPION, str(version))
    return before


def rollback(settings: Settings) -> int:
    """Make the champion before the present one the champion again and give its version.

    Raises
    ------
    NoEarlierChampionError
        If there was none before.
    """
    history = _history(settings)
    if not history:
        raise NoEarlierChampionError("there is no earlier champion to go back to")
    with _registry_errors():
        client = connect(settings)
        client.set_registered_model_alias(settings.model_name, CHAMPION, str(history[-1]))
        client.set_registered_model_tag(settings.model_name, _HISTORY, json.dumps(history[:-1]))
    return int(history[-1])


def _history(settings: Settings) -> list[int]:
    try:
        with _registry_errors(NotFoundError("there is no model")):
            tags = connect(settings).get_registered_model(settings.model_name).tags
    except NotFoundError:
        return []
    return [int(version) for version in json.loads(tags.get(_HISTORY, "[]"))]


def read_evaluation(version: int, settings: Settings) -> dict[str, Any]:
    """Give the figures that a version's training run kept.

    Raises
    ------
    NotFoundError
        If the registry has no such version.
    """
    client = connect(settings)
    from mlflow.exceptions import MlflowException

    try:
        run_id = client.get_model_version(settings.model_name, str(version)).run_id
        with tempfile.TemporaryDirectory() as folder:
            path = client.download_artifacts(run_id, "evaluation.json", folder)
            found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            return found
    except MlflowException as error:
        raise NotFoundError(f"the registry has no version {version} of {settings.model_name}") from error
