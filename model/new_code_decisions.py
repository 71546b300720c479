"""How the scores of a code with few reviewed comments become tags: calibration, thresholds, what to expect.

The reviewed comments were picked for holding the code, so they tell how likely comments with it and without
it score, but not how many comments hold it. Comments that nobody reviewed for it tell that. The fewer the
examples, the nearer all stays to what is usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from data.annotations import POLARITIES
from model.calibration import fit_common_map
from model.decision import common_threshold, decide
from model.operating_points import BALANCED, BETA, POINT_NAMES, PRIOR_COUNT, Expectation, PointName

Floats = NDArray[np.float64]

# How far scale and shift of the fit's own logits may stand from the identity before examples have to insist:
# standard deviations of a normal prior. Measured, as what follows, in ``docs/decisions``.
_SPREAD = (0.3, 0.5)
LEAST_UNREVIEWED = 200
MANY_REVIEWED = 1000
USUAL_SHARE = 0.1
"""Of all comments that hold a code."""
_SHARE_EXAMPLES = 10.0
"""As many examples weigh as much as `USUAL_SHARE`."""
_THRESHOLD_EXAMPLES = 2.0
"""As many examples weigh as much as the other codes' thresholds."""


@dataclass(frozen=True, eq=False)
class NewCodeDecision:
    """How a new code is decided.

    Attributes
    ----------
    scale, shift
        Of its calibration, alike for all polarities (see `model.calibration.Calibration`).
    thresholds, expected
        For each operating point: alike for all polarities, and what that gives.
    out_of_fold
        Calibrated probabilities of the reviewed comments, shape (n_reviewed, n_polarities).
    """

    scale: float
    shift: float
    thresholds: dict[PointName, float]
    expected: dict[PointName, Expectation]
    out_of_fold: Floats


def decide_new_code(
    out_of_fold: Floats,
    target: Floats,
    elsewhere: Floats,
    usual: Mapping[PointName, float],
    *,
    presumed: bool = False,
) -> NewCodeDecision:
    """Choose calibration and thresholds of a code, and say what they are expected to give.

    Parameters
    ----------
    out_of_fold, target
        Logits of the reviewed comments by fits without each, and what applies to them; shape
        (n_reviewed, n_polarities). At least one comment holds the code.
    elsewhere
        Logits of comments that nobody reviewed for the code, shape (n_others, n_polarities).
    usual
        Thresholds of the model's other codes at the points that it has.
    presumed
        Whether comments that nobody reviewed stand in for those without the code. What is learnt from them
        says nothing of how many hold it: the usual share is taken.
    """
    positive: NDArray[np.bool_] = np.any(target, axis=1)
    count = int(positive.sum())
    scale, shift = fit_common_map(expit(out_of_fold), target, _SPREAD)
    fitted = min(count / len(positive), 0.99)
    if len(elsewhere) >= LEAST_UNREVIEWED:
        others, reviewed = (expit(scale * part + shift).max(axis=1) for part in (elsewhere, out_of_fold))
        share = _drawn(share_of_positives(others, reviewed, positive), 0 if presumed else count)
        pool, weight = elsewhere, np.full(len(elsewhere), 1 / len(elsewhere))
    else:
        share = fitted if len(positive) >= MANY_REVIEWED else min(fitted, USUAL_SHARE)
        pool, weight = out_of_fold, _weights_at(share, positive)
    # From the share of the reviewed comments to that of all: Saerens, Latinne and Decaestecker 2002,
    # "Adjusting the outputs of a classifier to new a priori probabilities".
    shift += float(logit(share) - logit(fitted))
    own, all_comments = expit(scale * out_of_fold + shift), expit(scale * pool + shift)
    trial = _Trial(_Sample(own, _weights_at(share, positive)), target, _Sample(all_comments, weight))
    own_cuts = trial.thresholds()
    # A few examples tell the share of a code badly; what the fit itself calls even odds does not hang on it.
    steady = float(expit((logit(own_cuts[BALANCED]) + shift) / 2))
    own_cuts[BALANCED] = min(max(steady, own_cuts["high_recall"]), own_cuts["high_precision"])
    thresholds = {name: _towards_usual(cut, usual.get(name), count) for name, cut in own_cuts.items()}
    expected = {name: trial.expect(threshold) for name, threshold in thresholds.items()}
    return NewCodeDecision(scale, shift, thresholds, expected, own)


def share_of_positives(elsewhere: Floats, reviewed: Floats, positive: NDArray[np.bool_]) -> float:
    """Estimate the share of positives among comments from the mean of their probabilities.

    Parameters
    ----------
    elsewhere
        Probabilities of the comments, shape (n,).
    reviewed, positive
        Probabilities of other comments, by fits without each, and which of them are positive.

    Returns
    -------
    float
        Between 0.01 and 0.5.

    References
    ----------
    Bella, Ferri, Hernandez-Orallo and Ramirez-Quintana 2010, "Quantification via probability estimators".
    """
    high = float(reviewed[positive].mean())
    low = float(reviewed[~positive].mean()) if not positive.all() else 0.0
    return float(np.clip((elsewhere.mean() - low) / max(0.05, high - low), 0.01, 0.5))


def _drawn(share: float, count: int) -> float:
    """Draw an estimated share towards the usual one."""
    trust = count / (count + _SHARE_EXAMPLES)
    return float(expit(trust * logit(share) + (1 - trust) * logit(USUAL_SHARE)))


def _weights_at(share: float, positive: NDArray[np.bool_]) -> Floats:
    """Give weights under which the reviewed comments hold that share of positives; they sum to 1."""
    count = positive.sum()
    rest = (1 - share) / max(1, len(positive) - count)
    weights: Floats = np.where(positive, share / count, rest)
    weights /= weights.sum()
    return weights


@dataclass(frozen=True, eq=False)
class _Sample:
    """Comments that stand for all: calibrated probabilities, and what share of all each stands for."""

    probabilities: Floats
    weight: Floats

    def total(self, each: Floats | NDArray[np.bool_]) -> float:
        """Give the sum over pairs for a comment of the mean."""
        return float((each.sum(axis=1) * self.weight).sum())


@dataclass(frozen=True, eq=False)
class _Trial:
    """Reviewed comments with what applies to them, and many that tell how the code is scored."""

    reviewed: _Sample
    target: Floats
    pool: _Sample

    def thresholds(self) -> dict[PointName, float]:
        """Choose a threshold for each point."""
        likely, weight = self.pool.probabilities, self.pool.weight
        return {name: common_threshold(likely, weight, BETA[name]) for name in POINT_NAMES}

    def expect(self, threshold: float) -> Expectation:
        """Count on the reviewed comments, drawn towards what the probabilities let one expect."""
        cut = np.full(len(POLARITIES), threshold)
        likely, pool = self.pool.probabilities, self.pool
        chosen, own = decide(likely, cut), decide(self.reviewed.probabilities, cut)
        hits, seen = self.reviewed.total(own * self.target), int(self.target.sum())
        likely_hits, likely_tags = pool.total(chosen * likely), pool.total(chosen)
        precision = _towards(
            hits, self.reviewed.total(own), int(own.sum()), likely_hits / likely_tags if likely_tags else None
        )
        recall = _towards(hits, self.reviewed.total(self.target), seen, likely_hits / pool.total(likely))
        return Expectation(precision, recall, seen)


def _towards_usual(cut: float, usual: float | None, count: int) -> float:
    """Draw a threshold towards that of the other codes, where there is one."""
    trust = 1.0 if usual is None else count / (count + _THRESHOLD_EXAMPLES)
    return trust * cut + (1 - trust) * (usual or 0.0)


def _towards(part: float, whole: float, count: int, likely: float | None) -> float | None:
    """Give a share that was counted `count` times, drawn towards the likely one; None where none is known."""
    if likely is None:
        return round(part / whole, 4) if whole else None
    counted = part / whole if whole else 0.0
    return round((count * counted + PRIOR_COUNT * likely) / (count + PRIOR_COUNT), 4)
