"""From a fitted classifier to a registered version: measured, written, exported, logged."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from data.annotations import Target
from data.errors import ModelError
from data.settings import Settings
from data.text import text_hash
from model.abstention import abstains
from model.classifier import ReasonCodeClassifier
from model.code_mix import CodeMix
from model.decision import decide
from model.description import TAXONOMY
from model.engine_record import EngineRecord
from training.evaluation import Evaluation, evaluate_model
from training.export import export_engines
from training.registration import RegisteredVersion, promote, register_model
from training.split import Split, pick
from training.training_data import TrainingData

SEEN = "seen_texts.txt"


@dataclass(frozen=True)
class TrainedModel:
    """What a training came to; `former` is the champion whose place the new version took."""

    registered: RegisteredVersion
    evaluation: Evaluation
    summary: dict[str, Any]
    former: int | None = None


def release(
    classifier: ReasonCodeClassifier,
    data: TrainingData,
    split: Split,
    settings: Settings,
    facts: Mapping[str, Any],
    *,
    seen: Collection[str] = (),
    make_champion: bool = True,
    on_stage: Callable[[str], None] = lambda _: None,
) -> TrainedModel:
    """Evaluate a classifier on the held-out part, export it and register it as a new version.

    Parameters
    ----------
    classifier
        Fitted, or reading definitions alone.
    data, split
        What it was made of, and which part of it is held out.
    settings
        Registry and model name.
    facts
        What the summary says besides, such as the regime.
    seen
        Hashes of texts that an earlier model, which this one goes on from, was fitted on.
    make_champion
        Whether the new version becomes the one that tagging uses.
    on_stage
        Told when a stage begins.
    """
    on_stage("Evaluating")
    held_out = split.test  # of few comments it may be empty; the validation part has been learnt from
    evaluation, mix = _evaluate(classifier, pick(data.comments, held_out), pick(data.targets, held_out))
    summary = _summary(data, classifier, len(split.train), len(split.validation), len(held_out)) | dict(facts)
    with tempfile.TemporaryDirectory(prefix="whyscore-") as scratch:
        folder = Path(scratch) / "reason-codes"
        on_stage("Exporting")
        _write_folder(classifier, data, split, folder, summary, seen)
        mix.write(folder)
        definitions = list(chain(*classifier.definitions))
        validation = pick(data.comments, split.validation)
        engines = export_engines(
            classifier,
            folder,
            validation or data.comments or definitions,
            pick(data.targets, split.validation) if validation else (),
        )
        summary |= _engine_facts(engines)
        on_stage("Registering")
        registered = register_model(folder, settings, summary, _metrics(evaluation), evaluation.to_dict())
    former = None
    if make_champion:
        former = promote(registered.version, settings)
        registered = dataclasses.replace(registered, champion=True)
    return TrainedModel(registered, evaluation, summary, former)


def read_seen(folder: Path) -> set[str]:
    """Give the hashes of the texts that a model was fitted on."""
    path = folder / SEEN
    return set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()


def _evaluate(
    classifier: ReasonCodeClassifier, comments: list[str], targets: list[Target]
) -> tuple[Evaluation, CodeMix]:
    """Measure on held-out comments, and count the codes that they are given."""
    if classifier.description_ is None:
        raise ModelError("the classifier is not fitted yet")
    present, known = classifier.labels.encode(targets)
    probabilities = np.zeros(present.shape, np.float32)
    if comments:
        probabilities = classifier.predict_proba(comments)
    description = classifier.description_
    abstained = abstains(comments, classifier.tokenize(comments), classifier.novelty_)
    chosen = decide(probabilities, description.threshold_array())
    chosen[abstained] = False  # as when it serves
    mix = CodeMix.of(chosen, description.codes)
    return evaluate_model(probabilities, present, known, description, abstained), mix


def _write_folder(
    classifier: ReasonCodeClassifier,
    data: TrainingData,
    split: Split,
    folder: Path,
    summary: dict[str, Any],
    earlier: Collection[str],
) -> None:
    if classifier.description_ is not None:
        classifier.description_ = dataclasses.replace(classifier.description_, training=dict(summary))
    classifier.save(folder)
    (folder / TAXONOMY).write_text(data.taxonomy.to_yaml(), encoding="utf-8")
    rows = np.concatenate([split.train, split.validation])
    seen = sorted({text_hash(comment)[:16] for comment in pick(data.comments, rows)} | set(earlier))
    (folder / SEEN).write_text("\n".join(seen) + "\n", encoding="utf-8")


def _summary(
    data: TrainingData, classifier: ReasonCodeClassifier, train: int, validation: int, test: int
) -> dict[str, Any]:
    result, description = classifier.fit_result_, classifier.description_
    facts: dict[str, Any] = {
        "annotations": len(data.annotations),
        "annotations_sha256": data.digest,
        "taxonomy": data.taxonomy.name,
        "taxonomy_version": data.taxonomy.version,
        "codes": len(data.taxonomy.active),
        "train": train,
        "validation": validation,
        "test": test,
    }
    if description is not None:
        facts |= {"encoder": description.encoder, "encoder_sha256": description.encoder_sha256}
    if result is not None:
        facts |= {
            "best_epoch": result.best_epoch,
            "precision": result.precision,
            "device": result.device,
            "processes": result.processes,
        }
        plan = dataclasses.asdict(classifier.settings)
        facts |= {f"fit_{name}": value for name, value in plan.items() if name != "precision"}
    return facts


def _engine_facts(record: EngineRecord) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "export_difference": record.engines["onnx"].difference,
        "engines": ", ".join(record.kept),
    }
    for name, check in record.engines.items():
        facts[f"engine_{name}_difference"] = check.difference
        facts[f"engine_{name}_f1_change"] = check.f1_change
    return facts


def _metrics(evaluation: Evaluation) -> dict[str, float]:
    figures = evaluation.to_dict()
    metrics = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    for code, score in figures["codes"].items():
        if score["f1"] is not None and score["support"]:
            metrics[f"f1/{code}"] = score["f1"]
    return metrics
