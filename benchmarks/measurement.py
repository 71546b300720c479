"""One measurement: what a method may learn from, what it says of the held-out part, and the figures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from measuring_sets import Converted
from numpy.typing import NDArray

from data.annotations import POLARITIES, Target, read_annotations, to_target
from data.taxonomy import Taxonomy, read_taxonomy
from model.decision import decide, tune_thresholds
from model.labels import LabelSpace
from training.evaluation import Score, evaluate
from training.split import split_by_text

Floats = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """Comments with their targets, and these as arrays (see `LabelSpace.encode`)."""

    comments: list[str]
    targets: list[Target]
    present: NDArray[np.float32]
    known: NDArray[np.float32]

    def rows(self, chosen: Sequence[int] | NDArray[np.intp]) -> Part:
        """Give the part of those rows."""
        rows = [int(row) for row in chosen]
        return Part(
            [self.comments[row] for row in rows],
            [self.targets[row] for row in rows],
            self.present[rows],
            self.known[rows],
        )


@dataclass(frozen=True)
class Problem:
    """What is given to a method.

    Attributes
    ----------
    files
        The same in the product's formats.
    train, held
        The targets of `held` are for the figures only.
    single
        Every comment has exactly one code, and the likeliest is the answer.
    code
        The code that the measurement is about: unseen in training, or known in few annotations.
    before
        Where a code came late: the files in which it did not exist yet.
    """

    files: Converted
    taxonomy: Taxonomy
    labels: LabelSpace
    train: Part
    held: Part
    single: bool = False
    code: str | None = None
    before: Converted | None = None

    @property
    def place(self) -> int | None:
        """Where the code stands among the labels."""
        return None if self.code is None else self.labels.codes.index(self.code)

    @property
    def unseen(self) -> bool:
        """Whether no training annotation knows the code."""
        return self.place is not None and not self.train.known[:, self.place].any()


@dataclass(frozen=True)
class Prediction:
    """What a method says of the held-out part.

    Attributes
    ----------
    probabilities, chosen
        Shape (n_comments, n_codes, n_polarities); `chosen` are the pairs that apply.
    notes
        Facts about the training, in plain JSON values.
    """

    probabilities: Floats
    chosen: Booleans
    notes: dict[str, Any] = field(default_factory=dict)


def read_problem(
    files: Converted, *, single: bool = False, code: str | None = None, before: Converted | None = None
) -> Problem:
    """Read a protocol's files."""
    taxonomy = read_taxonomy(files.taxonomy)
    labels = LabelSpace(taxonomy.active)
    train, held = (_part(path, taxonomy, labels) for path in (files.train, files.held_out))
    return Problem(files, taxonomy, labels, train, held, single, code, before)


def _part(path: Path, taxonomy: Taxonomy, labels: LabelSpace) -> Part:
    rows = list(read_annotations(path, taxonomy))
    targets = [to_target(row, taxonomy) for row in rows]
    return Part([row.comment for row in rows], targets, *labels.encode(targets))


def shrink(problem: Problem, rows: int) -> Problem:
    """Keep a random handful of each part, in the files too, to see that a method goes through."""
    for files in (problem.files, problem.before):
        for path, most in ((files.train, rows), (files.held_out, rows // 2)) if files else ():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            sample = random.Random(0).sample(lines, min(most, len(lines)))
            path.write_text("".join(sample), encoding="utf-8")
    return read_problem(problem.files, single=problem.single, code=problem.code, before=problem.before)


def set_apart(part: Part) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the rows to fit on, and those that the product, too, sets apart to stop and to set thresholds."""
    split = split_by_text(part.comments)
    return np.sort(np.concatenate([split.train, split.test])), split.validation


def thresholds_of(probabilities: Floats, part: Part) -> NDArray[np.float64]:
    """Tune thresholds as the product does, on comments that the method was not fitted on."""
    return tune_thresholds(probabilities, part.present, part.known)


def score(probabilities: Floats, part: Part, thresholds: Floats, single: bool) -> float:
    """Give what a method's settings are chosen by: accuracy, or micro-F1 over the known pairs."""
    if single:
        return accuracy(probabilities, part)
    chosen = decide(probabilities, thresholds)
    return _pair_f1(chosen, part) or 0.0


def accuracy(probabilities: Floats, part: Part) -> float:
    """Give the share of comments whose likeliest code is theirs."""
    likeliest = probabilities.max(axis=-1).argmax(axis=-1)
    codes = np.max(part.present, axis=-1)
    return float(codes[np.arange(len(likeliest)), likeliest].mean())


def figures_of(problem: Problem, prediction: Prediction) -> dict[str, Any]:
    """Give every figure of a measurement in plain JSON values.

    Besides those of `training.evaluation`: ``pair_f1_of_code``, over the three pairs of each code, and
    ``pair_f1_of_others``, over the pairs of all other codes; ``accuracy`` where each comment has one code.
    """
    codes, held = problem.labels.codes, problem.held
    found = evaluate(prediction.chosen, held.present, held.known, codes).to_dict()
    found["pair_f1_of_code"] = {code: _pair_f1(prediction.chosen, held, [i]) for i, code in enumerate(codes)}
    found["pair_f1_of_others"] = {
        code: _pair_f1(prediction.chosen, held, [j for j in range(len(codes)) if j != i])
        for i, code in enumerate(codes)
    }
    if problem.single:
        found["accuracy"] = accuracy(prediction.probabilities, held)
        for name in ("pairs", "pair_f1_of_code", "pair_f1_of_others"):
            del found[name]
    return found


def _pair_f1(chosen: Booleans, part: Part, places: list[int] | None = None) -> float | None:
    """Give the micro-F1 over the pairs of some codes, where they are known."""
    axis = slice(None) if places is None else places
    counted = (part.known[:, axis] > 0)[..., None]
    picked, true = chosen[:, axis] & counted, (part.present[:, axis] > 0) & counted
    hits = int((picked & true).sum())
    return Score(hits, int(picked.sum()) - hits, int(true.sum()) - hits).f1


def empty_probabilities(problem: Problem, comments: int) -> NDArray[np.float64]:
    """Give zeros of shape (comments, n_codes, n_polarities)."""
    return np.zeros((comments, len(problem.labels.codes), len(POLARITIES)))
