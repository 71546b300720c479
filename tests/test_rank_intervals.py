import numpy as np
import pytest
from scipy.stats import norm

from model.rank_intervals import rank_intervals


def ranked(values, covariance, **more):
    return rank_intervals(
        np.array(values, dtype=float), np.array(covariance), **{"respondents": 5000, **more}
    )


def test_far_apart_means_a_settled_order():
    found = ranked([1.0, 9.0, 5.0], 0.01 * np.eye(3))
    assert (
        found.rank.tolist() == found.low.tolist() == found.high.tolist() == found.tier.tolist() == [3, 1, 2]
    )


def test_what_cannot_be_told_apart_shares_its_ranks_and_its_tier():
    found = ranked([5.0, 5.1, 1.0, 0.9], 0.04 * np.eye(4))
    assert found.rank.tolist() == [2, 1, 3, 4]
    assert found.low.tolist() == [1, 1, 3, 3]
    assert found.high.tolist() == [2, 2, 4, 4]
    assert found.tier.tolist() == [1, 1, 2, 2]


def test_ties_go_to_the_earlier_even_after_rounding_error():
    found = ranked([0.3 - 1e-13, 0.3, 0.1 + 0.2], np.eye(3))
    assert found.rank.tolist() == [1, 2, 3]


def test_an_uncertain_estimate_can_share_the_leaders_tier():
    found = ranked([10.0, 8.0, 7.0], np.diag([0.01, 0.01, 4.0]))
    assert found.tier.tolist() == [1, 2, 1]


def test_two_estimates_are_told_apart_as_one_z_test_would():
    assert ranked([1.0, 0.0], np.eye(2)).critical == pytest.approx(norm.ppf(0.975), abs=0.06)
    assert ranked([1.0, 0.0], np.eye(2), respondents=6).critical == pytest.approx(2.57, abs=0.15)  # t with 5


def test_positive_covariance_makes_a_difference_surer():
    apart, close = ([[1.0, r], [r, 1.0]] for r in (0.0, 0.99))
    assert ranked([1.0, 0.0], apart).tier.tolist() == [1, 1]
    assert ranked([1.0, 0.0], close).tier.tolist() == [1, 2]


@pytest.mark.parametrize("k", [0, 1])
def test_nothing_to_compare(k):
    found = ranked([2.0] * k, np.eye(k))
    assert found.rank.tolist() == found.low.tolist() == found.high.tolist() == found.tier.tolist() == [1] * k


def test_without_a_known_error_nothing_is_told_apart():
    unknown = ranked([3.0, 1.0], np.full((2, 2), np.nan), respondents=1)
    certain = ranked([3.0, 1.0], np.ones((2, 2)))
    for found in (unknown, certain):
        assert (found.low.tolist(), found.high.tolist(), found.tier.tolist()) == ([1, 1], [2, 2], [1, 1])


def test_the_same_data_give_the_same_answer():
    root = np.random.default_rng(1).normal(size=(8, 8))
    values, covariance = np.arange(8.0), root @ root.T / 8
    first, again = (ranked(values, covariance) for _ in range(2))
    assert first.critical == again.critical
    assert ranked(values, covariance * (1 + 1e-14)).critical == pytest.approx(first.critical, abs=1e-6)


def test_all_true_ranks_lie_in_their_intervals_at_once():
    rng = np.random.default_rng(9)
    truth = np.array([5.0, 4.5, 4.4, 3.0, 1.0])
    root = rng.normal(size=(5, 5)) / 4
    covariance = root @ root.T + 0.02 * np.eye(5)
    draws = rng.multivariate_normal(truth, covariance, 300)
    covered = 0
    for values in draws:
        found = rank_intervals(values, covariance, respondents=5000)
        covered += bool(np.all((found.low <= np.arange(1, 6)) & (np.arange(1, 6) <= found.high)))
    assert covered / 300 >= 0.93
