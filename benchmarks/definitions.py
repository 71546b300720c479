"""The simple way to find an unseen code: comments that resemble its name, definition and examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from measurement import Floats, Prediction, Problem, empty_probabilities
from numpy.typing import NDArray
from scipy.special import expit

from model.definitions import code_texts

_GRID = np.arange(0.0, 4.01, 0.1)


def by_definition(
    problem: Problem,
    train: Any,
    held: Any,
    features: Callable[[Sequence[str]], Any],
    estimator: Any,
) -> Prediction:
    """Find the unseen code by likeness, at a threshold tuned on the codes that training knows.

    A comment's likeness to a code is the mean of its cosines with the code's texts, standardised over the
    training comments so that one threshold serves all codes. The polarity is the comment's likeliest, from
    a model of the polarities of those codes.

    Parameters
    ----------
    train, held
        Features of the comments, rows of length 1.
    features
        Gives the same features of other texts.
    estimator
        A scikit-learn classifier for the polarity.
    """
    place = problem.place
    assert place is not None
    likeness = np.stack(
        [_likeness(features(code_texts(problem.taxonomy[code])), train) for code in problem.labels.codes], 1
    )
    means, spreads = likeness.mean(axis=0), np.maximum(likeness.std(axis=0), 1e-9)
    polarity = _polarity_model(problem, train, estimator)
    others = np.flatnonzero(problem.train.known.any(axis=0)).tolist()
    threshold = _tune(problem, (likeness - means) / spreads, polarity(train), others)
    texts = features(code_texts(problem.taxonomy[problem.labels.codes[place]]))
    found = (_likeness(texts, held) - means[place]) / spreads[place]
    likeliest = polarity(held)
    probabilities = empty_probabilities(problem, held.shape[0])
    probabilities[np.arange(len(found)), place, likeliest] = expit(found - threshold)
    chosen = np.zeros(probabilities.shape, np.bool_)
    chosen[np.arange(len(found)), place, likeliest] = found >= threshold
    return Prediction(probabilities, chosen, {"threshold": round(float(threshold), 2)})


def _likeness(texts: Any, comments: Any) -> NDArray[np.float64]:
    return np.asarray((comments @ texts.T).mean(axis=1), np.float64).ravel()


def _polarity_model(problem: Problem, train: Any, estimator: Any) -> Callable[[Any], NDArray[np.intp]]:
    """Learn a comment's polarity from each polarity that any of its known codes has."""
    rows, polarities = np.nonzero(problem.train.present.any(axis=1))
    model = estimator.fit(train[rows], polarities)
    return lambda features: np.asarray(model.predict(features), np.intp)


def _tune(problem: Problem, likeness: Floats, polarity: NDArray[np.intp], others: list[int]) -> float:
    """Give the threshold with the best mean pair F1 of the other codes."""
    present = problem.train.present > 0
    right = np.take_along_axis(present, polarity[:, None, None], axis=2)[..., 0]
    truth = present.sum(axis=(0, 2))

    def mean_f1(threshold: float) -> float:
        picked = likeness >= threshold
        hits = (picked & right).sum(axis=0)
        return float(np.mean([2 * hits[i] / max(1, picked[:, i].sum() + truth[i]) for i in others]))

    return float(max(_GRID, key=mean_f1))
