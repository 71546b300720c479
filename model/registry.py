"""The model registry, read: from an MLflow URI or a folder to the files of a model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data.errors import ModelError
from data.settings import Settings
from model.description import DESCRIPTION
from model.engine_record import ENGINE_RECORD
from model.local_registry import UnknownVersionError, aliased, database_of, find_apart, local_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True)
class ModelLocation:
    """Where a model is.

    Attributes
    ----------
    name
        For people and machines, such as ``reason-codes/7``, or ``reason-codes-1a2b3c4d`` of a folder.
    folder
        Its files.
    created
        When it was registered, in seconds since 1970, where the registry tells.
    former
        What an earlier version of Whyscore called a folder's model.
    """

    name: str
    folder: Path
    created: float | None = None
    former: str | None = None

    def is_called(self, name: str | None) -> bool:
        """Tell whether tags that name their model so may be of this one."""
        return name is not None and name in (self.name, self.former)


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
        folder, name = _model_folder(Path(uri)), Path(uri).resolve().name
        return ModelLocation(f"{name}-{_digest(folder)}", folder, former=name)
    database = database_of(tracking_uri(settings))
    if database is not None and not database.is_file():
        raise UnknownVersionError(f"there is no model '{uri}' yet; train one with: whyscore train")
    found = None if database is None else _from_file(uri, database)
    if found is not None:
        return found
    if "mlflow" in sys.modules:  # as in training, where it is loaded anyhow
        return _from_registry(uri, settings)
    return ModelLocation(*find_apart(uri, settings.model_dump_json()))


def registry_exists(settings: Settings) -> bool:
    """Tell whether there may be a registry; one in a file that is not there would be made by a look at it."""
    if not tracking_uri(settings).startswith("sqlite:///"):
        return True
    return Path(tracking_uri(settings).removeprefix("sqlite:///")).is_file()


def aliased_version(alias: str, settings: Settings) -> int | None:
    """Give the version that an alias of the configured model names, None where it names none.

    It asks for nothing else, so a service may ask every few seconds.

    Raises
    ------
    ModelError
        If the registry cannot be reached.
    """
    database = database_of(tracking_uri(settings))
    if database is not None:
        return aliased(database, settings.model_name, alias)
    client = connect(settings)
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(settings.model_name, alias).version)
    except (MlflowException, OSError) as error:
        if _is_unknown(error):
            return None
        raise ModelError(f"the model registry cannot be reached ({_reason(error)})") from error


def _from_file(uri: str, database: Path) -> ModelLocation | None:
    """Find a registered model without MLflow; None where it has to be asked."""
    name, version = uri.removeprefix("models:/"), None
    if uri.startswith("models:/") and "@" in name:
        name, alias = name.split("@", 1)
        version = aliased(database, name, alias)
    elif uri.startswith("models:/"):
        name, _, digits = name.partition("/")
        version = int(digits) if digits.isdecimal() else None
    found = None if version is None else local_version(database, name, version)
    if found is None:
        return None
    return ModelLocation(f"{name}/{version}", _model_folder(found.folder), found.created)


def _from_registry(uri: str, settings: Settings) -> ModelLocation:
    client = connect(settings)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        name, created = uri, None
        if uri.startswith("models:/"):
            target = uri.removeprefix("models:/")
            if "@" in target:
                model, alias = target.split("@", 1)
                found = client.get_model_version_by_alias(model, alias)
            else:
                model, _, version = target.partition("/")
                found = client.get_model_version(model, version)
            name, created = f"{model}/{found.version}", found.creation_timestamp / 1000
            uri = client.get_model_version_download_uri(model, str(found.version))
        return ModelLocation(name, _model_folder(_fetched(uri, download_artifacts, settings)), created)
    except (MlflowException, OSError) as error:
        kind = UnknownVersionError if _is_unknown(error) else ModelError
        raise kind(f"the model '{uri}' cannot be fetched from the registry ({_reason(error)})") from error


def _fetched(uri: str, download: Callable[..., str], settings: Settings) -> Path:
    """Give the files of an artifact: where they lie, or fetched into the home folder once."""
    if urlsplit(uri).scheme in ("", "file"):
        return Path(download(artifact_uri=uri))
    place = settings.home / "models" / hashlib.sha256(uri.encode()).hexdigest()[:16]
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=place.parent) as scratch:
            found = Path(download(artifact_uri=uri, dst_path=scratch))
            with contextlib.suppress(OSError):  # another process was quicker
                found.rename(place)
    return place


def _is_unknown(error: Exception) -> bool:
    code = getattr(error, "error_code", None)
    # An alias that names nothing is INVALID_PARAMETER_VALUE to some registries.
    return code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _model_folder(folder: Path) -> Path:
    for place in (folder, *sorted(folder.glob("artifacts/*"))):
        if (place / DESCRIPTION).is_file():
            return place
    raise ModelError("the folder holds no reason-code model", file=folder)


def _digest(folder: Path) -> str:
    """Tell the models of folders of one name apart; the engines' record holds the digests of the networks."""
    found = hashlib.sha256()
    try:
        for path in (folder / DESCRIPTION, folder / ENGINE_RECORD):
            found.update(hashlib.sha256(path.read_bytes() if path.is_file() else b"").digest())
    except OSError as error:
        raise ModelError("the model's files cannot be read", file=folder) from error
    return found.hexdigest()[:8]


def _tell(uri: str) -> None:
    """Find a model with the settings on standard input, and print what was found as a line of JSON."""
    settings = Settings.model_validate_json(sys.stdin.read())
    try:
        location = _from_registry(uri, settings)
        folder = str(location.folder.resolve())
        told = {"name": location.name, "folder": folder, "created": location.created}
    except ModelError as error:
        told = {"error": error.message, "unknown": isinstance(error, UnknownVersionError)}
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    _tell(sys.argv[1])
