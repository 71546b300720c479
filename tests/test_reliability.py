"""Reliability figures, against what is known of the forecasts."""

import numpy as np
import pytest

from training.reliability import expected_calibration_error, measure_reliability


def test_exact_forecasts_show_no_more_than_chance():
    random = np.random.default_rng(0)
    probabilities = random.beta(0.4, 2, (5000, 2, 3))
    present = (random.random(probabilities.shape) < probabilities).astype(np.float32)
    found = measure_reliability(probabilities, present, np.ones((5000, 2)), ("a", "b"))
    for code in found.codes.values():
        assert code.ece == pytest.approx(code.ece_of_chance, abs=0.006)
        assert code.ece < 0.03
        assert code.ece_adaptive < 0.03
    assert found.to_dict()["brier"] == pytest.approx((probabilities * (1 - probabilities)).mean(), abs=0.01)


def test_a_forecast_that_is_off_by_a_tenth_shows_it():
    random = np.random.default_rng(1)
    truth = random.uniform(0, 0.9, 20_000)
    outcome = (random.random(20_000) < truth).astype(float)
    for adaptive in (False, True):
        assert expected_calibration_error(truth, outcome, adaptive=adaptive) < 0.02
        assert expected_calibration_error(truth + 0.1, outcome, adaptive=adaptive) == pytest.approx(
            0.1, abs=0.01
        )


def test_by_hand():
    forecast, outcome = np.array([0.1, 0.15, 0.9, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    assert expected_calibration_error(forecast, outcome, bins=2) == pytest.approx((0.75 + 0.1) / 4)
    assert expected_calibration_error(forecast, outcome, bins=4) == pytest.approx((0.75 + 0.1) / 4)
    assert expected_calibration_error(forecast, outcome, bins=4, adaptive=True) == pytest.approx(
        (0.1 + 0.85 + 0.1 + 0.0) / 4
    )
    assert expected_calibration_error(forecast[:0], outcome[:0]) == 0.0


def test_codes_that_nobody_mentions_and_masked_comments_are_left_out():
    probabilities = np.full((4, 2, 3), 0.5)
    present = np.zeros((4, 2, 3))
    present[0, 0, 0] = 1
    known = np.ones((4, 2))
    known[1:, 0] = 0
    found = measure_reliability(probabilities, present, known, ("a", "b"))
    assert list(found.codes) == ["a"]
    assert found.codes["a"].ece == pytest.approx(0.5)
    assert found.codes["a"].brier == pytest.approx(0.25)
