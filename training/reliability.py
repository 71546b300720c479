"""Reliability: whether a probability of 0.8 is right in 8 cases of 10, on unseen comments."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

_BINS = 15
_SIMULATIONS = 20


@dataclass(frozen=True)
class CodeReliability:
    """Figures of one code: what is forecast is that its likeliest polarity applies, as a tag says.

    Attributes
    ----------
    ece
        Expected calibration error (Naeini, Cooper and Hauskrecht 2015): the mean distance between the
        forecast and the share that came true, over 15 bins of equal width, weighted by their comments.
    ece_adaptive
        The same over 15 bins of equal numbers of comments.
    ece_of_chance
        What `ece` is on average where the forecasts are exactly right: no fewer comments can show less.
    brier
        The mean squared distance between forecast and outcome, over the code's pairs.
    """

    ece: float
    ece_adaptive: float
    ece_of_chance: float
    brier: float


@dataclass(frozen=True)
class Reliability:
    """Figures of each code that is mentioned, and their means."""

    codes: dict[str, CodeReliability]

    def to_dict(self) -> dict[str, float]:
        """Give the means over the codes, and the greatest `ece`, as plain JSON values."""
        if not self.codes:
            return {}
        rows = [asdict(code) for code in self.codes.values()]
        means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        return means | {"ece_worst": max(row["ece"] for row in rows)}


def measure_reliability(
    probabilities: Floats, present: Floats, known: Floats, codes: tuple[str, ...]
) -> Reliability:
    """Compare probabilities with what was annotated.

    Parameters
    ----------
    probabilities, present
        Shape (n, n_codes, n_polarities).
    known
        Shape (n, n_codes); 0 leaves a code of a comment out.
    codes
        Names of the second axis; one that is mentioned nowhere is left out.
    """
    found = {}
    for i, code in enumerate(codes):
        rows = known[:, i] > 0
        forecast = probabilities[rows, i].astype(np.float64)
        outcome = present[rows, i].astype(np.float64)
        if not outcome.sum():
            continue
        likeliest = forecast.argmax(axis=1)[:, None]
        shown = np.take_along_axis(forecast, likeliest, axis=1)[:, 0]
        came = np.take_along_axis(outcome, likeliest, axis=1)[:, 0]
        found[code] = CodeReliability(
            expected_calibration_error(shown, came),
            expected_calibration_error(shown, came, adaptive=True),
            _error_of_chance(shown),
            float(((forecast - outcome) ** 2).mean()),
        )
    return Reliability(found)


def expected_calibration_error(
    forecast: Floats, outcome: Floats, bins: int = _BINS, adaptive: bool = False
) -> float:
    """Give the expected calibration error of forecasts, shape (n,), of what came true (1) or not (0).

    Parameters
    ----------
    bins
        Of equal width, from 0 to 1.
    adaptive
        Let the bins hold equal numbers of forecasts instead.
    """
    if not len(forecast):
        return 0.0
    if adaptive:
        place = np.empty(len(forecast), np.intp)
        place[np.argsort(forecast, kind="stable")] = np.arange(len(forecast)) * bins // len(forecast)
    else:
        place = np.minimum((forecast * bins).astype(np.intp), bins - 1)
    gaps = np.bincount(place, weights=forecast - outcome, minlength=bins)
    return float(np.abs(gaps).sum() / len(forecast))


def _error_of_chance(forecast: Doubles) -> float:
    random = np.random.default_rng(0)
    drawn = [
        expected_calibration_error(forecast, (random.random(len(forecast)) < forecast).astype(np.float64))
        for _ in range(_SIMULATIONS)
    ]
    return float(np.mean(drawn))
