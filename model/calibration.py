"""Calibration: probabilities that mean what they say, by a monotone map of each pair's logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Rows = tuple[tuple[float, ...], ...]

# How far a pair's scale and shift may stand from the common ones before the comments have to insist: standard
# deviations of a normal prior. Chosen by log-loss on random validation parts.
_PAIR_SPREAD = np.array([0.1, 0.25])
# The common map stays the identity where there is next to nothing to learn from.
_COMMON_SPREAD = np.array([1.0, 2.0])
# A map that falls, or that is flat, would undo what the network learned.
_LEAST_SCALE = 0.1
_EDGE = 1e-7
_ITERATIONS = 60


@dataclass(frozen=True)
class Calibration:
    """The map of each pair: the calibrated logit is ``scale * logit + shift``.

    Attributes
    ----------
    scale, shift
        For each code, one for each polarity; every scale is positive, so no pair's order of comments changes.
    """

    scale: Rows
    shift: Rows

    def apply(self, probabilities: Floats) -> NDArray[np.float32]:
        """Calibrate probabilities of shape (n, n_codes, n_polarities)."""
        scale, shift = np.asarray(self.scale), np.asarray(self.shift)
        calibrated = _sigmoid(_logit(probabilities) * scale + shift)
        # The identity leaves every bit as it is.
        return np.where((scale == 1.0) & (shift == 0.0), probabilities, calibrated).astype(np.float32)


def fit_calibration(probabilities: Floats, present: Floats, known: Floats) -> Calibration:
    """Fit the map on comments that the network was not fitted on.

    One scale and shift are common to all pairs (Platt 1999, "Probabilistic outputs for support vector
    machines"). Each pair's own are drawn from a normal around them, so that a pair seen often follows
    its own comments and a rare one the common map; both are at the mode of the posterior.

    Parameters
    ----------
    probabilities, present
        Shape (n, n_codes, n_polarities): the network's, and 1 where the pair applies.
    known
        Shape (n, n_codes); 0 leaves a code of a comment out.

    Returns
    -------
    Calibration
        The identity for codes that no comment knows.
    """
    shape = probabilities.shape[1:]
    logits = _logit(probabilities)
    weight = np.broadcast_to(np.asarray(known, np.float64)[..., None], logits.shape)
    identity = np.array([[1.0, 0.0]])
    common = _posterior_mode(
        logits.reshape(-1, 1), present.reshape(-1, 1), weight.reshape(-1, 1), identity, _COMMON_SPREAD
    )
    flat = (len(logits), shape[0] * shape[1])
    own = _posterior_mode(
        logits.reshape(flat), present.reshape(flat), weight.reshape(flat), common, _PAIR_SPREAD
    )
    told = weight.any(axis=0)
    scale = np.where(told, np.maximum(own[:, 0], _LEAST_SCALE).reshape(shape), 1.0)
    return Calibration(_rows(scale), _rows(np.where(told, own[:, 1].reshape(shape), 0.0)))


def fit_common_map(
    probabilities: Floats, present: Floats, spread: tuple[float, float]
) -> tuple[float, float]:
    """Fit one scale and shift for all pairs, drawn to the identity.

    Parameters
    ----------
    probabilities, present
        Shape (n, pairs).
    spread
        Standard deviations of the normal prior of scale and shift.
    """
    flat = _logit(probabilities).reshape(-1, 1)
    found = _posterior_mode(
        flat, present.reshape(-1, 1), np.ones_like(flat), np.array([[1.0, 0.0]]), np.asarray(spread)
    )[0]
    return max(float(found[0]), _LEAST_SCALE), float(found[1])


def _posterior_mode(
    logits: Doubles, present: Floats, weight: Doubles, centre: Doubles, spread: Doubles
) -> Doubles:
    """Give scale and shift of each column by Newton's method, shape (columns, 2); steps of at most 1."""
    prior = 1.0 / spread**2
    found = np.broadcast_to(centre, (logits.shape[1], 2)).copy()
    for _ in range(_ITERATIONS):
        mean = _sigmoid(found[:, 0] * logits + found[:, 1])
        residual, curve = weight * (mean - present), weight * mean * (1.0 - mean)
        slope = np.stack([(residual * logits).sum(axis=0), residual.sum(axis=0)], axis=-1)
        slope += prior * (found - centre)
        bend = np.empty((len(found), 2, 2))
        bend[:, 0, 0], bend[:, 1, 1] = (curve * logits**2).sum(axis=0), curve.sum(axis=0)
        bend[:, 0, 1] = bend[:, 1, 0] = (curve * logits).sum(axis=0)
        bend += np.diag(prior)
        step = np.linalg.solve(bend, slope[..., None])[..., 0]
        step /= np.maximum(1.0, np.abs(step).max(axis=1, keepdims=True))
        found -= step
        if np.abs(step).max(initial=0.0) < 1e-9:
            break
    return found


def _logit(probabilities: Floats) -> Doubles:
    inner = np.clip(np.asarray(probabilities, np.float64), _EDGE, 1.0 - _EDGE)
    logits: Doubles = np.log(inner) - np.log1p(-inner)
    return logits


def _sigmoid(logits: Doubles) -> Doubles:
    # Not 1 / (1 + exp(-x)): that overflows where x is very negative.
    halves: Doubles = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return halves


def _rows(values: Doubles) -> Rows:
    return tuple(tuple(round(float(value), 6) for value in row) for row in values)
