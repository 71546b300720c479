"""The training pipeline: read, split, fine-tune, evaluate, export, register."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from data.annotations import Annotation, Target, read_annotations, to_target
from data.errors import InputError, ModelError
from data.settings import Settings
from data.taxonomy import Taxonomy, read_taxonomy
from data.text import text_hash
from model.classifier import ReasonCodeClassifier
from model.comment_tagger import CommentTagger
from model.definitions import code_texts
from model.description import TAXONOMY
from model.encoder import resolve_encoder
from model.fitting import CheckpointPlace, FitSettings, Progress
from model.starter import find_starter
from training.evaluation import Evaluation, evaluate_model
from training.export import export_onnx
from training.regime import choose_regime
from training.registration import RegisteredVersion, promote, register_model
from training.split import Split, pick, split_by_text, without_fit

SEEN = "seen_texts.txt"


@dataclass(frozen=True)
class TrainingData:
    """Annotations in the terms of the present taxonomy, with their digest."""

    taxonomy: Taxonomy
    annotations: tuple[Annotation, ...]
    targets: tuple[Target, ...]
    digest: str

    @property
    def comments(self) -> list[str]:
        """The texts, in file order."""
        return [annotation.comment for annotation in self.annotations]


@dataclass(frozen=True)
class TrainedModel:
    """What a training came to."""

    registered: RegisteredVersion
    evaluation: Evaluation
    summary: dict[str, Any]


def load_training_data(annotations: str | Path | None, taxonomy: str | Path) -> TrainingData:
    """Read and check taxonomy and annotations; without annotations there are definitions alone.

    Raises
    ------
    InputError
        Names file, row and field.
    """
    codes = read_taxonomy(taxonomy)
    rows = tuple(read_annotations(annotations, codes)) if annotations is not None else ()
    digest = hashlib.sha256(codes.to_yaml().encode())
    for row in rows:
        digest.update(json.dumps(row.to_record(), sort_keys=True, ensure_ascii=False).encode())
    return TrainingData(codes, rows, tuple(to_target(row, codes) for row in rows), digest.hexdigest())


def train(
    annotations: str | Path | None,
    taxonomy: str | Path,
    settings: Settings,
    *,
    encoder: str | None = None,
    fit: FitSettings | None = None,
    make_champion: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> TrainedModel:
    """Make a reason-code model of what there is to learn from, and register it.

    Parameters
    ----------
    annotations, taxonomy
        Files as ``formats.md`` has them. Without annotations the codes are read from their definitions.
    settings
        Registry, model name, threads, and the home folder, where an interrupted fit goes on.
    encoder
        A folder, a Hugging Face id, or None for the packaged default.
    fit
        How to fine-tune; its seed makes the model repeatable on the same machine.
    make_champion
        Whether the new version becomes the one that tagging uses.
    on_progress, on_stage
        Told after every step, and when a stage begins.

    Raises
    ------
    InputError, ModelError
        In one sentence each.
    """
    stage = on_stage or (lambda _: None)
    stage("Reading")
    data = load_training_data(annotations, taxonomy)
    choice = choose_regime(data.targets, data.taxonomy.active)
    stage(f"{choice.regime.capitalize()} regime: {choice.reason}")
    fitted = choice.regime != "definitions"
    split = split_by_text(data.comments) if fitted else without_fit(len(data.comments))
    plan = dataclasses.replace(fit or FitSettings(), threads=settings.threads)
    classifier = _classifier(data, encoder, plan, settings)
    if fitted:
        stage("Fine-tuning")
        place = _checkpoint(data, classifier, settings)
        parts = [(pick(data.comments, p), pick(data.targets, p)) for p in (split.train, split.validation)]
        classifier.fit(*parts[0], parts[1], on_progress, place)
    else:
        classifier.start()
    stage("Evaluating")
    held_out = split.test if len(split.test) else split.validation
    evaluation = _evaluate(classifier, pick(data.comments, held_out), pick(data.targets, held_out))
    summary = _summary(data, classifier, len(split.train), len(split.validation), len(held_out))
    summary |= {"regime": choice.regime, "regime_reason": choice.reason}
    with tempfile.TemporaryDirectory(prefix="whyscore-") as scratch:
        folder = Path(scratch) / "reason-codes"
        stage("Exporting")
        _write_folder(classifier, data, split, folder, summary)
        compared = pick(data.comments, split.validation) or list(chain(*classifier.definitions))
        summary["export_difference"] = export_onnx(classifier, folder, compared)
        stage("Registering")
        registered = register_model(folder, settings, summary, _metrics(evaluation), evaluation.to_dict())
    if make_champion:
        promote(registered.version, settings)
        registered = dataclasses.replace(registered, champion=True)
    return TrainedModel(registered, evaluation, summary)


def _classifier(
    data: TrainingData, encoder: str | None, plan: FitSettings, settings: Settings
) -> ReasonCodeClassifier:
    codes = data.taxonomy.active
    texts = [code_texts(data.taxonomy[code]) for code in codes]
    starter = find_starter(resolve_encoder(encoder).sha256, settings.home)
    return ReasonCodeClassifier(codes, encoder, plan, settings.max_tokens, texts, starter)


def _checkpoint(data: TrainingData, classifier: ReasonCodeClassifier, settings: Settings) -> CheckpointPlace:
    """Give where this fit keeps its state: a later run of the very same fit takes it up."""
    about = (
        f"{data.digest} {classifier.encoder} {classifier.settings} {classifier.max_tokens} {settings.home}"
    )
    key = hashlib.sha256(about.encode()).hexdigest()
    return CheckpointPlace(settings.home / "unfinished" / f"{key[:16]}.safetensors", key)


def _evaluate(classifier: ReasonCodeClassifier, comments: list[str], targets: list[Target]) -> Evaluation:
    if classifier.description_ is None:
        raise ModelError("the classifier is not fitted yet")
    present, known = classifier.labels.encode(targets)
    probabilities = np.zeros(present.shape, np.float32)
    if comments:
        probabilities = classifier.predict_proba(comments)
    return evaluate_model(probabilities, present, known, classifier.description_)


def _write_folder(
    classifier: ReasonCodeClassifier, data: TrainingData, split: Split, folder: Path, summary: dict[str, Any]
) -> None:
    if classifier.description_ is not None:
        classifier.description_ = dataclasses.replace(classifier.description_, training=dict(summary))
    classifier.save(folder)
    (folder / TAXONOMY).write_text(data.taxonomy.to_yaml(), encoding="utf-8")
    rows = np.concatenate([split.train, split.validation])
    seen = sorted({text_hash(comment)[:16] for comment in pick(data.comments, rows)})
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
        }
    plan = dataclasses.asdict(classifier.settings)
    return facts | {f"fit_{name}": value for name, value in plan.items() if name != "precision"}


def _metrics(evaluation: Evaluation) -> dict[str, float]:
    figures = evaluation.to_dict()
    metrics = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    for code, score in figures["codes"].items():
        if score["f1"] is not None and score["support"]:
            metrics[f"f1/{code}"] = score["f1"]
    return metrics


@dataclass(frozen=True)
class HeldOutEvaluation:
    """An evaluation, and how many comments were left out because the model had been fitted on them."""

    evaluation: Evaluation
    seen: int


def evaluate_file(annotations: str | Path, folder: Path, settings: Settings) -> HeldOutEvaluation:
    """Evaluate a model on annotated comments that it has not seen.

    Parameters
    ----------
    annotations
        JSON lines, in the terms of the model's own taxonomy.
    folder
        The model's files.
    settings
        Threads.

    Raises
    ------
    InputError
        Names file, row and field; also where every comment was used to fit the model.
    """
    tagger = CommentTagger.load(folder, settings.threads)
    rows = list(read_annotations(annotations, tagger.taxonomy))
    seen_file = folder / SEEN
    seen = set(seen_file.read_text(encoding="utf-8").split()) if seen_file.is_file() else set()
    fresh = [row for row in rows if text_hash(row.comment)[:16] not in seen]
    if not fresh:
        raise InputError(
            "the model was fitted on every comment of the file; nothing to evaluate on", file=annotations
        )
    present, known = tagger.labels.encode([to_target(row, tagger.taxonomy) for row in fresh])
    probabilities = tagger.probabilities([row.comment for row in fresh])
    evaluation = evaluate_model(probabilities, present, known, tagger.description)
    return HeldOutEvaluation(evaluation, len(rows) - len(fresh))
