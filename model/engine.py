"""Inference without torch: the exported network behind one small interface."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError
from model.batch_shapes import Batch, BatchShapes
from model.packed_rows import PackedBatch, PackedRows
from model.tokens import TokenizedComment
from model.turns import Turns

ONNX_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"
PACKED = "places"
"""Input of a network that reads several comments in a row."""
_BATCH_TOKENS = 1024


def usable_cores() -> int:
    """Give how many cores this process may use, where the system tells; else how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Reading:
    """What the network says of some comments.

    Attributes
    ----------
    logits
        Shape (n, n_codes, n_polarities).
    contribution
        For each comment what each of its tokens adds to each logit, shape (n_codes, n_polarities, tokens).
        Of a model that was exported without it: how each code spread its attention, alike for all polarities.
    exact
        Whether `contribution` is what its name says, and not attention.
    """

    logits: NDArray[np.float32]
    contribution: list[NDArray[np.float32]]
    exact: bool

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """The network's own, before any calibration."""
        found: NDArray[np.float32] = 0.5 * (1.0 + np.tanh(0.5 * self.logits))
        return found


class Engine(Protocol):
    """Reads tokenized comments; see `OnnxEngine.read`. Safe to share between threads."""

    def read(self, comments: Sequence[TokenizedComment]) -> Reading:
        """Give scores, and what each token contributes."""
        ...


class Layout(Protocol):
    """How comments are laid out in rows of tokens: one in each, or several (`model.packed_rows`)."""

    def plan(self, lengths: Sequence[int]) -> Sequence[Batch | PackedBatch]:
        """Arrange comments of these lengths in batches, each in one of them."""
        ...

    def inputs(self, batch: Any, ids: Sequence[NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        """Give what the network is told of a batch, by the names of its inputs."""
        ...


def layout_of(inputs: Collection[str], pad_id: int, tokens: int, *, few: bool) -> Layout:
    """Give the layout that an exported network was made for.

    Parameters
    ----------
    inputs
        Names of its inputs.
    pad_id
        The tokenizer's padding token.
    tokens
        The most tokens of a batch, padding included.
    few
        Whether the shapes must be few, since the engine prepares itself anew for each.
    """
    shape = PackedRows if PACKED in inputs else BatchShapes
    return shape(pad_id, tokens, few)


class OnnxEngine:
    """The network in ONNX Runtime on the processor.

    Parameters
    ----------
    folder
        A model folder with the network.
    pad_id
        The tokenizer's padding token.
    threads
        Processor threads; all cores that the process may use where None.
    file
        ``model.onnx``, or the same with its products in int8.

    Raises
    ------
    ModelError
        If the file is missing or broken.
    """

    def __init__(self, folder: Path, pad_id: int, threads: int | None = None, file: str = ONNX_FILE) -> None:
        import onnxruntime as ort

        path = folder / file
        if not path.is_file():
            raise ModelError(f"the model was not exported for serving (no {file})", file=folder)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.inter_op_num_threads = 1
        # Idle threads that spin would starve whatever else runs on the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self.session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises kinds of its own for every fault of a file
            raise ModelError("the exported network cannot be loaded", file=path) from error
        inputs = {one.name for one in self.session.get_inputs()}
        self.layout = layout_of(inputs, pad_id, _BATCH_TOKENS, few=False)
        self._turns = Turns([self.session])
        self._exact = "contribution" in {output.name for output in self.session.get_outputs()}
        self._wanted = ["logits", "contribution" if self._exact else "attention"]

    def read(self, comments: Sequence[TokenizedComment]) -> Reading:
        """Read comments in batches; other threads take turns with it, batch by batch."""
        collected = Collector(comments, self._exact)
        ids = [comment.ids for comment in comments]
        for batch in self.layout.plan([len(one) for one in ids]):
            inputs = self.layout.inputs(batch, ids)
            with self._turns.take() as session:
                scores, part = session.run(self._wanted, inputs)
            collected.add(batch.rows, scores, part)
        return collected.reading()


class Collector:
    """Puts what the network says of each batch in the order of the comments; from several threads, too."""

    def __init__(self, comments: Sequence[TokenizedComment], exact: bool) -> None:
        self._lengths = [len(comment.ids) for comment in comments]
        self._exact = exact
        self._guard = threading.Lock()
        self._logits: NDArray[np.float32] | None = None
        self._parts: list[NDArray[np.float32]] = [np.zeros((0, 0, 0), np.float32)] * len(comments)

    def add(self, rows: NDArray[np.intp], scores: NDArray[np.float32], part: NDArray[np.float32]) -> None:
        """Take the outputs of one batch, whose first rows are the comments `rows`; the rest is filler."""
        with self._guard:
            if self._logits is None:
                self._logits = np.zeros((len(self._lengths), *scores.shape[1:]), np.float32)
        self._logits[rows] = scores[: len(rows)]
        if not self._exact:
            part = np.broadcast_to(part[:, :, None], (*scores.shape, part.shape[-1]))
        for place, row in enumerate(rows):
            # A copy, so that one comment does not keep the outputs of its whole batch.
            self._parts[row] = part[place, :, :, : self._lengths[row]].copy()

    def reading(self) -> Reading:
        """Give all that was added."""
        logits = np.zeros((0, 0, 0), np.float32) if self._logits is None else self._logits
        return Reading(logits, self._parts, self._exact)
