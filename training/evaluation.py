"""Metrics of a classifier on comments it was not fitted on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.annotations import POLARITIES
from model.decision import decide
from model.description import ModelDescription
from training.reliability import Reliability, measure_reliability

Booleans = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 from counts; None where the denominator is 0."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def support(self) -> int:
        """How often it truly applies."""
        return self.true_positives + self.false_negatives

    @property
    def precision(self) -> float | None:
        """Share of the predicted that apply."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Share of those that apply which are predicted."""
        return _ratio(self.true_positives, self.support)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of the two; None where nothing applies and nothing is predicted."""
        doubled = 2 * self.true_positives
        return _ratio(doubled, doubled + self.false_positives + self.false_negatives)

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as plain JSON values."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "support": self.support,
        }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True)
class Evaluation:
    """What a classifier reaches on some comments.

    Attributes
    ----------
    comments
        How many.
    pair_micro
        Over all (code, polarity) pairs together.
    pair_macro_f1
        Mean F1 of the pairs that occur.
    code_micro, code_macro_f1
        The same for codes, whatever the polarity.
    codes
        For each code.
    pairs
        For each (code, polarity) that occurs.
    reliability
        Whether the probabilities mean what they say; None where only choices were given.
    points
        For each operating point what was expected of it and what it reached.
    abstained
        Comments of which the model says nothing: they count as read, without a code.
    """

    comments: int
    pair_micro: Score
    pair_macro_f1: float | None
    code_micro: Score
    code_macro_f1: float | None
    codes: dict[str, Score]
    pairs: dict[str, Score]
    reliability: Reliability | None = None
    points: dict[str, dict[str, Any]] = field(default_factory=dict)
    abstained: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as plain JSON values."""
        reliability = self.reliability.codes if self.reliability else {}
        codes = {
            code: score.to_dict() | (asdict(reliability[code]) if code in reliability else {})
            for code, score in self.codes.items()
        }
        return {
            "comments": self.comments,
            "abstained": self.abstained,
            "pair_micro_f1": self.pair_micro.f1,
            "pair_macro_f1": self.pair_macro_f1,
            "pair_precision": self.pair_micro.precision,
            "pair_recall": self.pair_micro.recall,
            "code_micro_f1": self.code_micro.f1,
            "code_macro_f1": self.code_macro_f1,
            **(self.reliability.to_dict() if self.reliability else {}),
            "codes": codes,
            "pairs": {pair: score.to_dict() for pair, score in self.pairs.items()},
            "operating_points": self.points,
        }


def evaluate_model(
    probabilities: Floats,
    present: Floats,
    known: Floats,
    description: ModelDescription,
    abstained: Booleans | None = None,
) -> Evaluation:
    """Evaluate a model at its balanced operating point, its probabilities, and its other points.

    Parameters
    ----------
    probabilities
        Calibrated, shape (n_comments, n_codes, n_polarities).
    present, known
        As `evaluate` takes them.
    description
        Of the model: codes and operating points.
    abstained
        Comments of which the model says nothing, shape (n_comments,); None for none.
    """
    codes = description.codes
    silent = np.zeros(len(probabilities), np.bool_) if abstained is None else abstained
    spoken = ~silent[:, None, None]
    found = evaluate(decide(probabilities, description.threshold_array()) & spoken, present, known, codes)
    points = {}
    for name, point in description.operating_points.items():
        reached = evaluate(decide(probabilities, point.threshold_array()) & spoken, present, known, codes)
        score, expected = reached.pair_micro, point.expected
        points[str(name)] = {
            "expected_precision": expected.precision,
            "precision": score.precision,
            "expected_recall": expected.recall,
            "recall": score.recall,
        }
    reliability = measure_reliability(probabilities, present, known, codes)
    return replace(found, reliability=reliability, points=points, abstained=int(silent.sum()))


def evaluate(chosen: Booleans, present: Floats, known: Floats, codes: tuple[str, ...]) -> Evaluation:
    """Compare predicted pairs with annotated ones.

    Parameters
    ----------
    chosen, present
        Shape (n_comments, n_codes, n_polarities).
    known
        Shape (n_comments, n_codes); 0 leaves a code of a comment out of every figure.
    codes
        Names of the second axis.

    Returns
    -------
    Evaluation
    """
    counted = known > 0
    true: Booleans = np.logical_and(present > 0, counted[..., None])
    predicted: Booleans = np.logical_and(chosen, counted[..., None])
    pair_scores = {
        f"{code}.{polarity}": _score(predicted[:, i, p], true[:, i, p])
        for i, code in enumerate(codes)
        for p, polarity in enumerate(POLARITIES)
        if true[:, i, p].any()
    }
    code_true: Booleans = np.any(true, axis=-1)
    code_predicted: Booleans = np.any(predicted, axis=-1)
    code_scores = {code: _score(code_predicted[:, i], code_true[:, i]) for i, code in enumerate(codes)}
    return Evaluation(
        comments=len(chosen),
        pair_micro=_score(predicted, true),
        pair_macro_f1=_mean_f1([*pair_scores.values()]),
        code_micro=_score(code_predicted, code_true),
        code_macro_f1=_mean_f1([score for score in code_scores.values() if score.support]),
        codes=code_scores,
        pairs=pair_scores,
    )


def _score(predicted: Booleans, true: Booleans) -> Score:
    return Score(
        int((predicted & true).sum()), int((predicted & ~true).sum()), int((~predicted & true).sum())
    )


def _mean_f1(scores: list[Score]) -> float | None:
    return float(np.mean([score.f1 or 0.0 for score in scores])) if scores else None
