"""The product under measurement: what `whyscore train` does, called in this process, and its models' reading.

A code that no annotation knows is read from its definition by the very same training; a code that came late
is added to the model that was in use before.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from measurement import Booleans, Prediction, Problem
from measuring_sets import Converted

from data.annotations import read_annotations
from data.settings import Settings
from data.taxonomy import read_taxonomy
from model.comment_tagger import CommentTagger
from model.decision import decide
from model.fit_settings import FitSettings
from model.registry import find_model
from training.pipeline import train
from training.refit import refit
from training.release import TrainedModel

_READ: dict[tuple[str, int], Booleans] = {}
_FORMER: dict[str, tuple[Settings, str]] = {}
_KEPT = ExitStack()
atexit.register(_KEPT.close)


def product(problem: Problem, seed: int) -> Prediction:
    """Train, and read the held-out part with the exported model."""
    if problem.unseen:
        files = problem.files
        chosen = unseen(files.train, files.taxonomy, files.held_out, seed)
        return Prediction(chosen.astype(float), chosen)
    if problem.before is not None:
        return late_code(problem.before, problem.files, problem.held.comments, seed)
    return train_and_read(problem.files, problem.held.comments, seed)


def train_and_read(files: Converted, comments: list[str], seed: int) -> Prediction:
    """Train on files as ``whyscore train --seed`` does, and read comments."""
    with _settings() as settings:
        trained = train(files.train, files.taxonomy, settings, fit=FitSettings(seed=seed))
        return read_registered(trained, files.taxonomy, comments, settings)


@contextmanager
def _settings() -> Iterator[Settings]:
    """Give a home folder and a registry of its own to each measurement."""
    with tempfile.TemporaryDirectory(prefix="whyscore-quality-") as home:
        yield settings_in(Path(home))


def settings_in(home: Path) -> Settings:
    """Give settings whose home and registry lie in a folder, whatever the environment names."""
    return Settings(home=home, registry_uri=f"sqlite:///{home}/mlflow.sqlite")


def _uri(trained: TrainedModel, settings: Settings) -> str:
    return f"models:/{settings.model_name}/{trained.registered.version}"


def read_registered(
    trained: TrainedModel, taxonomy: Path, comments: list[str], settings: Settings
) -> Prediction:
    """Read comments with the exported model; codes in the order of the taxonomy."""
    tagger = CommentTagger.load(find_model(_uri(trained, settings), settings).folder, settings.threads)
    codes = tagger.description.codes
    places = [codes.index(code) for code in read_taxonomy(taxonomy).active]
    probabilities = tagger.probabilities(comments)
    chosen = decide(probabilities, tagger.description.threshold_array())
    return Prediction(probabilities[:, places], chosen[:, places], _plain(trained.summary))


def unseen(train_file: Path, taxonomy_file: Path, held_out_file: Path, seed: int = 0) -> Booleans:
    """Read comments for a code that every training annotation is too old to know.

    Parameters
    ----------
    train_file
        Annotations of version 1 of the taxonomy, in which the code is unknown.
    taxonomy_file
        Version 2, which has the code with name, definition and examples.
    held_out_file
        Annotations of version 2; only their comments may be used.

    Returns
    -------
    ndarray of shape (n_held_out, n_codes, n_polarities)
        The pairs that apply, codes in the order of the taxonomy.
    """
    files = Converted(taxonomy_file, train_file, held_out_file)
    key = (files.digest(), seed)
    if key not in _READ:  # codes that are unseen together share one training
        held = read_annotations(held_out_file, read_taxonomy(taxonomy_file))
        _READ[key] = train_and_read(files, [annotation.comment for annotation in held], seed).chosen
    return _READ[key]


def late_code(before: Converted, after: Converted, comments: list[str], seed: int) -> Prediction:
    """Learn a code that came late as ``whyscore train --from MODEL --new-codes`` does, and read comments.

    Parameters
    ----------
    before
        Taxonomy and annotations without the code: what the model in use was trained on.
    after
        Taxonomy with the code, and the same annotations, of which 25 that have it and 100 that do not are
        of the version that knows it.
    seed
        Drew the 125; the former model is the same for all of them.
    """
    settings, model = _former(before)
    added = refit(after.train, after.taxonomy, model, settings, regime="new-codes", seed=seed)
    return read_registered(added, after.taxonomy, comments, settings)


def _former(before: Converted) -> tuple[Settings, str]:
    """Give the model in use before the code came, and where it is registered; trained once for all draws."""
    key = before.digest()
    if key not in _FORMER:
        settings = _KEPT.enter_context(_settings())
        model = train(before.train, before.taxonomy, settings, fit=FitSettings(seed=0))
        _FORMER[key] = settings, _uri(model, settings)
    return _FORMER[key]


def _plain(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if isinstance(value, int | float | str | None)}
