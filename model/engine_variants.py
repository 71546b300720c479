"""The other engines' files, derived from ``model.onnx``, each compared with the scores it should give."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import MissingExtraError, ModelError
from model.description import ModelDescription
from model.engine import INT8_FILE, ONNX_FILE, Engine
from model.engine_f1 import F1Move, LabelledPart
from model.engine_record import (
    ENGINES,
    EXACT,
    EngineCheck,
    EngineName,
    EngineRecord,
    digests,
    open_engine,
)
from model.openvino_engine import GRAPH_FILE, WEIGHTS_FILE, OpenVinoEngine, write_openvino
from model.openvino_int8 import write_openvino_int8
from model.tokens import TokenizedComment

MOST_F1_CHANGE = 0.002
"""A reduced precision that is to be expected to move F1 by this much or more does not serve unasked."""
BEYOND_CHANCE = 2.0
"""Standard errors by which F1 may fall further where few comments tell of it."""
EXACT_TOLERANCE = 1e-3
"""Float32 on two runtimes differs by rounding alone; more than this is another network."""


def derive_engines(
    folder: Path,
    description: ModelDescription,
    comments: Sequence[TokenizedComment],
    expected: NDArray[np.float32],
    labelled: LabelledPart | None,
    threads: int | None = None,
) -> EngineRecord:
    """Derive every engine's files from ``model.onnx``, check each, and write the record.

    Parameters
    ----------
    folder
        A model folder with ``model.onnx``; also one of an older version.
    description
        Of the model.
    comments
        To compare on; those of the validation part where `labelled` is given.
    expected
        Their calibrated probabilities in full precision, shape (n, n_codes, n_polarities): torch's, or
        where there is no torch those of ``model.onnx``, which was checked against it.
    labelled
        What is known of `comments`; None where none of them has labels, and then no reduced precision
        serves unasked.
    threads
        Of the engines.

    Raises
    ------
    ModelError
        If ``model.onnx`` itself gives other scores.
    """
    engines: dict[EngineName, EngineCheck] = {}
    for name in ENGINES:
        try:
            _derive(name, folder)
            engine = open_engine(name, folder, description.pad_id, threads)
        except (ModelError, MissingExtraError) as error:
            if name == "onnx":
                raise
            engines[name] = EngineCheck(None, None, None, False, error.message)
            continue
        found = description.calibrate(engine.read(comments).probabilities)
        difference = float(np.abs(found - expected).max())
        move = None if labelled is None else labelled.move(found, expected)
        engines[name] = _judge(name, engine, difference, move)
    if not engines["onnx"].kept:
        raise ModelError(engines["onnx"].reason, file=folder)
    record = EngineRecord(engines, digests(folder, engines))
    record.write(folder)
    return record


def _judge(name: EngineName, engine: Engine, difference: float, move: F1Move | None) -> EngineCheck:
    def checked(reason: str = "") -> EngineCheck:
        if move is None:
            return EngineCheck(difference, None, None, not reason, reason)
        return EngineCheck(difference, move.f1, move.seen, not reason, reason, move.expected)

    if not np.isfinite(difference):
        return checked("it gives no numbers")
    if name in EXACT:
        other = f"the exported network differs from the trained one by {difference:.2g}"
        return checked(other if difference > EXACT_TOLERANCE else "")
    if isinstance(engine, OpenVinoEngine) and "bf" not in engine.precision:
        return checked("the processor that made the model has no bf16 to check it with")
    if move is None:
        return checked("there are no annotated comments to measure its F1 on")
    if abs(move.expected) >= MOST_F1_CHANGE:
        return checked(f"it is expected to move F1 by {100 * move.expected:+.2f} points")
    if move.seen <= -MOST_F1_CHANGE - BEYOND_CHANCE * move.error:
        return checked(f"it moves F1 by {100 * move.seen:+.2f} points")
    return checked()


def _derive(name: EngineName, folder: Path) -> None:
    if name == "onnx-int8":
        write_int8(folder)
    elif name == "openvino":
        write_openvino(folder)
    elif name == "openvino-int8":
        write_openvino_int8(folder / GRAPH_FILE, folder / WEIGHTS_FILE)


def write_int8(folder: Path) -> None:
    """Write ``model.int8.onnx``: the products in int8, each channel with its scale, chosen as it runs.

    Raises
    ------
    MissingExtraError
        If `onnx` is not installed.
    ModelError
        If the network cannot be quantized.
    """
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingExtraError("int8", "train") from error
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # the quantizer advises a preparation that this network does not need
    try:
        with tempfile.TemporaryDirectory(prefix="whyscore-") as scratch:
            network = onnx.load(str(folder / ONNX_FILE))
            # The exporter notes shapes that quantization makes untrue.
            del network.graph.value_info[:]
            plain = Path(scratch) / ONNX_FILE
            onnx.save(network, str(plain))
            quantize_dynamic(
                str(plain), str(folder / INT8_FILE), per_channel=True, weight_type=QuantType.QInt8
            )
    except Exception as error:  # onnx and its quantizer raise kinds of their own
        raise ModelError("the exported network cannot be quantized", file=folder) from error
    finally:
        logger.setLevel(level)
