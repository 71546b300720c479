import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from data.errors import InputError
from data.scale import CES7, CSAT5, NPS
from model.metric import LossSums, measure, metric_change

Z = 1.959963984540054


def nps(detractors, passives, promoters, **more):
    loss = [2] * detractors + [1] * passives + [0] * promoters
    return measure(NPS, LossSums.of(NPS, loss, **more))


def test_nps_interval_is_the_adjusted_wald_of_rocks():
    metric = nps(15, 25, 60)
    against, favour = 15.75 / 103, 60.75 / 103
    centre = favour - against
    reach = Z * math.sqrt((favour + against - centre**2) / 103)
    assert metric.value == pytest.approx(45.0)
    assert metric.low == pytest.approx(100 * (centre - reach))
    assert metric.high == pytest.approx(100 * (centre + reach))
    assert (metric.detractors, metric.passives, metric.promoters) == (15, 25, 60)
    assert metric.promoter_share == pytest.approx(0.6)


@pytest.mark.parametrize("scale", [NPS, CSAT5, CES7])
def test_no_response_gives_none_and_never_zero(scale):
    metric = measure(scale, LossSums.of(scale, []))
    assert (metric.value, metric.low, metric.high, metric.effective_n) == (None, None, None, None)
    assert measure(scale, LossSums.of(scale, [1, 1], weight=[0, 0])).value is None


@pytest.mark.parametrize("scale", [CSAT5, CES7])
@pytest.mark.parametrize(("unhappy", "happy"), [(0, 8), (3, 7), (40, 2), (500, 500)])
def test_csat_and_ces_intervals_are_agresti_coull(scale, unhappy, happy):
    metric = measure(scale, LossSums.of(scale, [1] * unhappy + [0] * happy))
    low, high = proportion_confint(happy, unhappy + happy, method="agresti_coull")
    assert metric.value == pytest.approx(100 * happy / (unhappy + happy))
    assert metric.low == pytest.approx(100 * max(0, low))
    assert metric.high == pytest.approx(100 * min(1, high))
    assert metric.detractors is None


@pytest.mark.parametrize("counts", [(12, 0, 0), (0, 12, 0), (0, 0, 12)])
def test_one_class_alone_still_has_an_interval_with_width(counts):
    metric = nps(*counts)
    assert -100 <= metric.low < metric.high <= 100
    assert metric.low <= metric.value <= metric.high


@given(st.tuples(*[st.integers(0, 4)] * 3).filter(any))
def test_the_interval_of_a_few_answers_holds_what_was_seen(counts):
    metric = nps(*counts)
    assert -100 <= metric.low <= metric.value <= metric.high <= 100


def test_effective_n_is_kishs_and_knows_no_unit_of_weight():
    loss, weight = np.array([0, 1, 2, 0, 2]), np.array([1.0, 2, 3, 4, 0])
    sums = LossSums.of(NPS, loss, weight)
    assert sums.effective_n == pytest.approx(10**2 / 30)
    assert sums.n == 4
    large = measure(NPS, LossSums.of(NPS, loss, weight * 1e6))
    small = measure(NPS, sums)
    assert small.value == pytest.approx(100 * (1 - 8 / 10))
    assert (large.low, large.high) == pytest.approx((small.low, small.high))


def test_effective_n_of_repeated_respondents_is_n_over_the_clustered_design_effect():
    rng = np.random.default_rng(5)
    person = rng.integers(0, 60, 200)
    loss = np.clip(np.round(rng.normal(0, 0.6, 60)[person] + rng.normal(1, 0.6, 200)), 0, 2)
    fit = sm.OLS(loss, np.ones(200))
    clustered = fit.fit(cov_type="cluster", cov_kwds={"groups": person}).bse[0]
    effect = (clustered / (loss.std(ddof=1) / math.sqrt(200))) ** 2
    assert effect > 1.5
    assert LossSums.of(NPS, loss, respondent=person).effective_n == pytest.approx(200 / effect)


def test_answering_twice_alike_is_worth_one_answer():
    once = nps(20, 30, 50)
    loss = [2] * 20 + [1] * 30 + [0] * 50
    twice = measure(NPS, LossSums.of(NPS, loss * 2, respondent=[*range(100)] * 2))
    assert twice.n == 200
    assert twice.respondents == 100
    assert twice.effective_n == pytest.approx(once.effective_n, rel=0.02)
    assert LossSums.of(NPS, [2, 2, 2, 2], respondent=[1, 1, 2, 2]).effective_n == pytest.approx(2)
    assert LossSums.of(NPS, [2, 1, 0], respondent=[7, 7, 7]).effective_n == pytest.approx(1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.floats(0, 9), st.integers(0, 6)), max_size=30))
def test_sums_of_parts_are_the_sums_of_the_whole(rows):
    def sums(part):
        loss, weight, person = (list(column) for column in zip(*part, strict=True)) if part else ([], [], [])
        return LossSums.of(NPS, loss, weight, np.array(person, dtype=int))

    merged = sums([r for r in rows if r[2] % 2]) + sums([r for r in rows if not r[2] % 2])
    whole = sums(rows)
    for name in ("counts", "weights", "squares", "products", "respondents"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-9, atol=1e-12)


def test_nps_interval_covers():
    rng = np.random.default_rng(11)
    shares, truth, covered = [0.15, 0.2, 0.65], 50.0, 0
    for _ in range(500):
        metric = nps(*rng.multinomial(40, shares))
        covered += metric.low <= truth <= metric.high
    assert covered / 500 >= 0.93


def test_change_is_a_test_on_the_adjusted_values():
    before, after = nps(30, 30, 40), nps(10, 30, 60)
    change = metric_change(before, after)
    first, second = (40.75 - 30.75) / 103, (60.75 - 10.75) / 103
    spread = math.sqrt(((71.5 / 103) - first**2) / 103 + ((71.5 / 103) - second**2) / 103)
    assert change.value == pytest.approx(40.0)
    assert change.z == pytest.approx((second - first) / spread)
    assert change.low == pytest.approx(100 * (second - first - Z * spread))
    assert change.p_value < 0.001
    back = metric_change(after, before)
    assert (back.value, back.z, back.p_value) == pytest.approx((-change.value, -change.z, change.p_value))


def test_change_of_csat_adds_one_success_and_one_failure_to_each_sample():
    before = measure(CSAT5, LossSums.of(CSAT5, [1] * 4 + [0] * 6))
    after = measure(CSAT5, LossSums.of(CSAT5, [1] * 2 + [0] * 18))
    first, second = 7 / 12, 19 / 22
    spread = math.sqrt(first * (1 - first) / 12 + second * (1 - second) / 22)
    assert metric_change(before, after).z == pytest.approx((second - first) / spread)


def test_change_rejects_at_its_level_where_nothing_changed():
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(500):
        first, second = (nps(*rng.multinomial(60, [0.2, 0.3, 0.5])) for _ in range(2))
        rejected += metric_change(first, second).p_value < 0.05
    assert 0.02 <= rejected / 500 <= 0.075


def test_change_from_nothing_is_none_and_from_another_metric_an_error():
    assert metric_change(nps(0, 0, 0), nps(1, 2, 3)).value is None
    with pytest.raises(InputError, match="from NPS to CES"):
        metric_change(nps(1, 1, 1), measure(CES7, LossSums.of(CES7, [0, 1])))
