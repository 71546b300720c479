"""The versions of a model in the registry: listed, promoted, and rolled back."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import ModelError, NotFoundError
from data.settings import Settings
from model.registry import CHALLENGER, CHAMPION, connect, registry_exists

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import RunData

_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_HISTORY = "champions"  # a tag of the registered model: former champions, latest last
_RUN_ID = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)  # the registry takes any text, a filter does not
_RUNS_AT_ONCE = 500
"""Runs that one search asks for: MLflow cannot parse a filter of some thousands."""


@dataclass(frozen=True)
class RegisteredVersion:
    """One version in the registry, with the figures of its training.

    A version without a run has an empty `run_id`; where the registry has no such run, or no longer,
    `metrics` and `params` are empty.
    """

    version: int
    champion: bool
    created_ms: int
    run_id: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    challenger: bool = False


class NoEarlierChampionError(ModelError):
    """A way back that leads nowhere."""

    status = 409
    title = "No earlier champion"


@contextmanager
def registry_errors(missing: NotFoundError | None = None) -> Iterator[None]:
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


def check_registry(settings: Settings) -> None:
    """See that the registry answers, before hours are spent on a model for it; one yet to be made is not.

    Raises
    ------
    ModelError
        If it cannot be used; MLflow tries once more, not for minutes, unless the environment says how often.
    """
    if not registry_exists(settings):
        return
    retries = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    said = retries in os.environ
    os.environ.setdefault(retries, "1")
    try:
        current_champion(settings)
    finally:
        if not said:
            del os.environ[retries]


def list_versions(settings: Settings) -> list[RegisteredVersion]:
    """Give every version of the model, newest first; empty where there is none.

    Raises
    ------
    ModelError
        If the registry cannot be used.
    """
    with registry_errors():
        return _listed(settings)


def _listed(settings: Settings) -> list[RegisteredVersion]:
    client = connect(settings)
    champion, challenger = (_aliased(alias, settings) for alias in (CHAMPION, CHALLENGER))
    versions = client.search_model_versions(f"name = '{settings.model_name}'")
    runs = _runs(client, {version.run_id for version in versions if _RUN_ID.fullmatch(version.run_id or "")})
    rows = []
    for version in sorted(versions, key=lambda v: -int(v.version)):
        run = runs.get(version.run_id)
        rows.append(
            RegisteredVersion(
                int(version.version),
                int(version.version) == champion,
                version.creation_timestamp,
                version.run_id or "",
                {} if run is None else dict(run.metrics),
                {} if run is None else dict(run.params),
                int(version.version) == challenger,
            )
        )
    return rows


def _runs(client: MlflowClient, ids: set[str]) -> dict[str, RunData]:
    """Give what the runs recorded, by id, in a few calls for all; one that was purged is left out."""
    from mlflow.entities import ViewType

    if not ids:
        return {}
    page = client.search_experiments(view_type=ViewType.ALL)
    experiments = [one.experiment_id for one in page]
    while page.token:
        page = client.search_experiments(view_type=ViewType.ALL, page_token=page.token)
        experiments += [one.experiment_id for one in page]
    found: dict[str, RunData] = {}
    wanted = sorted(ids)
    for first in range(0, len(wanted), _RUNS_AT_ONCE):
        names = ", ".join(f"'{name}'" for name in wanted[first : first + _RUNS_AT_ONCE])
        for run in client.search_runs(experiments, f"attributes.run_id IN ({names})", ViewType.ALL):
            found[run.info.run_id] = run.data
    return found


def current_champion(settings: Settings) -> int | None:
    """Give the version that the alias ``champion`` names, None where it names none."""
    return _aliased(CHAMPION, settings)


def _aliased(alias: str, settings: Settings) -> int | None:
    try:
        with registry_errors(NotFoundError(f"there is no {alias}")):
            return int(connect(settings).get_model_version_by_alias(settings.model_name, alias).version)
    except NotFoundError:
        return None


def challenge(version: int | None, settings: Settings) -> int | None:
    """Make a version the challenger, which servers compare with the champion; None lets there be none.

    Returns
    -------
    int or None
        The challenger before.

    Raises
    ------
    NotFoundError
        If the registry has no such version.
    """
    before = _aliased(CHALLENGER, settings)
    if version is not None:
        _find(version, settings)
    with registry_errors():
        client = connect(settings)
        if version is not None:
            client.set_registered_model_alias(settings.model_name, CHALLENGER, str(version))
        elif before is not None:
            client.delete_registered_model_alias(settings.model_name, CHALLENGER)
    return before


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
    _find(version, settings)
    before = current_champion(settings)
    with registry_errors():
        client = connect(settings)
        if before is not None and before != version:
            history = [*_history(settings), before]
            client.set_registered_model_tag(settings.model_name, _HISTORY, json.dumps(history[-100:]))
        client.set_registered_model_alias(settings.model_name, CHAMPION, str(version))
    return before


def rollback(settings: Settings) -> int:
    """Make the champion before the present one the champion again and give its version.

    Former champions that the registry no longer has are passed over, and forgotten.

    Raises
    ------
    NoEarlierChampionError
        If there was none before, or none of them is left.
    """
    known, present = _history(settings), current_champion(settings)
    history = list(known)
    while history and (history[-1] == present or not _exists(history[-1], settings)):
        history.pop()
    with registry_errors():
        client = connect(settings)
        if history:
            client.set_registered_model_alias(settings.model_name, CHAMPION, str(history[-1]))
        if known:
            client.set_registered_model_tag(settings.model_name, _HISTORY, json.dumps(history[:-1]))
    if not history:
        raise NoEarlierChampionError("there is no earlier champion to go back to")
    return history[-1]


def _find(version: int, settings: Settings) -> None:
    missing = NotFoundError(f"the registry has no version {version} of {settings.model_name}")
    with registry_errors(missing):
        connect(settings).get_model_version(settings.model_name, str(version))


def _exists(version: int, settings: Settings) -> bool:
    try:
        _find(version, settings)
    except NotFoundError:
        return False
    return True


def _history(settings: Settings) -> list[int]:
    try:
        with registry_errors(NotFoundError("there is no model")):
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
