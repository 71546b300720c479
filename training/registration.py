"""The model registry, written: versions, the champion, and the way back."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from data.errors import ModelError, NotFoundError
from data.settings import Settings
from model.registry import CHAMPION, connect

EXPERIMENT = "whyscore"
_HISTORY = "champions"  # a tag of the registered model: former champions, latest last
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class RegisteredVersion:
    """One version in the registry, with the figures of its training."""

    version: int
    champion: bool
    created_ms: int
    run_id: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]


def register_model(
    folder: Path,
    settings: Settings,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    evaluation: Mapping[str, Any],
) -> RegisteredVersion:
    """Log a finished model folder to MLflow and register it as a new version.

    Parameters
    ----------
    folder
        As the pipeline made it: weights, tokenizer, taxonomy, ``model.onnx``.
    settings
        Registry and model name.
    params, metrics
        Of the run.
    evaluation
        Figures for each code, kept as ``evaluation.json``.

    Returns
    -------
    RegisteredVersion
        Not the champion yet: see `promote`.
    """
    client = connect(settings)
    import mlflow

    _choose_experiment(settings)
    with mlflow.start_run() as run:
        mlflow.log_params(dict(params))
        mlflow.log_metrics({k: v for k, v in metrics.items() if v is not None})
        mlflow.log_dict(dict(evaluation), "evaluation.json")
        mlflow.log_artifact(str(folder / "taxonomy.yaml"))
        mlflow.log_text(environment(), "environment.txt")
        version = _log_and_register(folder, settings)
    found = client.get_model_version(settings.model_name, str(version))
    return RegisteredVersion(
        version,
        False,
        found.creation_timestamp,
        run.info.run_id,
        dict(metrics),
        {k: str(v) for k, v in params.items()},
    )


def _choose_experiment(settings: Settings) -> None:
    import mlflow

    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        local = mlflow.get_tracking_uri().startswith("sqlite:")
        place = (settings.home / "artifacts").resolve().as_uri() if local else None
        mlflow.create_experiment(EXPERIMENT, artifact_location=place)
    mlflow.set_experiment(EXPERIMENT)


def _log_and_register(folder: Path, settings: Settings) -> int:
    import mlflow
    import pandas as pd
    from mlflow.models.signature import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    example = pd.DataFrame({"comment": ["Billed twice, but the agent was lovely."]})
    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "comment")]), outputs=Schema([ColSpec("string")])
    )
    with contextlib.redirect_stderr(io.StringIO()):  # it prints there what the command says itself
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_ROOT / "training" / "mlflow_model.py"),
            artifacts={"model": str(folder)},
            code_paths=[str(_ROOT / "data"), str(_ROOT / "model")],
            signature=signature,
            input_example=example,
            pip_requirements=_serving_requirements(),
            registered_model_name=settings.model_name,
        )
    return int(info.registered_model_version)


def _serving_requirements() -> list[str]:
    """Pin what the logged model needs to run, as it is installed here; torch is not among it."""
    names = [
        "mlflow",
        "numpy",
        "onnxruntime",
        "openvino",
        "pandas",
        "pydantic",
        "pydantic-settings",
        "pyyaml",
        "tokenizers",
    ]
    return [f"{name}=={metadata.version(name)}" for name in names]


def environment() -> str:
    """Give Python's version and every installed distribution, one a line, as pip freezes them."""
    found = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    lines = [f"{name}=={version}" for name, version in sorted(found.items(), key=lambda x: str(x[0]).lower())]
    return "\n".join([f"# Python {sys.version.split()[0]}", *lines]) + "\n"


def list_versions(settings: Settings) -> list[RegisteredVersion]:
    """Give every version of the model, newest first; empty where there is none."""
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
    client = connect(settings)
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(settings.model_name, CHAMPION).version)
    except MlflowException:
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
    client = connect(settings)
    from mlflow.exceptions import MlflowException

    try:
        client.get_model_version(settings.model_name, str(version))
    except MlflowException as error:
        raise NotFoundError(f"the registry has no version {version} of {settings.model_name}") from error
    before = current_champion(settings)
    if before is not None and before != version:
        history = [*_history(settings), before]
        client.set_registered_model_tag(settings.model_name, _HISTORY, json.dumps(history[-100:]))
    client.set_registered_model_alias(settings.model_name, CHAMPION, str(version))
    return before


def rollback(settings: Settings) -> int:
    """Make the champion before the present one the champion again and give its version.

    Raises
    ------
    ModelError
        If there was none before.
    """
    client = connect(settings)
    history = _history(settings)
    if not history:
        raise ModelError("there is no earlier champion to go back to")
    client.set_registered_model_alias(settings.model_name, CHAMPION, str(history[-1]))
    client.set_registered_model_tag(settings.model_name, _HISTORY, json.dumps(history[:-1]))
    return int(history[-1])


def _history(settings: Settings) -> list[int]:
    client = connect(settings)
    from mlflow.exceptions import MlflowException

    try:
        tags = client.get_registered_model(settings.model_name).tags
    except MlflowException:
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
