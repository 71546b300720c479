"""Export of a fitted classifier for serving without torch, checked against torch number by number."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from data.errors import ModelError
from model.classifier import ReasonCodeClassifier
from model.engine import ONNX_FILE, OnnxEngine
from model.served_network import ServedNetwork

# float32 on two runtimes differs by rounding alone; more than this is another network.
_TOLERANCE = 1e-3


def export_onnx(classifier: ReasonCodeClassifier, folder: Path, comments: Sequence[str]) -> float:
    """Write ``model.onnx`` beside a saved classifier and compare it with torch.

    Parameters
    ----------
    classifier
        Fitted.
    folder
        The model folder.
    comments
        Real comments to compare on.

    Returns
    -------
    float
        The greatest difference of a calibrated probability.

    Raises
    ------
    ModelError
        If the difference exceeds 0.001.
    """
    network = classifier.network_
    description = classifier.description_
    if network is None or description is None:
        raise ModelError("the classifier is not fitted yet")
    ids = torch.ones((2, 8), dtype=torch.int64)
    rows, tokens = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("tokens", min=2, max=8192)
    with _quiet():
        program = torch.onnx.export(
            ServedNetwork(network.eval()).eval(),
            (ids, torch.ones_like(ids)),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits", "contribution"],
            dynamic_shapes=({0: rows, 1: tokens}, {0: rows, 1: tokens}),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        program.save(str(folder / ONNX_FILE), external_data=False)
    sample = list(comments)[:256] or ["No comment to compare on."]
    engine = OnnxEngine(folder, description.pad_id, classifier.settings.threads)
    exported = description.calibrate(engine.read(classifier.tokenize(sample)).probabilities)
    difference = float(np.abs(exported - classifier.predict_proba(sample)).max())
    if difference > _TOLERANCE:
        raise ModelError(
            f"the exported network differs from the trained one by {difference:.2g}", file=folder
        )
    return difference


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's reports off the terminal; its errors still come through."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
