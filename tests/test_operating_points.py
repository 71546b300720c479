"""Operating points: what is expected of them is what later comments show."""

import numpy as np
import pytest

from model.decision import decide
from model.operating_points import POINT_NAMES, choose_operating_points

CODES = ("often", "seldom", "never")


def draw(n, seed):
    """Give a network's too confident probabilities, outcomes and knowns, for pairs of different frequency."""
    random = np.random.default_rng(seed)
    centre = np.array([[-0.5, -3, -2], [-4, -5, -6], [-9, -9, -9]])
    truth = random.normal(centre, [[2.0], [2.0], [0.1]], (n, 3, 3))
    present = random.random(truth.shape) < 1 / (1 + np.exp(-truth))
    present &= truth == truth.max(axis=-1, keepdims=True)
    probabilities = 1 / (1 + np.exp(-1.6 * truth))
    return probabilities.astype(np.float32), present.astype(np.float32), np.ones((n, 3), np.float32)


def reached(chosen, present):
    hits = (chosen * present).sum()
    return hits / max(1, chosen.sum()), hits / present.sum()


@pytest.fixture(scope="module")
def chosen_points():
    return choose_operating_points(*draw(1500, 0), CODES)


def test_later_comments_reach_what_was_expected(chosen_points):
    calibration, points = chosen_points
    probabilities, present, _ = draw(20_000, 1)
    for point in points.values():
        chosen = decide(calibration.apply(probabilities), point.threshold_array())
        precision, recall = reached(chosen, present)
        assert point.expected.precision == pytest.approx(precision, abs=0.05)
        assert point.expected.recall == pytest.approx(recall, abs=0.05)
        for i, code in enumerate(CODES[:2]):
            precision, recall = reached(chosen[:, i], present[:, i])
            assert point.codes[code].precision == pytest.approx(precision, abs=0.12)
            assert point.codes[code].recall == pytest.approx(recall, abs=0.12)


def test_precision_is_bought_with_recall(chosen_points):
    _, points = chosen_points
    high, middle, low = (points[name] for name in POINT_NAMES)
    assert high.expected.precision > middle.expected.precision + 0.05 > low.expected.precision + 0.1
    assert high.expected.recall < middle.expected.recall - 0.05 < low.expected.recall - 0.1
    assert (high.threshold_array() >= middle.threshold_array()).all()


def test_a_code_that_nobody_mentions_has_the_common_threshold(chosen_points):
    _, points = chosen_points
    for point in points.values():
        never = point.threshold_array()[2]
        assert np.ptp(never) < 0.02
        assert point.codes["never"].mentions <= 2


def test_a_code_that_no_comment_knows_keeps_its_own_thresholds():
    probabilities, present, known = draw(400, 7)
    known[:, 2] = 0
    calibration, points = choose_operating_points(probabilities, present, known, CODES, (0.3, 0.5, 0.4))
    assert points["balanced"].thresholds[2] == pytest.approx((0.3, 0.5, 0.4))
    assert (points["high_precision"].threshold_array()[2] > [0.3, 0.5, 0.4]).all()
    assert (points["high_recall"].threshold_array()[2] < [0.3, 0.5, 0.4]).all()
    np.testing.assert_allclose(calibration.apply(probabilities)[:, 2], probabilities[:, 2], atol=1e-6)
    assert points["balanced"].codes["never"].precision is None


def test_expectations_are_not_those_of_the_comments_they_were_tuned_on():
    """Probabilities that say nothing at all, few comments: tuned and counted on the same, F1 looks better."""
    random = np.random.default_rng(5)
    present = (random.random((60, 3, 3)) < 0.1).astype(np.float32)
    noise = random.random((60, 3, 3)).astype(np.float32)
    _, points = choose_operating_points(noise, present, np.ones((60, 3), np.float32), CODES)
    assert points["high_recall"].expected.precision == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_next_to_no_comments_give_points_without_boasting(n):
    probabilities, present, known = draw(2, 3)
    calibration, points = choose_operating_points(probabilities[:n], present[:n], known[:n], CODES)
    assert list(points) == list(POINT_NAMES)
    assert np.isfinite(calibration.apply(probabilities)).all()
    if n < 2:
        assert points["balanced"].expected.precision is None
