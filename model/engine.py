"""Inference without torch: the exported network behind one small interface."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError
from model.tokens import TokenizedComment, length_batches, pad

ONNX_FILE = "model.onnx"


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
    """Reads tokenized comments; see `OnnxEngine.read`."""

    def read(self, comments: Sequence[TokenizedComment]) -> Reading:
        """Give scores, and what each token contributes."""
        ...


class OnnxEngine:
    """The network in ONNX Runtime on the processor.

    Parameters
    ----------
    folder
        A model folder with ``model.onnx``.
    pad_id
        The tokenizer's padding token.
    threads
        Processor threads; all cores that the process may use where None.

    Raises
    ------
    ModelError
        If the file is missing or broken.
    """

    def __init__(self, folder: Path, pad_id: int, threads: int | None = None) -> None:
        import onnxruntime as ort

        path = folder / ONNX_FILE
        if not path.is_file():
            raise ModelError("the model was not exported for serving (no model.onnx)", file=folder)
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
        self.pad_id = pad_id
        self._exact = "contribution" in {output.name for output in self.session.get_outputs()}

    def read(self, comments: Sequence[TokenizedComment]) -> Reading:
        """Read comments, batched by length."""
        lengths = np.array([len(comment.ids) for comment in comments], np.int64)
        wanted = ["logits", "contribution" if self._exact else "attention"]
        logits: NDArray[np.float32] | None = None
        parts: list[NDArray[np.float32]] = [np.zeros((0, 0, 0), np.float32)] * len(comments)
        for batch in length_batches(lengths, tokens=2048, most=64):
            ids, mask = pad([comments[i] for i in batch], self.pad_id)
            scores, part = self.session.run(wanted, {"input_ids": ids, "attention_mask": mask})
            if logits is None:
                logits = np.zeros((len(comments), *scores.shape[1:]), np.float32)
            logits[batch] = scores
            if not self._exact:
                part = np.broadcast_to(part[:, :, None], (*scores.shape, part.shape[-1]))
            for place, i in enumerate(batch):
                parts[i] = part[place, :, :, : lengths[i]]
        return Reading(np.zeros((0, 0, 0), np.float32) if logits is None else logits, parts, self._exact)
