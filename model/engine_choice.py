"""Which engine serves: the quickest on this processor, found by a short measurement and remembered.

The measurement runs in a process of its own (``python -m model.engine_choice``), so that what it loads
does not stay in memory, and so that an engine which crashes on this processor does not take the server along.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from data.errors import ModelError, WhyscoreError
from model.description import read_description
from model.encoder import load_tokenizer
from model.engine import ONNX_FILE, PACKED, Engine, usable_cores
from model.engine_record import ENGINES, EXACT, EngineName, check_files, open_engine, read_record
from model.tokens import TokenizedComment, tokenize

CHOICES = "engine-choices.json"
_TEXTS = 96
_SECONDS = 0.25  # for each engine, five of them at most
_TIMEOUT_S = 60.0
_REMEMBERED = 32
_STEPS = 2**20  # more bytes than the steps of a network take, which stand first in its file

log = logging.getLogger("whyscore.engine")


def choose_engine(
    folder: Path, pad_id: int, threads: int | None, wanted: str, home: Path | None
) -> tuple[EngineName, Engine]:
    """Load the engine that is wanted, or the quickest of those that lose no quality.

    Parameters
    ----------
    folder
        The model folder.
    pad_id, threads
        As `model.engine_record.open_engine` takes them.
    wanted
        An engine's name, or ``auto``.
    home
        Where choices are remembered; None remembers nothing.

    Returns
    -------
    name : EngineName
    engine : Engine

    Raises
    ------
    ModelError
        If none can be loaded, or its files are not those that were exported.
    """
    record = read_record(folder)
    allowed = EXACT if record is None else record.kept
    name = next((one for one in ENGINES if one == wanted), None)
    found = name or _quickest(folder, threads, _safe_here(allowed), home)
    if record is not None:
        check_files(folder, found, record)
    try:
        return found, open_engine(found, folder, pad_id, threads)
    except ModelError as error:
        if name is not None or found == "onnx":
            raise
        log.warning("the engine %s cannot be loaded (%s); onnx takes its place", found, error.message)
    if record is not None:
        check_files(folder, "onnx", record)
    return "onnx", open_engine("onnx", folder, pad_id, threads)


def _safe_here(allowed: Sequence[EngineName]) -> list[EngineName]:
    """Leave out int8 where its sums may overflow: on Intel's and AMD's processors without VNNI."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    sound = not x86 or "vnni" in _processor()
    return [name for name in allowed if sound or not name.endswith("int8")]


def _quickest(
    folder: Path, threads: int | None, allowed: Sequence[EngineName], home: Path | None
) -> EngineName:
    if len(allowed) == 1:
        return allowed[0]
    key = machine_key(folder, threads, allowed)
    remembered = _recall(home).get(key, {}).get("engine")
    if remembered in allowed:
        return next(name for name in allowed if name == remembered)
    rates = _measure_apart(folder, threads, allowed)
    if not rates:
        return "onnx"
    best = max(rates, key=lambda name: rates[name])
    _remember(home, key, best, rates)
    return best


def machine_key(folder: Path, threads: int | None, allowed: Sequence[EngineName]) -> str:
    """Give a hash of all that decides which engine is quickest, and of nothing else.

    That is the processor, the engines' versions, the threads, and the shape of the network, not its weights.
    """
    config = folder / "encoder" / "config.json"
    facts = {
        "processor": _processor(),
        "versions": {name: _version(name) for name in ("onnxruntime", "openvino", "numpy")},
        "threads": threads or usable_cores(),
        "encoder": config.read_text(encoding="utf-8") if config.is_file() else "",
        "codes": len(read_description(folder).codes),
        "engines": list(allowed),
        "packed": _is_packed(folder),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _is_packed(folder: Path) -> bool:
    """Tell whether the network reads several comments in a row: one of its steps names that input."""
    with suppress(OSError), (folder / ONNX_FILE).open("rb") as file:
        return PACKED.encode() in file.read(_STEPS)  # the weights behind them are not read for this
    return False


def _version(name: str) -> str:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return ""


def _processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        named = ("model name", "flags", "Features", "CPU part")
        found = [line for line in lines if line.startswith(named)]
        if found:
            return "\n".join(found)
    return f"{platform.machine()} {platform.processor()}"


def _recall(home: Path | None) -> dict[str, Any]:
    """Give what is remembered; a file that is not there or cannot be read is as good as none."""
    if home is not None:
        with suppress(OSError, ValueError, RecursionError):
            found = json.loads((home / CHOICES).read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return {str(key): one for key, one in found.items() if isinstance(one, dict)}
    return {}


def _remember(home: Path | None, key: str, best: EngineName, rates: dict[EngineName, float]) -> None:
    if home is None:
        return
    kept = {k: v for k, v in _recall(home).items() if k != key}
    kept = dict(list(kept.items())[1 - _REMEMBERED :])
    kept[key] = {"engine": best, "comments_per_second": {k: round(v, 1) for k, v in rates.items()}}
    path = home / CHOICES
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):  # a home that cannot be written to costs a second at the next start
        home.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        part.replace(path)


def _measure_apart(
    folder: Path, threads: int | None, allowed: Sequence[EngineName]
) -> dict[EngineName, float]:
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "model.engine_choice", str(folder), str(threads or 0), *allowed]
    rates: dict[EngineName, float] = {}
    try:
        ended = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
            timeout=_TIMEOUT_S,
            check=False,
        )
        told = ended.stdout
    except subprocess.TimeoutExpired as late:
        told = late.stdout or b""
    except OSError:
        told = b""
    for line in told.decode("utf-8", "replace").splitlines():
        name, _, rate = line.partition(" ")
        with suppress(ValueError, StopIteration):
            rates[next(one for one in allowed if one == name)] = float(rate)
    return rates


def measure(
    engine: Engine,
    comments: Sequence[TokenizedComment],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Give the comments that an engine reads in a second, after a first reading that prepares it."""
    engine.read(comments)
    best, spent = float("inf"), 0.0
    while spent < seconds or best == float("inf"):
        start = clock()
        engine.read(comments)
        took = clock() - start
        best, spent = min(best, took), spent + max(took, 1e-9)
    return len(comments) / max(best, 1e-9)


def sample_texts(count: int = _TEXTS) -> list[str]:
    """Give comments of the shipped sample, evenly drawn from it."""
    from data.sample import sample_path

    lines = sample_path("comments.jsonl").read_text(encoding="utf-8").splitlines()
    step = max(1, len(lines) // count)
    return [json.loads(line)["comment"] for line in lines[::step][:count]]


def _tell(arguments: Sequence[str]) -> None:
    """Print each engine's name and rate, one a line; one that cannot be loaded is left out."""
    folder, threads = Path(arguments[0]), int(arguments[1]) or None
    description = read_description(folder)
    tokenizer = load_tokenizer(folder, description.max_tokens)
    comments = tokenize(tokenizer, sample_texts(), description.prefix)
    for name in arguments[2:]:
        with suppress(WhyscoreError, ModelError):
            engine = open_engine(name, folder, description.pad_id, threads)  # type: ignore[arg-type]  # as _measure_apart says it
            sys.stdout.write(f"{name} {measure(engine, comments, _SECONDS):.1f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _tell(sys.argv[1:])
