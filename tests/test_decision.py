"""Thresholds and decisions, on arrays."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.decision import decide, derive_thresholds, tune_thresholds

probabilities = arrays(
    np.float64, st.tuples(st.integers(1, 12), st.integers(1, 4), st.just(3)), elements=st.floats(0, 1)
)


@given(probabilities)
@settings(max_examples=60)
def test_a_code_gets_its_likeliest_polarity_or_none(values):
    chosen = decide(values, np.full(values.shape[1:], 0.5))
    for row, code in np.ndindex(values.shape[:2]):
        picked = values[row, code][chosen[row, code]]
        assert (picked == values[row, code].max()).all()
        assert len(picked) > 0 or values[row, code].max() < 0.5


def test_tuning_finds_the_gap_between_present_and_absent():
    rng = np.random.default_rng(0)
    present = np.zeros((400, 2, 3), np.float32)
    present[:120, 0, 0] = 1
    present[:90, 1, 2] = 1
    values = np.where(present > 0, rng.uniform(0.32, 0.5, present.shape), rng.uniform(0, 0.28, present.shape))
    thresholds = tune_thresholds(values, present, np.ones((400, 2), np.float32))
    assert 0.28 <= thresholds[0, 0] <= 0.32
    assert np.array_equal(decide(values, thresholds), present > 0)


def test_a_rare_pair_follows_the_common_threshold():
    rng = np.random.default_rng(1)
    present = np.zeros((500, 2, 3), np.float32)
    present[:200, 0, 0] = 1
    present[0, 1, 0] = 1
    values = np.where(present > 0, rng.uniform(0.6, 1.0, present.shape), rng.uniform(0, 0.5, present.shape))
    values[0, 1, 0] = 0.12
    thresholds = tune_thresholds(values, present, np.ones((500, 2), np.float32))
    assert thresholds[1, 0] > 0.45


def test_masked_rows_do_not_count():
    values = np.array([[[0.4, 0, 0]]] * 50 + [[[0.9, 0, 0]]] * 50)
    present = np.zeros((100, 1, 3), np.float32)
    present[50:, 0, 0] = 1
    present[:50, 0, 0] = 1  # would pull the threshold down, but the annotators did not know the code
    known = np.ones((100, 1), np.float32)
    known[:50] = 0
    values[40:50] = 0.05
    masked = tune_thresholds(values, present, known)
    counted = tune_thresholds(values, present, np.ones((100, 1), np.float32))
    assert masked[0, 0] > counted[0, 0]


def test_nothing_to_tune_on_gives_one_half():
    empty = np.zeros((0, 2, 3), np.float32)
    assert (tune_thresholds(empty, empty, np.zeros((0, 2), np.float32)) == 0.5).all()


def test_thresholds_from_exact_probabilities_are_half_of_the_best_f1():
    """A law of exact probabilities: the threshold that maximises F1 is half of the F1 that it reaches."""
    probabilities = np.zeros((30_000, 1, 3))
    probabilities[:, 0, 0] = np.random.default_rng(2).beta(0.5, 2, 30_000)
    threshold = derive_thresholds(probabilities, np.ones((30_000, 1)))[0, 0]
    chosen = probabilities[:, 0, 0] >= threshold
    hits = probabilities[chosen, 0, 0].sum()
    best = 2 * hits / (chosen.sum() + probabilities.sum())
    assert abs(threshold - best / 2) < 0.03


def test_beta_moves_thresholds_and_a_pair_without_mentions_follows_the_common_one():
    probabilities = np.random.default_rng(3).beta(0.3, 2, (2000, 2, 3))
    probabilities[:, 1, 2] = 1e-9
    known = np.ones((2000, 2))
    low, middle, high = (derive_thresholds(probabilities, known, beta) for beta in (3.0, 1.0, 1 / 3))
    assert (low < middle).all()
    assert (middle < high).all()
    others = np.delete(middle.ravel(), 5)
    assert others.min() <= middle[1, 2] <= others.max()


def test_nothing_known_gives_one_half():
    assert (derive_thresholds(np.random.default_rng(0).random((4, 2, 3)), np.zeros((4, 2))) == 0.5).all()
