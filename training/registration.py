"""The model registry, written: a finished model becomes a version; `model.versions` has the rest."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from data.settings import Settings
from model.registry import connect
from model.versions import (
    RegisteredVersion,
    challenge,
    check_registry,
    current_champion,
    list_versions,
    promote,
    read_evaluation,
    registry_errors,
    rollback,
)

__all__ = [
    "RegisteredVersion",
    "challenge",
    "check_registry",
    "current_champion",
    "environment",
    "list_versions",
    "promote",
    "read_evaluation",
    "register_model",
    "rollback",
]

EXPERIMENT = "whyscore"
_ROOT = Path(__file__).resolve().parent.parent


@registry_errors()
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

    Raises
    ------
    ModelError
        If the registry cannot be used.
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
        "safetensors",
        "tokenizers",
    ]
    return [f"{name}=={metadata.version(name)}" for name in names]


def environment() -> str:
    """Give Python's version and every installed distribution, one a line, as pip freezes them."""
    found = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    lines = [f"{name}=={version}" for name, version in sorted(found.items(), key=lambda x: str(x[0]).lower())]
    return "\n".join([f"# Python {sys.version.split()[0]}", *lines]) + "\n"
