"""From probabilities to tags: thresholds, and one polarity for each code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# A pair seen this many times in the validation part weighs its own best threshold and the common one alike.
_SHRINKAGE = 20.0
_GRID = np.round(np.arange(0.10, 0.86, 0.02), 2)
# Of thresholds derived from probabilities: how far a pair's own may draw it from the common one, and the
# expected mentions at which it draws half as far.
_OWN_SHARE = 0.7
_FEW_MENTIONS = 3.0
_FINE_GRID = np.round(np.arange(0.02, 0.99, 0.02), 2)


def decide(probabilities: Floats, thresholds: Floats) -> NDArray[np.bool_]:
    """Choose the pairs that apply: for each code its likeliest polarity, if that reaches its threshold.

    Parameters
    ----------
    probabilities
        Shape (n, n_codes, n_polarities).
    thresholds
        Shape (n_codes, n_polarities).

    Returns
    -------
    ndarray of shape (n, n_codes, n_polarities)
    """
    best = probabilities == probabilities.max(axis=-1, keepdims=True)
    chosen: NDArray[np.bool_] = best & (probabilities >= thresholds)
    return chosen


def tune_thresholds(probabilities: Floats, present: Floats, known: Floats) -> NDArray[np.float64]:
    """Choose thresholds that maximise F1 on out-of-sample comments, whatever the probabilities mean.

    The common threshold maximises micro-F1 over all pairs; each pair's own best is shrunk towards it
    by how often the pair was seen, so that rare codes do not follow noise.

    Parameters
    ----------
    probabilities, present
        Shape (n, n_codes, n_polarities), of comments that the classifier was not fitted on.
    known
        Shape (n, n_codes).

    Returns
    -------
    ndarray of shape (n_codes, n_polarities)
    """
    hits, picked, positives = _curves(probabilities, present, known, _GRID)
    if not positives.sum():
        return np.full(present.shape[1:], 0.5)
    common, own = _best(hits, picked, positives, _GRID, 1.0)
    trust = positives / (positives + _SHRINKAGE)
    thresholds: NDArray[np.float64] = trust * own + (1 - trust) * common
    return thresholds


def derive_thresholds(probabilities: Floats, known: Floats, beta: float = 1.0) -> NDArray[np.float64]:
    """Choose thresholds that maximise the F-beta which calibrated probabilities let one expect.

    No labels are needed: where probabilities mean what they say, so do the hits expected above a threshold
    (Lipton, Elkan and Naryanaswamy 2014, "Optimal thresholding of classifiers to maximize F1 measure"). The
    common threshold maximises F-beta over all pairs together, a pair's own that of the pair; a pair of which
    few mentions are expected stays near the common one.

    Parameters
    ----------
    probabilities
        Calibrated, shape (n, n_codes, n_polarities).
    known
        Shape (n, n_codes).
    beta
        What recall is worth beside precision: below 1 the thresholds rise, above 1 they fall.

    Returns
    -------
    ndarray of shape (n_codes, n_polarities)
    """
    hits, picked, positives = _curves(probabilities, probabilities, known, _FINE_GRID)
    if not positives.sum():
        return np.full(probabilities.shape[1:], 0.5)
    common, own = _best(hits, picked, positives, _FINE_GRID, beta)
    trust = _OWN_SHARE * positives / (positives + _FEW_MENTIONS)
    thresholds: NDArray[np.float64] = trust * own + (1 - trust) * common
    return thresholds


def common_threshold(probabilities: Floats, weight: Floats, beta: float = 1.0) -> float:
    """Choose one threshold for a code's polarities by the F-beta which calibrated probabilities let expect.

    Parameters
    ----------
    probabilities
        Calibrated, shape (n, n_polarities).
    weight
        What share of all comments each stands for, shape (n,).
    beta
        As `derive_thresholds` takes it.
    """
    found = probabilities[:, None]
    return _best(*_curves(found, found, weight[:, None], _FINE_GRID), _FINE_GRID, beta)[0]


def _curves(
    probabilities: Floats, present: Floats, known: Floats, grid: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Give, for each threshold and pair, hits and picked pairs; and for each pair how often it applies."""
    weight = np.broadcast_to(known[..., None], present.shape)
    likeliest = probabilities * (probabilities == probabilities.max(axis=-1, keepdims=True))
    hits, picked = (np.empty((len(grid), *present.shape[1:])) for _ in range(2))
    for i, threshold in enumerate(grid):
        chosen = (likeliest >= threshold) * weight
        picked[i], hits[i] = chosen.sum(axis=0), (chosen * present).sum(axis=0)
    positives: NDArray[np.float64] = (present * weight).sum(axis=0).astype(np.float64)
    return hits, picked, positives


def _best(
    hits: NDArray[np.float64],
    picked: NDArray[np.float64],
    positives: NDArray[np.float64],
    grid: NDArray[np.float64],
    beta: float,
) -> tuple[float, NDArray[np.float64]]:
    """Give the threshold that is best for all pairs together, and the one that is best for each."""
    worth = beta * beta
    micro = (1 + worth) * hits.sum(axis=(1, 2)) / (picked.sum(axis=(1, 2)) + worth * positives.sum())
    own = (1 + worth) * hits / np.maximum(picked + worth * positives, 1e-9)
    return float(grid[_middle_of_best(micro)]), grid[np.apply_along_axis(_middle_of_best, 0, own)]


def _middle_of_best(values: NDArray[np.float64]) -> int:
    """Give the middle of the indices that share the greatest value: the steadiest of equals."""
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return int(best[len(best) // 2])
