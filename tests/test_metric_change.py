import json
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from data.errors import InputError
from data.scale import CES7, CSAT5, NPS
from model.comparison import Comparison
from model.false_discovery import q_values
from model.mentions import ScoredResponses
from model.metric import LossSums, measure, metric_change
from model.metric_change import explain_change
from model.root_causes import rank_root_causes
from tests.random_responses import dense_contributions, random_responses


def halves(responses, names=("before", "after"), **how):
    after = np.arange(responses.n) % 2 == 1
    return Comparison.of(responses, ~after, after, names, **how)


def drawn(seed, n, before, after, *, twice=False):
    """Give n answers of each period; `before` and `after` are the chances of a mention of each code."""
    rng = np.random.default_rng(seed)
    chance = np.concatenate([np.tile(rates, (n, 1)) for rates in (before, after)])
    rows, codes = np.nonzero(rng.random(chance.shape) < chance)
    person = np.tile(np.arange(n), 2) if twice else np.arange(2 * n)
    score = rng.choice([3, 7, 10], 2 * n, p=[0.5, 0.2, 0.3])
    names = tuple(f"c{i}" for i in range(len(before)))
    responses = ScoredResponses.from_arrays(NPS, score, names, (rows, codes), respondent=person)
    later = np.arange(2 * n) >= n
    return Comparison.of(responses, ~later, later, ("2026-01", "2026-02"))


@given(
    st.integers(0, 10_000),
    st.integers(2, 80),
    st.booleans(),
    st.booleans(),
    st.sampled_from([NPS, CSAT5, CES7]),
)
def test_the_causes_sum_to_the_change_exactly(seed, n, weighted, clustered, scale):
    responses = random_responses(seed, n, scale=scale, weighted=weighted, clustered=clustered)
    after = np.arange(n) % 2 == 1
    if not (responses.weight[after].sum() and responses.weight[~after].sum()):
        return
    found = explain_change(halves(responses), codes=["never.said"])
    parts = [row.change for row in (*found.rows, *found.buckets)]
    assert math.fsum(parts) == pytest.approx(found.before.value - found.after.value, abs=1e-9)
    assert abs(found.total_check) < 1e-9
    assert {row.code for row in found.rows} == {*responses.codes, "never.said"}
    first, second = (rank_root_causes(responses.subset(mask)) for mask in (~after, after))
    for side, ranking in (("before", first), ("after", second)):
        lost = {
            row.code: row.points_lost for row in (*ranking.rows, *ranking.buckets) if row.code in "a.one b"
        }
        for row in (*found.rows, *found.buckets):
            if row.code in lost:
                assert getattr(row, side) == pytest.approx(lost[row.code], abs=1e-9)
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_parent_is_the_sum_of_its_codes():
    found = explain_change(halves(random_responses(1, 200)))
    rows = {row.code: row for row in found.rows}
    parents = {row.code: row for row in found.parents}
    assert parents["b"].change == pytest.approx(
        sum(rows[code].change for code in rows if code.startswith("b."))
    )
    assert parents["b"].p_value is None
    assert parents["b"].low < parents["b"].change < parents["b"].high


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_errors_are_those_of_a_regression_clustered_by_respondent(weighted, clustered):
    responses = random_responses(2, 500, weighted=weighted, clustered=clustered)
    comparison = halves(responses)
    found = {row.code: row for row in explain_change(comparison).rows}
    x = sm.add_constant(comparison.side.astype(float))
    for column, code in enumerate(responses.codes):
        y = 100 * dense_contributions(responses)[comparison.kept, column]
        fit = sm.WLS(y, x, weights=comparison.weight).fit(
            cov_type="cluster", cov_kwds={"groups": comparison.person, "use_correction": False}
        )
        assert found[code].change == pytest.approx(fit.params[1])
        assert found[code].se == pytest.approx(fit.bse[1], rel=0.01)
        assert found[code].low < found[code].change < found[code].high


def test_without_repeats_the_error_is_welchs():
    comparison = halves(random_responses(4, 40))
    row = explain_change(comparison).rows[0]
    column = comparison.responses.codes.index(row.code)
    y = 100 * dense_contributions(comparison.responses)[:, column]
    variance = sum(y[comparison.side == side].var(ddof=1) / 20 for side in (0, 1))
    assert row.se == pytest.approx(variance**0.5)


def test_a_change_is_flagged_and_said_with_size_interval_and_dates():
    found = explain_change(drawn(5, 1500, [0.05, 0.10, 0.10], [0.15, 0.10, 0.10]))
    row = found.rows[0]
    assert (row.code, row.flagged) == ("c0", True)
    assert row.sentence == (
        f"c0 up {row.change:.1f} points [{row.low:.1f}, {row.high:.1f}] from 2026-01 to 2026-02"
    )
    back = explain_change(drawn(5, 1500, [0.15, 0.10, 0.10], [0.05, 0.10, 0.10]))
    row = back.rows[0]
    assert row.sentence.startswith(f"c0 down {-row.change:.1f} points [{-row.high:.1f}, {-row.low:.1f}]")


def test_groups_of_a_segment_are_said_as_such():
    comparison = drawn(5, 1500, [0.05], [0.15])
    later = comparison.side == 1
    found = explain_change(
        Comparison.of(comparison.responses, ~later, later, ("North", "South"), segment="region")
    )
    assert found.rows[0].sentence.endswith("] more in region South than in North")


def test_the_q_values_are_over_all_tested_causes_and_buckets():
    found = explain_change(drawn(6, 400, [0.05, 0.1, 0.004], [0.08, 0.1, 0.004]))
    tested = [row for row in (*found.rows, *found.buckets) if row.p_value is not None]
    assert {row.code for row in tested} == {"c0", "c1", "no_comment"}
    np.testing.assert_allclose([row.q_value for row in tested], q_values([row.p_value for row in tested]))
    rare = next(row for row in found.rows if row.code == "c2")
    assert rare.status in ("insufficient", "suppressed")
    assert (rare.p_value, rare.q_value, rare.flagged) == (None, None, False)
    assert rare.low <= rare.change <= rare.high


@pytest.mark.parametrize("twice", [False, True])
def test_where_nothing_changed_few_comparisons_flag_anything(twice):
    rates = [0.01, 0.02, 0.05, 0.1, 0.2]
    flagged = sum(
        any(row.flagged for row in (*found.rows, *found.buckets))
        for found in (explain_change(drawn(seed, 300, rates, rates, twice=twice)) for seed in range(120))
    )
    assert binomtest(flagged, 120, 0.10, alternative="greater").pvalue > 0.01
    assert flagged > 0  # and not by never flagging


@pytest.mark.parametrize("twice", [False, True])
def test_intervals_cover_the_true_change(twice):
    covered = 0
    for seed in range(150):
        (row,) = explain_change(drawn(seed, 300, [0.04], [0.08], twice=twice)).rows
        covered += row.low <= 100 * 1.2 * 0.04 <= row.high
    assert binomtest(covered, 150, 0.95, alternative="less").pvalue > 0.01


def test_the_metrics_change_is_the_two_sample_test_where_nobody_answered_twice():
    comparison = drawn(7, 100, [0.1], [0.1])
    parts = [comparison.responses.loss[comparison.side == side] for side in (0, 1)]
    expected = metric_change(*(measure(NPS, LossSums.of(NPS, part)) for part in parts))
    assert comparison.metric_change() == expected
    assert comparison.shared == 0


def test_people_who_answered_in_both_groups_are_paired():
    rng = np.random.default_rng(8)
    mood = rng.normal(size=200)

    def scores(shift):
        latent = mood + 0.4 * rng.normal(size=200) + shift
        return np.where(latent < -0.5, 3, np.where(latent < 0.5, 7, 10))

    score = np.concatenate([scores(0.0), scores(0.25)])
    later = np.arange(400) >= 200

    def change(person):
        responses = ScoredResponses.from_arrays(NPS, score, respondent=person)
        comparison = Comparison.of(responses, ~later, later)
        return comparison.metric_change(), comparison

    (paired, comparison), (apart, _) = change(np.tile(np.arange(200), 2)), change(None)
    assert comparison.shared == 200
    assert paired.value == apart.value
    assert paired.p_value < apart.p_value
    difference = NPS.loss(score[later]) - NPS.loss(score[~later])
    exact = 100 * difference.std(ddof=1) / 200**0.5
    assert (paired.high - paired.low) / 2 / 1.96 == pytest.approx(exact, rel=0.05)
    assert explain_change(comparison).shared_respondents == 200


def test_groups_must_hold_something_and_share_nothing():
    responses = random_responses(9, 20)
    some = np.arange(20) < 5
    with pytest.raises(InputError, match="'a' and 'b' overlap"):
        Comparison.of(responses, some, some, ("a", "b"))
    with pytest.raises(InputError, match="no scored response in 'b'"):
        Comparison.of(responses, some, some & ~some, ("a", "b"))


def test_one_respondent_has_no_interval_and_no_test():
    responses = random_responses(10, 60)
    later = np.arange(60) == 59
    found = explain_change(Comparison.of(responses, ~later, later))
    assert all(row.low is None and row.se is None and row.p_value is None for row in found.rows)
    json.dumps(found.to_dict(), allow_nan=False)
