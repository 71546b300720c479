"""Operating points: thresholds for those who want to be right, to miss little, or both; what each gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from model.calibration import Calibration, fit_calibration
from model.decision import decide, derive_thresholds

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

PointName = Literal["high_precision", "balanced", "high_recall"]
POINT_NAMES: tuple[PointName, ...] = get_args(PointName)
BALANCED: PointName = "balanced"
# What recall is worth beside precision: F-beta with the beta of each point.
BETA: dict[PointName, float] = {"high_precision": 1 / 3, "balanced": 1.0, "high_recall": 3.0}

_FOLDS = 5
# Counts of a few comments are drawn towards what the probabilities let one expect, as if that had been seen
# this often: nearest to later comments on every measured set.
PRIOR_COUNT = 30.0


def point_named(name: str) -> PointName:
    """Give the operating point of that name; raises `InputError` where there is none."""
    for point in POINT_NAMES:
        if name == point:
            return point
    raise InputError(f"there is no operating point '{name}'; there are {', '.join(POINT_NAMES)}")


@dataclass(frozen=True)
class Expectation:
    """What to expect of new comments like those of the training.

    Attributes
    ----------
    precision
        The share of tags that are right; None where no tag is expected.
    recall
        The share of mentions that are tagged; None where no mention is expected.
    mentions
        How many annotated mentions this stands on, besides the probabilities.
    """

    precision: float | None
    recall: float | None
    mentions: int


@dataclass(frozen=True)
class OperatingPoint:
    """Thresholds of one operating point, and what they are expected to give.

    Attributes
    ----------
    thresholds
        For each code, one for each polarity.
    expected
        Over all pairs.
    codes
        For each code, over its pairs.
    """

    thresholds: tuple[tuple[float, ...], ...]
    expected: Expectation
    codes: dict[str, Expectation]

    def threshold_array(self) -> Doubles:
        """Give the thresholds, shape (n_codes, n_polarities)."""
        return np.asarray(self.thresholds, np.float64)


def choose_operating_points(
    probabilities: Floats,
    present: Floats,
    known: Floats,
    codes: tuple[str, ...],
    untold: Sequence[float] | None = None,
) -> tuple[Calibration, dict[PointName, OperatingPoint]]:
    """Calibrate, and set the thresholds of every operating point.

    What is expected of a point is counted on folds: each fold is decided by a calibration and by thresholds
    that come from the other folds alone.

    Parameters
    ----------
    probabilities, present
        Shape (n, n_codes, n_polarities): of a network, before calibration, on comments that it was not
        fitted on.
    known
        Shape (n, n_codes).
    codes
        Names of the second axis.
    untold
        Balanced thresholds, one for each polarity, of codes that no comment knows; None to give them the
        common ones. Their other points lie as far from these as the common ones from each other.
    """
    calibration = fit_calibration(probabilities, present, known)
    calibrated = calibration.apply(probabilities)
    points: dict[PointName, OperatingPoint] = {}
    folds = _folds(probabilities, present, known)
    for name in POINT_NAMES:
        thresholds = derive_thresholds(calibrated, known, BETA[name])
        if untold is not None:
            _set_untold(thresholds, np.asarray(untold), calibrated, known, name)
        counts = sum((_counts(fold, BETA[name]) for fold in folds), np.zeros((5, len(codes))))
        points[name] = OperatingPoint(
            tuple(tuple(round(float(value), 6) for value in row) for row in thresholds),
            _expect(counts.sum(axis=1)),
            {code: _expect(counts[:, i]) for i, code in enumerate(codes)},
        )
    return calibration, points


def _set_untold(
    thresholds: Doubles, untold: Doubles, calibrated: Floats, known: Floats, name: PointName
) -> None:
    """Set the thresholds of codes that no comment knows, in place."""
    codes = ~known.any(axis=0)
    if codes.all():
        thresholds[:] = untold
        return
    balanced = derive_thresholds(calibrated, known)[~codes]
    distance = np.median(_logit(thresholds[~codes])) - np.median(_logit(balanced))
    thresholds[codes] = 1.0 / (1.0 + np.exp(-(_logit(untold) + distance)))


def _logit(shares: Doubles) -> Doubles:
    logits: Doubles = np.log(shares) - np.log1p(-shares)
    return logits


@dataclass(frozen=True)
class _Fold:
    """Calibrated from other comments: those others, to set thresholds on, and the fold itself."""

    others: Floats
    others_known: Floats
    probabilities: Floats
    present: Floats
    known: Floats


def _folds(probabilities: Floats, present: Floats, known: Floats) -> list[_Fold]:
    n = len(probabilities)
    folds = min(_FOLDS, n)
    # Shuffled, the same way each time: neighbours in a file are often alike.
    place = np.random.default_rng(0).permutation(n) % max(1, folds)
    found = []
    for fold in range(folds if folds > 1 else 0):
        held, others = place == fold, place != fold
        calibration = fit_calibration(probabilities[others], present[others], known[others])
        found.append(
            _Fold(
                calibration.apply(probabilities[others]),
                known[others],
                calibration.apply(probabilities[held]),
                present[held],
                known[held],
            )
        )
    return found


def _counts(fold: _Fold, beta: float) -> Doubles:
    """Give hits, tags, mentions, expected hits and expected mentions of each code, shape (5, n_codes)."""
    thresholds = derive_thresholds(fold.others, fold.others_known, beta)
    weight = fold.known[..., None]
    chosen = decide(fold.probabilities, thresholds) * weight
    parts = (
        chosen * fold.present,
        chosen,
        fold.present * weight,
        chosen * fold.probabilities,
        fold.probabilities * weight,
    )
    return np.stack([part.sum(axis=(0, 2), dtype=np.float64) for part in parts])


def _expect(counts: Doubles) -> Expectation:
    hits, tags, mentions, likely_hits, likely_mentions = (float(count) for count in counts)
    precision = recall = None
    if tags:
        precision = round((hits + PRIOR_COUNT * likely_hits / tags) / (tags + PRIOR_COUNT), 4)
    if likely_mentions:
        recall = round((hits + PRIOR_COUNT * likely_hits / likely_mentions) / (mentions + PRIOR_COUNT), 4)
    return Expectation(precision, recall, int(mentions))
