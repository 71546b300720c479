"""What a model folder says of the engines that can serve it: their files, and what each costs in quality."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from data.errors import ModelError
from model.engine import INT8_FILE, ONNX_FILE, Engine, OnnxEngine
from model.openvino_engine import GRAPH_FILE, WEIGHTS_FILE, OpenVinoEngine
from model.openvino_int8 import INT8_GRAPH, INT8_WEIGHTS

ENGINE_RECORD = "engines.json"
FORMAT = 1
EngineName = Literal["onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
EXACT: tuple[EngineName, ...] = ("onnx", "openvino")
"""The engines that compute in full precision."""

_FILES: dict[EngineName, tuple[str, ...]] = {
    "onnx": (ONNX_FILE,),
    "onnx-int8": (INT8_FILE,),
    "openvino": (GRAPH_FILE, WEIGHTS_FILE),
    "openvino-bf16": (GRAPH_FILE, WEIGHTS_FILE),
    "openvino-int8": (INT8_GRAPH, INT8_WEIGHTS),
}


@dataclass(frozen=True)
class EngineCheck:
    """How an engine compares with torch in full precision.

    Attributes
    ----------
    difference
        The greatest difference of a calibrated probability; None where the engine did not run.
    f1, f1_change
        Pair micro-F1 on the validation part, and by how much it moved, both from 0 to 1; None without
        such a part.
    kept
        Whether the engine may serve where nobody asks for it by name.
    reason
        Why not.
    f1_expected_change
        By how much F1 is expected to move, given the probabilities in full precision (see
        `model.engine_f1`); None without such a part, and in older records.
    """

    difference: float | None
    f1: float | None
    f1_change: float | None
    kept: bool
    reason: str = ""
    f1_expected_change: float | None = None


@dataclass(frozen=True)
class EngineRecord:
    """The engines of a model folder.

    Attributes
    ----------
    engines
        How each compares with torch.
    files
        SHA-256 of each file that an engine reads.
    """

    engines: Mapping[EngineName, EngineCheck]
    files: Mapping[str, str]

    @property
    def kept(self) -> tuple[EngineName, ...]:
        """The engines that may serve."""
        return tuple(name for name in ENGINES if name in self.engines and self.engines[name].kept)

    def write(self, folder: Path) -> None:
        """Write the record into a model folder."""
        engines = {name: asdict(check) for name, check in self.engines.items()}
        content = {"format": FORMAT, "engines": engines, "files": dict(self.files)}
        (folder / ENGINE_RECORD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> EngineRecord | None:
    """Read the record of a model folder; None where an older version made the model.

    Raises
    ------
    ModelError
        If it cannot be understood.
    """
    path = folder / ENGINE_RECORD
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ModelError("the model is of a format that this version does not know", file=path)
        engines = {name: EngineCheck(**check) for name, check in content["engines"].items()}
        return EngineRecord(engines, {str(name): str(value) for name, value in content["files"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("the record of the model's engines cannot be read", file=path) from error


def digests(folder: Path, engines: Mapping[EngineName, EngineCheck]) -> dict[str, str]:
    """Give the SHA-256 of each file that some engines read, of those that are there."""
    names = sorted({file for name in engines for file in _FILES[name]})
    return {name: _sha256(folder / name) for name in names if (folder / name).is_file()}


def check_files(folder: Path, name: EngineName, record: EngineRecord) -> None:
    """Raise `ModelError` unless the files of an engine are, byte for byte, those that were checked."""
    for file in _FILES[name]:
        path = folder / file
        if file not in record.files or not path.is_file():
            raise ModelError(f"the model has no file for the engine '{name}'", file=path)
        if _sha256(path) != record.files[file]:
            raise ModelError(
                "the network cannot be loaded: its file is not the one that was exported", file=path
            )


def open_engine(
    name: EngineName, folder: Path, pad_id: int, threads: int | None = None, streams: int | None = None
) -> Engine:
    """Load an engine by name.

    Parameters
    ----------
    name
        Which one.
    folder, pad_id, threads, streams
        As the engines take them; only OpenVINO has streams.

    Raises
    ------
    ModelError
        If its files are missing or broken.
    """
    makers: dict[EngineName, Callable[..., Engine]] = {
        "onnx": partial(OnnxEngine, file=ONNX_FILE),
        "onnx-int8": partial(OnnxEngine, file=INT8_FILE),
        "openvino": partial(OpenVinoEngine, precision="f32", streams=streams),
        "openvino-bf16": partial(OpenVinoEngine, precision="bf16", streams=streams),
        "openvino-int8": partial(OpenVinoEngine, precision="int8", streams=streams),
    }
    return makers[name](folder, pad_id, threads)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
