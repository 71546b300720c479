"""Calibration: monotone, right where there are comments enough, and humble where there are few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.calibration import Calibration, fit_calibration


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def draw(logits, scale=1.0, shift=0.0, seed=0):
    """Give (network's probabilities, outcomes) where the truth is ``sigmoid(scale * logit + shift)``."""
    truth = sigmoid(scale * logits + shift)
    present = (np.random.default_rng(seed).random(logits.shape) < truth).astype(np.float32)
    return sigmoid(logits).astype(np.float32), present


def test_overconfident_probabilities_come_down_to_the_truth():
    logits = np.random.default_rng(1).normal(0, 3, (4000, 2, 3))
    probabilities, present = draw(logits, scale=0.5, shift=-0.4)
    found = fit_calibration(probabilities, present, np.ones((4000, 2)))
    assert np.abs(found.apply(probabilities) - sigmoid(0.5 * logits - 0.4)).max() < 0.05


def test_a_pair_seen_often_has_its_own_shift_and_a_rare_one_the_common():
    logits = np.random.default_rng(2).normal(-1, 2, (6000, 3, 3))
    shift = np.zeros((3, 3))
    shift[0, 0] = 1.0
    probabilities, present = draw(logits, shift=shift)
    known = np.ones((6000, 3))
    known[5:, 1] = 0
    present[:5, 1] = 1  # five comments, all against the grain
    found = fit_calibration(probabilities, present, known)
    assert found.shift[0][0] == pytest.approx(1.0, abs=0.2)
    assert found.shift[2][0] == pytest.approx(0.0, abs=0.2)
    assert found.shift[1][0] < 0.4


def test_masked_comments_teach_nothing():
    logits = np.random.default_rng(3).normal(0, 2, (500, 2, 3))
    probabilities, present = draw(logits)
    known = np.ones((500, 2))
    known[:100, 0] = 0
    flipped = present.copy()
    flipped[:100, 0] = 1 - flipped[:100, 0]
    assert fit_calibration(probabilities, present, known) == fit_calibration(probabilities, flipped, known)


def test_without_comments_nothing_changes():
    nothing = np.zeros((0, 2, 3), np.float32)
    found = fit_calibration(nothing, nothing, np.zeros((0, 2)))
    assert found == Calibration(((1.0,) * 3,) * 2, ((0.0,) * 3,) * 2)
    values = np.random.default_rng(0).random((5, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(found.apply(values), values, atol=1e-6)


values = arrays(np.float32, (12, 2, 3), elements=st.floats(0, 1, width=32))


@given(values, arrays(np.float32, (12, 2, 3), elements=st.sampled_from([0, 1])), values)
@settings(max_examples=60)
def test_whatever_the_comments_order_is_kept_and_results_are_probabilities(probabilities, present, others):
    found = fit_calibration(probabilities, present, np.ones((12, 2), np.float32))
    applied = found.apply(others)
    assert ((applied >= 0) & (applied <= 1)).all()
    for i in np.ndindex(2, 3):
        order = np.argsort(others[(slice(None), *i)], kind="stable")
        assert (np.diff(applied[(slice(None), *i)][order]) >= 0).all()
