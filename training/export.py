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
from model.engine import ONNX_FILE, PACKED
from model.engine_f1 import LabelledPart
from model.engine_record import EngineRecord
from model.engine_variants import derive_engines
from model.packed_network import PackedNetwork, packed
from model.served_network import ServedNetwork

log = logging.getLogger("whyscore.engine")


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
    compared = list(comments) if targets else list(comments)[:256]
    compared = compared or ["No comment to compare on."]
    labelled = None
    if targets:
        labelled = LabelledPart(*classifier.labels.encode(targets), description.threshold_array())
    tokens = classifier.tokenize(compared)
    expected = classifier.predict_proba(compared)
    network.eval()
    together = packed(network, [one.ids for one in tokens], description.pad_id)

    def derived(whole: ServedNetwork) -> EngineRecord:
        _write_onnx(whole, folder)
        return derive_engines(folder, description, tokens, expected, labelled, classifier.settings.threads)

    if together is not None:
        try:
            return derived(together)
        except ModelError as error:  # some comment reads otherwise in a packed row
            log.warning("comments are read one in a row: %s", error.message)
    return derived(ServedNetwork(network).eval())


def _write_onnx(whole: ServedNetwork, folder: Path) -> None:
    dims = {name: torch.export.Dim(name, min=1, max=4096) for name in ("rows", "spoken")}
    dims |= {name: torch.export.Dim(name, min=2, max=8192) for name in ("tokens", "longest")}
    of_rows = {0: dims["rows"], 1: dims["tokens"]}
    shapes = dict.fromkeys(("input_ids", "attention_mask"), of_rows)
    if isinstance(whole, PackedNetwork):
        shapes = dict.fromkeys(("input_ids", "position_ids", "segments"), of_rows)
        shapes[PACKED] = {0: dims["spoken"], 1: dims["longest"]}
    # A tensor for each, or the exporter takes them for one; two or more of each axis, or it is always 1.
    examples = tuple(torch.ones((2, 8), dtype=torch.int64) for _ in shapes)
    with _quiet():
        program = torch.onnx.export(
            whole,
            examples,
            input_names=list(shapes),
            output_names=["logits", "contribution"],
            dynamic_shapes=tuple(shapes.values()),
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
