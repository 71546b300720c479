"""Scales: what each answer loses, and the metric that the losses come to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.scale import CES7, CSAT5, NPS, SCALES, scale_named


def test_nps_loses_two_for_a_detractor_and_one_for_a_passive():
    assert NPS.loss(range(11)).tolist() == [2.0] * 7 + [1.0] * 2 + [0.0] * 2


def test_csat_and_ces_lose_one_below_their_top_answers():
    assert CSAT5.loss(range(1, 6)).tolist() == [1, 1, 1, 0, 0]
    assert CES7.loss(range(1, 8)).tolist() == [1, 1, 1, 1, 0, 0, 0]


def test_a_score_between_two_answers_counts_as_the_lower():
    assert NPS.loss([6.9, 8.9, 9.1]).tolist() == [2.0, 1.0, 0.0]


def test_nps_is_promoters_less_detractors():
    scores = [10] * 6 + [7] * 2 + [0] * 2
    assert NPS.value(NPS.loss(scores)) == pytest.approx(40.0)


def test_weights_count():
    assert NPS.value(NPS.loss([10, 0]), [3, 1]) == pytest.approx(50.0)


@pytest.mark.parametrize("weights", [[], [0.0, 0.0]])
def test_the_metric_of_nothing_is_none(weights):
    assert NPS.value(np.zeros(len(weights)), weights) is None


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1, 11, None])
def test_an_answer_outside_the_scale_is_refused(scale, wrong):
    with pytest.raises(InputError, match=rf"{scale.metric} scale {scale.low}-{scale.high}"):
        scale.loss([scale.high, wrong])


@pytest.mark.parametrize("wrong", ["good", object(), [1, 2], 10**400])
def test_an_answer_that_is_no_number_is_refused(wrong):
    with pytest.raises(InputError, match="a score is not a number"):
        NPS.loss([1, wrong])


def test_no_answers_lose_nothing():
    assert NPS.loss([]).shape == (0,)


@given(st.sampled_from(list(SCALES.values())), st.data())
def test_the_metric_lies_between_its_least_and_its_greatest_value(scale, data):
    scores = data.draw(st.lists(st.integers(scale.low, scale.high), min_size=1))
    value = scale.value(scale.loss(scores))
    assert value is not None
    assert 100 * (1 - scale.worst_loss) - 1e-9 <= value <= 100


@given(st.sampled_from(list(SCALES.values())), st.data())
def test_a_better_answer_never_loses_more(scale, data):
    answer = st.floats(scale.low, scale.high)
    low, high = sorted([data.draw(answer), data.draw(answer)])
    assert scale.loss([low])[0] >= scale.loss([high])[0]


def test_scales_are_known_by_name():
    assert [scale_named(name).metric for name in ("nps", "csat5", "ces7")] == ["NPS", "CSAT", "CES"]
    with pytest.raises(InputError, match="'nps11' is not known; use one of nps, csat5, ces7"):
        scale_named("nps11")
