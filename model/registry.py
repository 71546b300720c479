"""The model registry, read: from an MLflow URI or a folder to the files of a model."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ModelError
from data.settings import Settings
from model.description import DESCRIPTION
from model.registry_files import find_apart, local_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"


@dataclass(frozen=True)
class ModelLocation:
    """A model's name for people and machines, such as ``reason-codes/7``, and its folder."""

    name: str
    folder: Path


def tracking_uri(settings: Settings) -> str:
    """Give the MLflow URI: the setting, else MLFLOW_TRACKING_URI, else SQLite in the home folder."""
    if settings.registry_uri:
        return settings.registry_uri
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return os.environ["MLFLOW_TRACKING_URI"]
    return f"sqlite:///{(settings.home / 'mlflow.sqlite').resolve()}"


def connect(settings: Settings) -> MlflowClient:
    """Point MLflow at the registry and give its client; makes the home folder where it is needed."""
    # The product runs offline and reports nothing to anybody.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)

    uri = tracking_uri(settings)
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    outside = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    # MLflow also writes the variable, which would then pass for what the user had said.
    if outside is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = outside
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def find_model(uri: str | None, settings: Settings) -> ModelLocation:
    """Find the files of a model.

    Parameters
    ----------
    uri
        A folder, ``models:/NAME/VERSION``, ``models:/NAME@ALIAS``, ``runs:/...``, or None for the
        champion of the configured name.
    settings
        Name of the model and place of the registry.

    Raises
    ------
    ModelError
        If there is no such model, with what to do about it.
    """
    champion = f"models:/{settings.model_name}@{CHAMPION}"
    uri = uri or champion
    if "://" not in uri and not uri.startswith(("models:/", "runs:/")):
        return ModelLocation(Path(uri).resolve().name, _model_folder(Path(uri)))
    registry = tracking_uri(settings)
    if registry.startswith("sqlite:///"):
        if not registry_exists(settings):
            raise ModelError(f"there is no model '{uri}' yet; train one with: whyscore train")
        found = local_version(Path(registry.removeprefix("sqlite:///")), uri)
        if found is not None:
            return ModelLocation(found[0], _model_folder(found[1]))
    if "mlflow" in sys.modules:  # as in training, where it is loaded anyhow
        return _from_registry(uri, settings)
    name, folder = find_apart(uri, settings.model_dump_json())
    return ModelLocation(name, folder)


def registry_exists(settings: Settings) -> bool:
    """Tell whether there may be a registry; one in a file that is not there would be made by a look at it."""
    if not tracking_uri(settings).startswith("sqlite:///"):
        return True
    return Path(tracking_uri(settings).removeprefix("sqlite:///")).is_file()


def _from_registry(uri: str, settings: Settings) -> ModelLocation:
    client = connect(settings)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        name = uri
        if uri.startswith("models:/"):
            target = uri.removeprefix("models:/")
            if "@" in target:
                model, alias = target.split("@", 1)
                version = client.get_model_version_by_alias(model, alias).version
            else:
                model, _, version = target.partition("/")
            name = f"{model}/{version}"
            uri = client.get_model_version_download_uri(model, str(version))
        return ModelLocation(name, _model_folder(Path(download_artifacts(artifact_uri=uri))))
    except (MlflowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ModelError(f"the model '{uri}' cannot be fetched from the registry ({reason})") from error


def _model_folder(folder: Path) -> Path:
    for place in (folder, *sorted(folder.glob("artifacts/*"))):
        if (place / DESCRIPTION).is_file():
            return place
    raise ModelError("the folder holds no reason-code model", file=folder)


def _tell(uri: str) -> None:
    """Find a model with the settings on standard input, and print what was found as a line of JSON."""
    settings = Settings.model_validate_json(sys.stdin.read())
    try:
        location = _from_registry(uri, settings)
        told = {"name": location.name, "folder": str(location.folder.resolve())}
    except ModelError as error:
        told = {"error": error.message}
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    _tell(sys.argv[1])
