"""From probabilities to tags: thresholds, and one polarity for each code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# A pair seen this many times in the validation part weighs its own best threshold and the common one alike.
_SHRINKAGE = 20.0
_GRID = np.round(np.arange(0.10, 0.86, 0.02), 2)


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
    """Choose thresholds that maximise F1 on out-of-sample comments.

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
    weight = np.broadcast_to(known[..., None], present.shape)
    shape = present.shape[1:]
    if not float((present * weight).sum()):
        return np.full(shape, 0.5)
    likeliest = probabilities * (probabilities == probabilities.max(axis=-1, keepdims=True))
    hits = np.empty((len(_GRID), *shape))
    picked = np.empty((len(_GRID), *shape))
    for i, threshold in enumerate(_GRID):
        chosen = (likeliest >= threshold) * weight
        picked[i], hits[i] = chosen.sum(axis=0), (chosen * present).sum(axis=0)
    positives = (present * weight).sum(axis=0)
    micro = 2 * hits.sum(axis=(1, 2)) / (picked.sum(axis=(1, 2)) + positives.sum())
    common = float(_GRID[_middle_of_best(micro)])
    own_f1 = 2 * hits / np.maximum(picked + positives, 1.0)
    own = _GRID[np.apply_along_axis(_middle_of_best, 0, own_f1)]
    trust = positives / (positives + _SHRINKAGE)
    thresholds: NDArray[np.float64] = trust * own + (1 - trust) * common
    return thresholds


def _middle_of_best(values: NDArray[np.float64]) -> int:
    """Give the middle of the indices that share the greatest value: the steadiest of equals."""
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return int(best[len(best) // 2])
