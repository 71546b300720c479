"""What rounding does to F1: seen on labels, with its chance, and expected from calibrated probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from model.decision import decide
from model.engine_f1 import LabelledPart

HALF = np.full((4, 3), 0.5)


def made(seed, n=400, codes=4):
    """Calibrated probabilities and labels that are drawn from them."""
    rng = np.random.default_rng(seed)
    right = rng.beta(0.3, 2.0, (n, codes, 3))
    present = (rng.random(right.shape) < right).astype(np.float32)
    return rng, right, LabelledPart(present, np.ones((n, codes), np.float32), HALF[:codes])


@given(st.integers(0, 2**32 - 1))
def test_what_is_seen_is_the_difference_of_f1(seed):
    rng, right, part = made(seed)
    found = np.clip(right + rng.normal(0, 0.05, right.shape), 0, 1)
    before, after = (
        f1_score(part.present.reshape(400, -1), decide(p, HALF).reshape(400, -1), average="micro")
        for p in (right, found)
    )
    move = part.move(found, right)
    assert move.f1 == pytest.approx(after)
    assert move.seen == pytest.approx(after - before)


def test_no_rounding_moves_nothing():
    _, right, part = made(1)
    move = part.move(right, right)
    assert (move.seen, move.error, move.expected) == (0.0, 0.0, 0.0)


def test_the_expected_move_is_the_mean_of_what_labels_show_and_the_error_their_spread():
    rng, right, _ = made(2)
    found = np.clip(right + rng.normal(0, 0.1, right.shape), 0, 1)
    moves = []
    for _ in range(400):
        present = (rng.random(right.shape) < right).astype(np.float32)
        moves.append(LabelledPart(present, np.ones((400, 4), np.float32), HALF).move(found, right))
    seen = np.array([move.seen for move in moves])
    assert seen.mean() == pytest.approx(moves[0].expected, abs=4 * seen.std() / 20)
    assert np.mean([move.error for move in moves]) == pytest.approx(seen.std(), rel=0.35)
    within = [abs(move.seen - move.expected) < 2 * move.error for move in moves]
    assert np.mean(within) > 0.9


def test_codes_that_nobody_knew_do_not_count():
    rng, right, part = made(3)
    known = part.known.copy()
    known[:, 2] = 0
    masked = LabelledPart(part.present, known, HALF)
    found = right.copy()
    found[:, 2] = rng.random(found[:, 2].shape)
    assert masked.move(found, right).seen == masked.move(found, right).expected == 0.0
    assert part.move(found, right).seen != 0.0
