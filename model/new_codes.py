"""New reason codes on a model that stays as it is: few examples, and the reader's word to start from.

What the reader gathers for a new code from its definition is kept; on it a ridge-penalised logistic
regression, with the reader's own score as its offset, learns what the examples say besides. It is
convex, takes milliseconds, and falls back to the definition where there is little to learn from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from data.text import position
from model.code_decisions import CodeDecisions
from model.code_parameters import CodeParameters
from model.network import ReasonCodeNetwork
from model.new_code_decisions import LEAST_UNREVIEWED, NewCodeDecision, decide_new_code
from model.operating_points import PointName
from model.state_cache import CachedStates
from model.tokens import length_batches

Floats = NDArray[np.float64]

RIDGE = 0.03
"""Weight penalty, in units of a feature vector's mean squared length."""
FOLDS = 5
LEAST_POSITIVES = 2
"""Examples below which a code is read from its definition alone."""
LEAST_NEGATIVES = 5
"""Reviewed comments without the code below which some that nobody reviewed stand in for them."""
LEAST_ALONE = 5
"""Examples that it then takes: fewer teach no more than the definition."""
_STAND_INS = 10  # at least, and as many as there are examples; more of them hold the code unseen


@dataclass(frozen=True, eq=False)
class NewCodes:
    """What examples taught about new codes.

    Attributes
    ----------
    parameters
        Of each code: what the reader says, plus what was learnt.
    decisions
        Calibration and thresholds of each; with too little to learn from those that it had unread.
    out_of_fold
        Calibrated probabilities of comments by a fit without them, shape (n_comments, n_codes, n_polarities);
        NaN where a code was unknown or has too little to learn from.
    """

    parameters: CodeParameters
    decisions: CodeDecisions
    out_of_fold: Floats


@dataclass(frozen=True, eq=False)
class _Views:
    """Comments as one code sees them: what it gathers beside the mean, and the reader's logits."""

    features: NDArray[np.float32]
    offset: Floats

    def rows(self, rows: NDArray[np.intp]) -> _Views:
        return _Views(self.features[rows], self.offset[rows])


def fit_new_codes(
    head: ReasonCodeNetwork,
    states: CachedStates,
    comments: Sequence[str],
    present: NDArray[np.float32],
    known: NDArray[np.float32],
    unread: CodeDecisions,
    usual: Mapping[PointName, float],
) -> NewCodes:
    """Fit codes that so far are known by their definitions, each for itself.

    Parameters
    ----------
    head
        The new codes alone, over the model's reader; not changed.
    states, comments
        Token states of comments, and the same as texts.
    present
        Shape (n_comments, n_codes, n_polarities).
    known
        Shape (n_comments, n_codes). Comments in which a code is unknown say how often it is scored
        high where nobody looked for it, which calibration and thresholds need.
    unread
        How the codes are decided as long as their definitions alone speak.
    usual
        Thresholds of the model's other codes at the points that it has.

    Returns
    -------
    NewCodes
    """
    features, offsets = _read(head, states)
    weight, bias = np.zeros(head.weight.shape), np.zeros(head.bias.shape)
    out_of_fold = np.full(present.shape, np.nan)
    found: dict[int, NewCodeDecision] = {}
    for code in range(len(bias)):
        reviewed = np.flatnonzero(known[:, code] > 0)
        target = present[reviewed, code].astype(np.float64)
        others = np.flatnonzero(known[:, code] == 0)
        examples = int(np.any(target, axis=1).sum())
        stand_ins = _stand_ins(examples, len(reviewed) - examples, others, comments)
        if examples < LEAST_POSITIVES or stand_ins is None:
            continue
        rows = np.concatenate([reviewed, stand_ins])
        target = np.concatenate([target, np.zeros((len(stand_ins), target.shape[1]))])
        views = _Views(features[:, code], offsets[:, code])
        folds = _folds([comments[int(row)] for row in rows], np.any(target, axis=1))
        held = _held_out_logits(views.rows(rows), target, folds)
        weight[code], bias[code] = _logistic(views.rows(rows), target)
        elsewhere = _logits(views.rows(others), weight[code], bias[code])
        found[code] = decide_new_code(held, target, elsewhere, usual, presumed=len(stand_ins) > 0)
        out_of_fold[reviewed, code] = found[code].out_of_fold[: len(reviewed)]
    learnt = CodeParameters.of(head)
    parameters = CodeParameters(
        learnt.definition,
        learnt.query,
        learnt.weight + torch.from_numpy(weight).float(),
        learnt.bias + torch.from_numpy(bias).float(),
    )
    return NewCodes(parameters, unread.with_new_codes(found), out_of_fold)


def _stand_ins(
    examples: int, without: int, others: NDArray[np.intp], comments: Sequence[str]
) -> NDArray[np.intp] | None:
    """Give comments that stand in for reviewed ones without the code; None where nothing can be learnt.

    By examples alone a fit calls everything the code: nothing tells it what the code is not.
    """
    if without >= LEAST_NEGATIVES:
        return np.empty(0, np.intp)
    if examples < LEAST_ALONE or len(others) < LEAST_UNREVIEWED:
        return None
    drawn = sorted(others.tolist(), key=lambda row: position(comments[row]))
    return np.array(drawn[: max(_STAND_INS, examples) - without], np.intp)


def _held_out_logits(views: _Views, target: Floats, folds: NDArray[np.intp]) -> Floats:
    """Give each comment's logits by a fit on the other folds."""
    held = np.zeros(target.shape)
    for fold in np.unique(folds):
        fit = _logistic(views.rows(np.flatnonzero(folds != fold)), target[folds != fold])
        held[folds == fold] = _logits(views.rows(np.flatnonzero(folds == fold)), *fit)
    return held


def _read(head: ReasonCodeNetwork, states: CachedStates) -> tuple[NDArray[np.float32], Floats]:
    """Give what every code gathers from every comment, beside the comment's mean, and the logits."""
    n_codes, width = head.query.shape
    features = np.zeros((len(states), n_codes, 2 * width), np.float32)
    offsets = np.zeros((len(states), *head.bias.shape))
    head.eval()
    with torch.inference_mode():
        for batch in length_batches(states.lengths, tokens=4096):
            tokens, mask = states.batch(batch)
            logits, attention = head.score(tokens, mask)
            real = mask.unsqueeze(-1).float()
            mean = ((tokens * real).sum(1) / real.sum(1)).unsqueeze(1).expand(-1, n_codes, -1)
            features[batch] = torch.cat([torch.matmul(attention, tokens), mean], dim=-1).numpy()
            offsets[batch] = logits.numpy()
    return features, offsets


def _folds(comments: list[str], positive: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Give each comment's fold: examples spread evenly, the same text always in one fold."""
    places = np.array([position(comment) for comment in comments])
    folds = np.zeros(len(comments), np.intp)
    for side in (positive, ~positive):
        folds[side] = np.unique(places[side], return_inverse=True)[1] % FOLDS
    return folds


def _logistic(views: _Views, target: Floats) -> tuple[Floats, Floats]:
    """Give weights, shape (n_polarities, n_features), and biases that minimise the penalised log-loss."""
    features = views.features
    n_features, n_polarities = features.shape[1], target.shape[1]
    ridge = RIDGE * float(np.mean(np.sum(np.square(features, dtype=np.float64), axis=1)))
    split = n_features * n_polarities

    def loss(flat: Floats) -> tuple[float, Floats]:
        weight, bias = flat[:split].reshape(n_features, n_polarities), flat[split:]
        logits = features @ weight.astype(np.float32) + bias + views.offset
        value = float(np.sum(np.logaddexp(0.0, logits) - target * logits))
        wrong = expit(logits) - target
        slope = (features.T @ wrong.astype(np.float32)).astype(np.float64) + ridge * weight
        value += 0.5 * ridge * float(np.sum(weight**2)) + 0.5 * float(np.sum(bias**2))
        return value, np.concatenate([slope.ravel(), wrong.sum(axis=0) + bias])

    found = minimize(
        loss, np.zeros(split + n_polarities), jac=True, method="L-BFGS-B", options={"maxiter": 200}
    )
    return found.x[:split].reshape(n_features, n_polarities).T, found.x[split:]


def _logits(views: _Views, weight: Floats, bias: Floats) -> Floats:
    found: Floats = views.features @ weight.T + bias + views.offset
    return found
