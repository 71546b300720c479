"""By how much an engine's rounding moves F1: what was seen, what of it is chance, and what to expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.decision import decide

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class F1Move:
    """How F1 differs from that in full precision, all from 0 to 1.

    Attributes
    ----------
    f1
        Pair micro-F1 against the labels.
    seen
        By how much that moved. On a few comments one decision moves it by more than any rounding should.
    error
        Standard error of `seen`.
    expected
        By how much F1 moves where each pair applies with the probability that full precision gives it.
    """

    f1: float
    seen: float
    error: float
    expected: float


@dataclass(frozen=True)
class LabelledPart:
    """What people said of the comments that engines are compared on.

    Attributes
    ----------
    present
        Shape (n, n_codes, n_polarities).
    known
        Shape (n, n_codes).
    thresholds
        Shape (n_codes, n_polarities).
    """

    present: Floats
    known: Floats
    thresholds: Floats

    def move(self, found: Floats, right: Floats) -> F1Move:
        """Compare an engine's calibrated probabilities with those in full precision.

        Parameters
        ----------
        found, right
            Shape (n, n_codes, n_polarities).

        Notes
        -----
        F1 is 2 h / (c + p), with the hits h among the c chosen pairs and p that apply. To first order a
        comment moves it by (2 dh - F1 dc) / (c + p); the standard error is the root of the sum of the
        squares of these (the delta method). Given calibrated probabilities the hits to expect are their
        sum over the chosen pairs (Lipton, Elkan and Naryanaswamy 2014), which no labels' chance disturbs.
        """
        weight = self.known[..., None]
        own, other = (decide(one, self.thresholds) * weight for one in (found, right))
        before, after = _f1(other, self.present, weight), _f1(own, self.present, weight)
        size = max(float(other.sum() + (self.present * weight).sum()), 1.0)
        apart = own - other
        each = (2 * (apart * self.present).sum(axis=(1, 2)) - before * apart.sum(axis=(1, 2))) / size
        expected = _f1(own, right, weight) - _f1(other, right, weight)
        return F1Move(after, after - before, float(np.sqrt(np.square(each).sum())), expected)


def _f1(chosen: Floats, present: Floats, weight: Floats) -> float:
    both = float((chosen * present).sum())
    return 2 * both / max(float(chosen.sum() + (present * weight).sum()), 1e-12)
