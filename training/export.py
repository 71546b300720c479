"""Export of a fitted classifier for serving without torch, checked against torch number by number."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from data.annotations import Target
from data.errors import ModelError
from model.classifier import ReasonCodeClassifier
from model.engine import ONNX_FILE
from model.engine_f1 import LabelledPart
from model.engine_record import EngineRecord
from model.engine_variants import derive_engines
from model.network import ReasonCodeNetwork
from model.served_network import ServedNetwork


def export_engines(
    classifier: ReasonCodeClassifier,
    folder: Path,
    comments: Sequence[str],
    targets: Sequence[Target] = (),
) -> EngineRecord:
    """Write the files of every engine beside a saved classifier, and compare each with torch.

    Parameters
    ----------
    classifier
        Fitted.
    folder
        The model folder.
    comments
        Real comments to compare on.
    targets
        What is known of them: of the validation part, on which a reduced precision must keep its F1.
        Without them 256 comments are compared, and no reduced precision serves unasked.

    Returns
    -------
    EngineRecord
        For each engine the greatest difference of a calibrated probability, and whether it may serve.

    Raises
    ------
    ModelError
        If ``model.onnx`` differs by more than 0.001.
    """
    network = classifier.network_
    description = classifier.description_
    if network is None or description is None:
        raise ModelError("the classifier is not fitted yet")
    _write_onnx(network, folder)
    compared = list(comments) if targets else list(comments)[:256]
    compared = compared or ["No comment to compare on."]
    labelled = None
    if targets:
        labelled = LabelledPart(*classifier.labels.encode(targets), description.threshold_array())
    tokens = classifier.tokenize(compared)
    expected = classifier.predict_proba(compared)
    return derive_engines(folder, description, tokens, expected, labelled, classifier.settings.threads)


def _write_onnx(network: ReasonCodeNetwork, folder: Path) -> None:
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
