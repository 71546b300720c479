"""A registered model taken further under its own encoder: new codes added, or every code fitted anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from data.annotations import POLARITIES
from data.errors import InputError, ModelError
from data.settings import Settings
from data.text import first_rows, text_hash
from model.classifier import ReasonCodeClassifier
from model.code_decisions import CodeDecisions
from model.code_parameters import CodeParameters
from model.decision import decide
from model.definitions import code_texts
from model.fit_settings import FitSettings
from model.fitting import FitResult
from model.head_fitting import HEAD_FIT, StatesFold, fit_head, predict_head
from model.labels import LabelSpace
from model.network import ReasonCodeNetwork
from model.new_codes import NewCodes, fit_new_codes
from model.operating_points import BALANCED, choose_operating_points
from model.registry import ModelLocation, find_model
from model.starter import find_starter
from model.state_cache import StateCache
from training.evaluation import evaluate
from training.registration import check_registry
from training.release import TrainedModel, read_seen, release
from training.split import Split, pick, split_by_text
from training.training_data import TrainingData, load_training_data

RefitRegime = Literal["new-codes", "head-only"]
Told = Callable[[int, int, str], None]

MOST_UNREVIEWED = 2000
"""Comments that say how often a new code is scored high where nobody looked for it: more tell no more."""


@dataclass(frozen=True)
class _Base:
    """The model that is taken further, in terms of the codes to come."""

    location: ModelLocation
    classifier: ReasonCodeClassifier
    network: ReasonCodeNetwork
    kept: tuple[str, ...]
    new: tuple[str, ...]
    parameters: CodeParameters
    decisions: CodeDecisions
    unread_thresholds: tuple[float, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """The model's codes that are still there, then the new ones."""
        return (*self.kept, *self.new)


def refit(
    annotations: str | Path,
    taxonomy: str | Path,
    model: str | None,
    settings: Settings,
    *,
    regime: RefitRegime | None = None,
    reader: bool = False,
    seed: int = 0,
    make_champion: bool = True,
    on_progress: Told | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> TrainedModel:
    """Take a model further without touching its encoder, and register the result as a new version.

    Parameters
    ----------
    annotations, taxonomy
        Files as ``formats.md`` has them. Annotations that are older than a code leave it out.
    model
        The model to start from, as ``--model`` takes it.
    settings
        Registry, model name, threads, and the home folder, where token states are kept.
    regime
        ``new-codes`` fits the codes that the model does not know and leaves all else bit for bit as it
        is; ``head-only`` fits every code. None: new codes where there are any.
    reader
        Whether ``head-only`` fits the shared reader too.
    seed
        Decides the order and the dropout of ``head-only``.
    make_champion
        Whether the new version becomes the one that tagging uses.
    on_progress, on_stage
        Told (done, of how many, note), and when a stage begins.

    Raises
    ------
    InputError, ModelError
        In one sentence each.
    """
    stage, tell = on_stage or (lambda _: None), on_progress or (lambda *_: None)
    stage("Reading")
    data = load_training_data(annotations, taxonomy)
    if not data.annotations:
        raise InputError("there are no annotated comments", file=annotations)
    check_registry(settings)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    base = _base(find_model(model, settings), data, settings)
    chosen = regime or ("new-codes" if base.new else "head-only")
    if chosen == "new-codes" and not base.new:
        raise InputError(
            f"{base.location.name} knows every code of the taxonomy; --head-only fits them anew",
            file=taxonomy,
        )
    split = split_by_text(data.comments)
    cache = StateCache(settings.home / "states", settings.state_cache_mb * 2**20)
    if chosen == "new-codes":
        classifier, facts = _add_codes(base, data, split, cache, stage, tell)
    else:
        classifier, facts = _fit_head(base, data, split, cache, reader, seed, stage, tell)
    facts = {"regime": chosen, "base_model": base.location.name} | facts
    seen = read_seen(base.location.folder)
    parts = (classifier, data, split, settings, facts)
    return release(*parts, seen=seen, make_champion=make_champion, on_stage=stage)


def _base(location: ModelLocation, data: TrainingData, settings: Settings) -> _Base:
    classifier = ReasonCodeClassifier.load(location.folder)
    network, description = classifier.network_, classifier.description_
    if network is None or description is None:
        raise ModelError("the model is not fitted", file=location.folder)
    active = data.taxonomy.active
    kept = tuple(code for code in description.codes if code in active)
    new = tuple(code for code in active if code not in description.codes)
    rows = [description.codes.index(code) for code in kept]
    parameters, decisions = CodeParameters.of(network).rows(rows), CodeDecisions.of(description).rows(rows)
    starter = find_starter(description.encoder_sha256, settings.home)
    unread = starter.thresholds if starter is not None else (0.5,) * len(POLARITIES)
    if new:
        directions = classifier.read_definitions([code_texts(data.taxonomy[code]) for code in new])
        parameters = parameters.followed_by(CodeParameters.from_definitions(directions))
    return _Base(location, classifier, network, kept, new, parameters, decisions, unread)


def _add_codes(
    base: _Base,
    data: TrainingData,
    split: Split,
    cache: StateCache,
    stage: Callable[[str], None],
    tell: Told,
) -> tuple[ReasonCodeClassifier, dict[str, Any]]:
    fitted = np.sort(np.concatenate([split.train, split.validation]))
    present, known = LabelSpace(base.new).encode(pick(data.targets, fitted))
    rows = _worth_reading(known, [data.comments[i] for i in fitted])
    comments = pick(data.comments, fitted[rows])
    stage(f"Reading {len(comments)} comments")
    states = base.classifier.states(comments, cache, lambda done, total: tell(done, total, "comments read"))
    stage(f"Fitting {len(base.new)} new code{'s' if len(base.new) > 1 else ''}")
    head = base.parameters.rows([*range(len(base.kept), len(base.codes))]).head(base.network)
    unread = base.decisions.of_unread_codes(base.new, base.unread_thresholds)
    found = fit_new_codes(
        head, states, comments, present[rows], known[rows], unread, base.decisions.usual_thresholds()
    )
    parameters = base.parameters.rows([*range(len(base.kept))]).followed_by(found.parameters)
    whole = len(base.kept) == len(base.network.bias)
    former = base.network.blocks if whole else (len(base.kept),) if base.kept else ()
    decisions = base.decisions.followed_by(found.decisions)
    blocks = (*former, len(base.new))
    return base.classifier.with_codes(decisions, parameters, blocks=blocks), {
        "new_codes": ", ".join(base.new)[:500],
        **_cross_validated(base, found, present[rows], known[rows]),
    }


def _worth_reading(known: NDArray[np.float32], comments: list[str]) -> NDArray[np.intp]:
    """Give the rows that somebody reviewed for a new code, and some others, by their texts' hashes."""
    reviewed = known.any(axis=1)
    others = sorted(np.flatnonzero(~reviewed), key=lambda row: text_hash(comments[row]))[:MOST_UNREVIEWED]
    return np.sort(np.concatenate([np.flatnonzero(reviewed), np.array(others, np.intp)]))


def _cross_validated(
    base: _Base, found: NewCodes, present: NDArray[np.float32], known: NDArray[np.float32]
) -> dict[str, Any]:
    """Say how many examples there were, and what F1 they reach when each is left out of the fit."""
    scored = np.isfinite(found.out_of_fold).all(axis=2)
    chosen = np.nan_to_num(found.out_of_fold, nan=-1.0)
    picked = decide(chosen, np.asarray(found.decisions.thresholds))
    figures = evaluate(picked, present, known * scored, base.new).codes
    examples = (present * known[..., None]).any(axis=2).sum(axis=0)
    reviewed = int(known.any(axis=1).sum())
    learnt: NDArray[np.bool_] = np.any(scored, axis=0)
    told = [
        f"{code} {int(count)}{'' if taught else ' (too little to learn from: by its definition)'}"
        for code, count, taught in zip(base.new, examples, learnt, strict=True)
    ]
    facts: dict[str, Any] = {"regime_reason": f"examples among {reviewed} reviewed: {', '.join(told)}"[:500]}
    scores = [score.f1 for score in figures.values() if score.f1 is not None]
    return facts | ({"cross_validated_code_f1": float(np.mean(scores))} if scores else {})


def _fit_head(
    base: _Base,
    data: TrainingData,
    split: Split,
    cache: StateCache,
    reader: bool,
    seed: int,
    stage: Callable[[str], None],
    tell: Told,
) -> tuple[ReasonCodeClassifier, dict[str, Any]]:
    labels, parts = LabelSpace(base.codes), (split.train, split.validation)
    stage(f"Reading {sum(map(len, parts))} comments")
    folds = []
    for part in parts:
        states = base.classifier.states(
            pick(data.comments, part), cache, lambda done, total: tell(done, total, "comments read")
        )
        folds.append(StatesFold(states, *labels.encode(pick(data.targets, part))))
    train, held = folds
    if not len(train.states):
        raise InputError("there are no comments to fit on beside those that are held out")
    stage("Fitting every code")
    plan = dataclasses.replace(HEAD_FIT, seed=seed)
    head = base.parameters.head(base.network)
    history = fit_head(
        head,
        train,
        held,
        plan,
        reader=reader,
        on_progress=lambda p: tell(p.step, p.steps, f"epoch {p.epoch}  loss {p.loss:.3f}"),
    )
    bare = ~train.known.any(axis=0)
    parameters = _with_rows(CodeParameters.of(head), base.parameters, np.flatnonzero(bare).tolist())
    decisions = _decide_anew(base, head, held, pick(data.comments, split.validation))
    classifier = base.classifier.with_codes(decisions, parameters, head.reader if reader else None)
    classifier.settings, classifier.fit_result_ = plan, _result(history, plan)
    annotated = len(base.codes) - int(bare.sum())
    return classifier, {
        "regime_reason": f"{annotated} of {len(base.codes)} codes have annotations; the encoder stays",
        "reader": "fitted" if reader else "kept",
    }


def _with_rows(fitted: CodeParameters, former: CodeParameters, rows: list[int]) -> CodeParameters:
    """Give fitted parameters, but the former ones of some codes: decay moves what nobody annotated."""
    both = fitted.followed_by(former)
    return both.rows([len(fitted) + row if row in rows else row for row in range(len(fitted))])


def _decide_anew(
    base: _Base, head: ReasonCodeNetwork, held: StatesFold, comments: list[str]
) -> CodeDecisions:
    """Calibrate and choose operating points on the validation part; codes it says nothing of keep theirs."""
    new = base.decisions.of_unread_codes(base.new, base.unread_thresholds)
    former = base.decisions.followed_by(new)
    told: NDArray[np.bool_] = np.any(held.known, axis=0)
    if not len(comments) or not told.any():
        return former
    rows = first_rows(comments)
    probabilities = predict_head(head, held.states)[rows]
    calibration, points = choose_operating_points(
        probabilities, held.present[rows], held.known[rows], base.codes, base.unread_thresholds
    )
    anew = CodeDecisions(base.codes, points[BALANCED].thresholds, calibration, points)
    return anew.with_rows_of(former, [code for code, one in zip(base.codes, told, strict=True) if not one])


def _result(history: tuple[dict[str, float], ...], plan: FitSettings) -> FitResult:
    best = max(range(len(history)), key=lambda i: (history[i].get("validation_f1", i), -i))
    return FitResult(history, best + 1, "fp32", "cpu")
