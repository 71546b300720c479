"""Inference without torch: the exported network behind one small interface."""

from __future__ import annotations

import os
from collections.abc import Sequence
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


class Engine(Protocol):
    """Scores tokenized comments; see `OnnxEngine.run`."""

    def run(
        self, comments: Sequence[TokenizedComment]
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Give probabilities and attention."""
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

    def run(
        self, comments: Sequence[TokenizedComment]
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Score comments, batched by length.

        Returns
        -------
        probabilities : ndarray of shape (n, n_codes, n_polarities)
        attention : list of ndarray of shape (n_codes, tokens), one for each comment
        """
        lengths = np.array([len(comment.ids) for comment in comments], np.int64)
        probabilities: NDArray[np.float32] | None = None
        attention: list[NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(comments)
        for batch in length_batches(lengths, tokens=2048, most=64):
            ids, mask = pad([comments[i] for i in batch], self.pad_id)
            logits, looked = self.session.run(
                ["logits", "attention"], {"input_ids": ids, "attention_mask": mask}
            )
            if probabilities is None:
                probabilities = np.zeros((len(comments), *logits.shape[1:]), np.float32)
            probabilities[batch] = 1.0 / (1.0 + np.exp(-logits))
            for place, i in enumerate(batch):
                attention[i] = looked[place, :, : lengths[i]]
        return np.zeros((0, 0, 0), np.float32) if probabilities is None else probabilities, attention
