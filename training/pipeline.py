"""The training pipeline: read, split, fine-tune, evaluate, export, register."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.annotations import read_annotations, to_target
from data.errors import InputError
from data.settings import Settings
from data.text import text_hash
from model.checkpoint import TEACHER, CheckpointPlace
from model.classifier import ReasonCodeClassifier
from model.comment_tagger import CommentTagger
from model.definitions import code_texts
from model.devices import processes
from model.encoder import resolve_encoder
from model.fit_settings import FitSettings
from model.fitting import Progress
from model.starter import find_starter
from training.evaluation import Evaluation, evaluate_model
from training.regime import Regime, choose_regime
from training.registration import check_registry
from training.release import TrainedModel, read_seen, release
from training.split import Split, pick, split_by_text, without_fit
from training.teacher import LoadedTeacher, TeacherOptions, load_teacher
from training.training_data import TrainingData, load_training_data


def train(
    annotations: str | Path | None,
    taxonomy: str | Path,
    settings: Settings,
    *,
    encoder: str | None = None,
    fit: FitSettings | None = None,
    teacher: TeacherOptions | None = None,
    make_champion: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
    on_read: Callable[[int, int], None] | None = None,
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
    teacher
        A registered model to learn from as well.
    make_champion
        Whether the new version becomes the one that tagging uses.
    on_progress, on_read, on_stage
        Told after every step, how many comments the teacher has read, and of how many, and when a stage
        begins.

    Raises
    ------
    InputError, ModelError
        In one sentence each.
    """
    stage = on_stage or (lambda _: None)
    told = (on_progress, on_read, stage)
    made = _make(annotations, taxonomy, settings, encoder, fit, teacher, *told)
    parts = (made.classifier, made.data, made.split, settings, made.facts)
    trained = release(*parts, seen=made.seen, make_champion=make_champion, on_stage=stage)
    for place in made.places:  # not before: a model that could not be registered need not be fitted again
        place.clear()
    return trained


def lend_hand(
    annotations: str | Path | None,
    taxonomy: str | Path,
    settings: Settings,
    *,
    encoder: str | None = None,
    fit: FitSettings | None = None,
    teacher: TeacherOptions | None = None,
) -> None:
    """Take part in a training that the main process leads (see `model.devices`), and leave the rest to it.

    Takes what `train` takes there.
    """
    _make(annotations, taxonomy, settings, encoder, fit, teacher, None, None, lambda _: None)


@dataclass(frozen=True)
class _Made:
    """A classifier, what it was made of, what to say of that, and where its fits keep their states.

    `seen` holds the hashes of texts that a teacher brought.
    """

    classifier: ReasonCodeClassifier
    data: TrainingData
    split: Split
    facts: dict[str, str]
    places: tuple[CheckpointPlace, ...]
    seen: frozenset[str] = frozenset()


def _make(
    annotations: str | Path | None,
    taxonomy: str | Path,
    settings: Settings,
    encoder: str | None,
    fit: FitSettings | None,
    teacher: TeacherOptions | None,
    on_progress: Callable[[Progress], None] | None,
    on_read: Callable[[int, int], None] | None,
    stage: Callable[[str], None],
) -> _Made:
    stage("Reading")
    data = load_training_data(annotations, taxonomy)
    choice = choose_regime(data.targets, data.taxonomy.active)
    stage(f"{choice.regime.capitalize()} regime: {choice.reason}")
    if processes().is_main:
        check_registry(settings)
    fitted = choice.regime != "definitions"
    taught: LoadedTeacher | None = None
    facts = {"regime": choice.regime, "regime_reason": choice.reason}
    if teacher is not None:
        if not fitted:
            raise InputError(f"a teacher needs annotated comments beside it: {choice.reason}")
        stage("Opening the teacher")
        taught = load_teacher(teacher, data, settings, on_read)
        facts |= taught.facts
    split = split_by_text(data.comments) if fitted else without_fit(len(data.comments))
    plan = dataclasses.replace(fit or FitSettings(), threads=settings.threads)
    classifier = _classifier(data, encoder, plan, settings)
    places: tuple[CheckpointPlace, ...] = ()
    if fitted:
        first = _checkpoint(data, classifier, settings, taught)
        fits = first, first.of_stage("last")
        places = *fits, *(place.of_stage(TEACHER) for place in fits)
        _fit(classifier, data, split, choice.regime, fits, taught, on_progress, stage)
    else:
        if classifier.starter is None:
            named = "" if encoder is None else f" --encoder {encoder}"
            stage(
                "No starting point was made for this encoder, so what it reads from definitions is a guess; "
                f"make one with: whyscore starter{named}"
            )
        classifier.start()
    return _Made(classifier, data, split, facts, places, taught.seen if taught else frozenset())


def _fit(
    classifier: ReasonCodeClassifier,
    data: TrainingData,
    split: Split,
    regime: Regime,
    places: tuple[CheckpointPlace, CheckpointPlace],
    taught: LoadedTeacher | None,
    on_progress: Callable[[Progress], None] | None,
    stage: Callable[[str], None],
) -> None:
    """Fit on one part and calibrate on another; of a small set learn from both in the end."""
    place, last = places
    teacher = taught.teacher if taught else None
    stage("Fine-tuning")
    parts = [(pick(data.comments, p), pick(data.targets, p)) for p in (split.train, split.validation)]
    classifier.fit(*parts[0], parts[1], on_progress, place, teacher)
    if regime == "few-shot":
        stage("Fine-tuning again, on the validation part as well")
        both = parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]
        classifier.fit_again(*both, on_progress, last, teacher)


def _classifier(
    data: TrainingData, encoder: str | None, plan: FitSettings, settings: Settings
) -> ReasonCodeClassifier:
    codes = data.taxonomy.active
    texts = [code_texts(data.taxonomy[code]) for code in codes]
    starter = find_starter(resolve_encoder(encoder).sha256, settings.home)
    return ReasonCodeClassifier(codes, encoder, plan, settings.max_tokens, texts, starter)


def _checkpoint(
    data: TrainingData, classifier: ReasonCodeClassifier, settings: Settings, taught: LoadedTeacher | None
) -> CheckpointPlace:
    """Give where this fit keeps its state: a later run of the very same fit takes it up."""
    begins = resolve_encoder(classifier.encoder).sha256  # what lies under its name may be another by then
    begins += "" if classifier.starter is None else classifier.starter.digest()
    about = (
        f"{data.digest} {begins} {classifier.settings} {classifier.max_tokens} {settings.home} "
        f"{processes().count}{' ' + taught.teacher.digest() if taught else ''}"
    )
    key = hashlib.sha256(about.encode()).hexdigest()
    return CheckpointPlace(settings.home / "unfinished" / f"{key[:16]}.safetensors", key)


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
    seen = read_seen(folder)
    fresh = [row for row in rows if text_hash(row.comment)[:16] not in seen]
    if not fresh:
        raise InputError(
            "the model was fitted on every comment of the file; nothing to evaluate on", file=annotations
        )
    present, known = tagger.labels.encode([to_target(row, tagger.taxonomy) for row in fresh])
    comments = [row.comment for row in fresh]
    probabilities, abstained = tagger.probabilities(comments), tagger.abstains(comments)
    evaluation = evaluate_model(probabilities, present, known, tagger.description, abstained)
    return HeldOutEvaluation(evaluation, len(rows) - len(fresh))
