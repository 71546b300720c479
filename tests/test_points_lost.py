from itertools import permutations
from math import factorial

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from data.scale import NPS
from model.cause_sums import CauseSums
from model.hierarchy import Hierarchy
from model.mentions import ScoredResponses
from model.points_lost import mean_interval, rule_of_three, student_quantile
from tests.random_responses import dense_contributions, dense_mentions, random_responses


def sums_of(responses):
    return CauseSums.of(responses, Hierarchy.of(responses.codes))


def shapley(value, players):
    """Give the Shapley value by brute force: each player's mean gain over all orders."""
    gain = dict.fromkeys(players, 0.0)
    for order in permutations(players):
        for place, player in enumerate(order):
            gain[player] += value(set(order[: place + 1])) - value(set(order[:place]))
    return {player: total / factorial(len(players)) for player, total in gain.items()}


@pytest.mark.parametrize("game", ["explained if any is chosen", "recovered only if all are fixed"])
def test_the_equal_split_is_the_shapley_value_of_both_games(game):
    responses = random_responses(1, 12, codes=("a", "b", "c", "d"), weighted=True, mentions_each=1.8)
    mentions = dense_mentions(responses).astype(bool)
    assert mentions.sum(axis=1).max() > 1

    def value(chosen):
        inside = np.isin(np.arange(4), list(chosen))
        any_chosen, all_chosen = (mentions & inside).any(axis=1), ~(mentions & ~inside).any(axis=1)
        counted = any_chosen if "any" in game else all_chosen & mentions.any(axis=1)
        return 100 * float((responses.weight * responses.loss)[counted].sum()) / responses.weight.sum()

    expected = shapley(value, range(4))
    np.testing.assert_allclose(sums_of(responses).contributions.means()[:4], [expected[t] for t in range(4)])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_errors_are_those_of_a_regression_on_nothing_clustered_by_respondent(weighted, clustered):
    responses = random_responses(2, 300, weighted=weighted, clustered=clustered)
    covariance = sums_of(responses).contributions.covariance()
    counted = responses.weight > 0
    for code, contribution in enumerate(dense_contributions(responses)[counted].T):
        fit = sm.WLS(100 * contribution, np.ones(contribution.size), weights=responses.weight[counted])
        expected = fit.fit(cov_type="cluster", cov_kwds={"groups": responses.respondent[counted]}).bse[0]
        assert np.sqrt(covariance[code, code]) == pytest.approx(expected, rel=1e-9)


def test_without_weights_and_repeats_the_error_is_sd_over_root_n():
    responses = random_responses(3, 200)
    contributions = dense_contributions(responses)
    expected = np.cov(100 * contributions.T) / 200
    np.testing.assert_allclose(sums_of(responses).contributions.covariance()[:6, :6], expected, atol=1e-12)


def test_the_error_of_a_parent_is_that_of_its_codes_sum():
    responses = random_responses(3, 150, clustered=True, weighted=True)
    sums = sums_of(responses)
    codes, means, covariance = (
        sums.hierarchy.codes,
        sums.contributions.means(),
        sums.contributions.covariance(),
    )
    for place, parent in enumerate(sums.hierarchy.parents, start=len(codes) + 2):
        below = [t for t, code in enumerate(codes) if code.startswith(parent + ".")]
        assert means[place] == pytest.approx(means[below].sum())
        assert covariance[place, place] == pytest.approx(covariance[np.ix_(below, below)].sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40), st.booleans(), st.booleans())
def test_sums_of_parts_are_the_sums_of_the_whole(seed, n, weighted, clustered):
    responses = random_responses(seed, n, weighted=weighted, clustered=clustered)
    first = responses.respondent % 2 == 0  # nobody in two parts
    tree = Hierarchy.of(responses.codes)
    merged = CauseSums.of(responses.subset(first), tree) + CauseSums.of(responses.subset(~first), tree)
    whole = CauseSums.of(responses, tree)
    assert merged.counts == whole.counts
    for name in ("respondents", "alone", "by_class", "praised"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-9, atol=1e-9)
    for name in ("totals", "weight_products", "products", "weight", "weight_squares", "respondents"):
        part, all_ = getattr(merged.contributions, name), getattr(whole.contributions, name)
        np.testing.assert_allclose(part, all_, rtol=1e-9, atol=1e-9)
    for name in ("mentions", "weight", "loss", "within", "across"):
        np.testing.assert_allclose(
            getattr(merged.mentions, name), getattr(whole.mentions, name), rtol=1e-9, atol=1e-9
        )


def test_sums_over_different_codes_do_not_add_up():
    responses = random_responses(3, 10)
    with pytest.raises(ValueError, match="different codes"):
        sums_of(responses) + CauseSums.of(responses, Hierarchy.of([*responses.codes, "more"]))


def test_with_many_mentions_the_interval_is_the_mean_and_two_errors():
    low, high = mean_interval([40.0], [0.5], respondents=10_000, effective_n=10_000, worst=200.0)
    assert (low[0], high[0]) == pytest.approx((40 - 0.98, 40 + 0.98), abs=0.02)


def test_with_few_mentions_the_interval_stays_above_zero_and_solves_its_equation():
    low, high = mean_interval([1.0], [0.6], respondents=50, effective_n=50, worst=200.0)
    t = student_quantile(50, 0.95)
    for bound in (low[0], high[0]):
        assert (1.0 - bound) ** 2 == pytest.approx(t**2 * 0.6**2 * bound)
    assert 0 < low[0] < 1 < 2.2 < high[0]


def test_where_nothing_varied_the_rule_of_three_says_what_may_still_be_there():
    assert rule_of_three(300) == pytest.approx(0.01, rel=0.002)
    assert rule_of_three(2) == rule_of_three(0) == 1.0
    low, high = mean_interval([0.0, 200.0, 100.0], [0.0] * 3, respondents=300, effective_n=300, worst=200.0)
    np.testing.assert_allclose(low, [0.0, 198.0, 99.0], rtol=1e-3)
    np.testing.assert_allclose(high, [2.0, 200.0, 101.0], rtol=2e-3)


@pytest.mark.parametrize("effective_n", [200.0, 200.0 * (1 - 1e-9), 195.0])
def test_one_mention_has_an_interval_like_that_of_one_event(effective_n):
    """Few or no people who answered twice do not take all degrees of freedom from it."""
    low, high = mean_interval([1.0], [1.0], respondents=200, effective_n=effective_n, worst=200.0)
    assert 0.1 < low[0] < 0.3
    assert 5.0 < high[0] < 7.0  # the exact interval of one event ends at 5.6


def test_one_mention_among_very_uneven_weights_says_little():
    _, high = mean_interval([1.0], [1.0], respondents=200, effective_n=60.0, worst=200.0)
    assert high[0] > 50.0


def test_one_respondent_says_nothing_of_the_error():
    low, high = mean_interval([3.0], [np.nan], respondents=1, effective_n=1, worst=200.0)
    assert np.isnan([low[0], high[0]]).all()


@pytest.mark.parametrize("clustered", [False, True])
def test_the_interval_covers_also_with_few_mentions_and_repeated_respondents(clustered):
    rng = np.random.default_rng(17)
    n, covered, tried = (800 if clustered else 400), np.zeros(2), 400  # 17 people mention "a" on average
    lost_by_class, rates = np.array([0.0, 1.0, 2.0]), np.array([[0.02, 0.05, 0.09], [0.1, 0.2, 0.5]])
    shares = np.array([0.5, 0.25, 0.25])
    both = rates[0] * rates[1]
    truth = 100 * np.array([(shares * lost_by_class * (rate - both / 2)).sum() for rate in rates])
    for _ in range(tried):
        # People who answer again answer alike: the worst case.
        person = rng.integers(0, n // 2, n) if clustered else np.arange(n)
        kind = rng.choice(3, n, p=shares)[person]
        draws = rng.random((n, 2))[person] < rates[:, kind].T
        rows, codes = np.nonzero(draws)
        responses = ScoredResponses.from_arrays(
            NPS, np.array([10, 7, 0])[kind], ("a", "b"), (rows, codes), respondent=person
        )
        sums = sums_of(responses)
        means, errors = sums.contributions.means(), np.sqrt(np.diag(sums.contributions.covariance()))
        size = sums.loss.effective_respondents
        low, high = mean_interval(
            means, errors, respondents=sums.loss.respondents, effective_n=size, worst=200.0
        )
        covered += (low[:2] <= truth) & (truth <= high[:2])
    assert (covered / tried >= 0.92).all()
