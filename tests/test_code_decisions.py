"""Decisions go from model to model code by code, and what stays stays to the last bit."""

import numpy as np
import pytest

from model.calibration import Calibration
from model.code_decisions import CodeDecisions
from model.new_code_decisions import NewCodeDecision
from model.operating_points import POINT_NAMES, Expectation, OperatingPoint

CUTS = {"high_precision": 0.6, "balanced": 0.4, "high_recall": 0.15}


def expect(i):
    return Expectation(0.5, 0.5, i)


def model(*codes):
    """A model with a calibration and points; each code's numbers are its own."""
    rows = range(1, len(codes) + 1)
    points = {
        name: OperatingPoint(
            tuple((cut + i / 100,) * 3 for i in rows),
            expect(99),
            {code: expect(i) for i, code in enumerate(codes)},
        )
        for name, cut in CUTS.items()
    }
    calibration = Calibration(tuple((float(i),) * 3 for i in rows), tuple((0.1 * i,) * 3 for i in rows))
    return CodeDecisions(codes, points["balanced"].thresholds, calibration, points)


def bare(*codes):
    """A model that was never tuned."""
    return CodeDecisions(codes, ((0.5,) * 3,) * len(codes), None, {})


FOUND = NewCodeDecision(
    1.5, -2.0, dict(zip(POINT_NAMES, (0.7, 0.3, 0.1), strict=True)), dict.fromkeys(POINT_NAMES, expect(25)),
    np.zeros((1, 3)),
)  # fmt: skip


def test_new_codes_follow_and_the_others_stay():
    before = model("a", "b")
    after = before.followed_by(before.of_unread_codes(["n", "m"], [0.2, 0.3, 0.4]).with_new_codes({1: FOUND}))
    assert after.codes == ("a", "b", "n", "m")
    assert after.rows([0, 1]) == before
    assert after.calibration.scale[2:] == ((1.0,) * 3, (1.5,) * 3)
    assert after.calibration.shift[2:] == ((0.0,) * 3, (-2.0,) * 3)
    assert after.thresholds[2:] == ((0.2, 0.3, 0.4), (0.3,) * 3)
    for name, point in after.points.items():
        assert point.expected == before.points[name].expected
        assert point.thresholds[3] == (FOUND.thresholds[name],) * 3
        assert point.codes["m"] == expect(25)
        assert point.codes["n"] == Expectation(None, None, 0)
    strict, mild = (after.points[name].threshold_array()[2] for name in POINT_NAMES[::2])
    assert (strict > [0.2, 0.3, 0.4]).all()
    assert (mild < [0.2, 0.3, 0.4]).all()


def test_beside_a_new_code_a_model_without_calibration_stays_bit_for_bit():
    before = bare("a", "b")
    after = before.followed_by(before.of_unread_codes(["n"], [0.2, 0.3, 0.4]).with_new_codes({0: FOUND}))
    assert after.points == {}
    assert after.thresholds == (*before.thresholds, (0.3,) * 3)
    values = np.random.default_rng(0).random((500, 3, 3)).astype(np.float32)
    values[:4] = [[[0.0, 1.0, 1e-12]]]
    calibrated = after.calibration.apply(values)
    assert calibrated.dtype == np.float32
    assert np.array_equal(calibrated[:, :2], values[:, :2])
    assert not np.array_equal(calibrated[:, 2], values[:, 2])
    unread = before.followed_by(before.of_unread_codes(["n"], [0.2, 0.3, 0.4]))
    assert unread.calibration is None
    assert unread.thresholds[2] == pytest.approx((0.2, 0.3, 0.4))


def test_codes_that_nobody_reviewed_keep_what_was_decided_before():
    before, anew = model("a", "b", "c"), model("x", "a", "b", "c").rows([1, 2, 3])
    both = anew.with_rows_of(before, ["b"])
    assert both.rows([1]).thresholds == before.rows([1]).thresholds
    assert both.rows([1]).calibration == before.rows([1]).calibration
    assert both.rows([0, 2]) == anew.rows([0, 2])
    assert both.points["high_recall"].codes["b"] == before.points["high_recall"].codes["b"]
    assert anew.with_rows_of(bare("a", "b", "c"), ["b"]).calibration.scale[1] == (1.0,) * 3


def test_usual_thresholds_are_the_medians():
    assert model("a", "b", "c").usual_thresholds() == pytest.approx({n: c + 0.02 for n, c in CUTS.items()})
    assert bare("a").usual_thresholds() == {}
    assert model("a").rows([]).usual_thresholds() == {}
