from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from data.audit_trail import AuditTrail
from data.follow_up_pairs import ScorePair, read_pairs
from data.follow_ups import FollowUps, Opening, follow_up_id
from data.scale import NPS
from data.store import Store
from model.follow_up_effect import follow_up_effect
from tests.stubs import tagged


def drawn(n=200, effect=0.0, seed=3):
    """Draw customers whose answers scatter around what they feel: those picked for a low one rise."""
    rng = np.random.default_rng(seed)
    feeling = rng.normal(6.5, 1.5, 6 * n)
    first = np.clip(np.round(feeling + rng.normal(0, 2, 6 * n)), 0, 10)
    low = first <= 6
    followed = rng.random(6 * n) < 0.5
    second = np.clip(np.round(feeling + effect * followed + rng.normal(0, 2, 6 * n)), 0, 10)
    return first[low][:n], second[low][:n], followed[low][:n]


def test_the_figures_are_those_of_the_textbooks():
    first, second, followed = drawn(effect=1.0)
    found = follow_up_effect(first, second, followed)
    change = second - first
    low, high = stats.ttest_1samp(change[followed], 0).confidence_interval()
    assert (found.followed.low, found.followed.high) == pytest.approx((low, high))
    welch = stats.ttest_ind(change[followed], change[~followed], equal_var=False).confidence_interval()
    assert (found.difference.low, found.difference.high) == pytest.approx(tuple(welch))
    fit = sm.OLS(second, sm.add_constant(np.column_stack([followed, first]))).fit(cov_type="HC3", use_t=True)
    assert found.adjusted.estimate == pytest.approx(fit.params[1])
    assert (found.adjusted.low, found.adjusted.high) == pytest.approx(tuple(fit.conf_int()[1]))


def test_regression_to_the_mean_alone_is_no_difference():
    """Every group rises though nobody did anything; the difference says so."""
    covered = 0
    for seed in range(60):
        found = follow_up_effect(*drawn(seed=seed))
        assert found.followed.low > 0
        assert found.not_followed.low > 0
        covered += found.adjusted.low <= 0 <= found.adjusted.high
    assert covered >= 52  # 57 are expected; fewer than 52 have a chance of 1 in 60


def test_few_customers_are_not_compared():
    found = follow_up_effect([3, 4, 2], [5, 6, 7], [True, False, False])
    assert (found.difference, found.adjusted) == (None, None)
    assert (found.followed.change, found.followed.low) == (2, None)
    assert any("not compared" in note for note in found.notes)
    empty = follow_up_effect([], [], []).to_dict()
    assert (empty["followed"]["n"], empty["followed"]["change"]) == (0, None)


def test_groups_without_spread_do_not_break_it():
    followed = np.arange(30) < 15
    flat = follow_up_effect(np.full(30, 3), np.where(followed, 5, 4), followed)
    assert (flat.difference.low, flat.difference.high) == (1, 1)
    assert flat.adjusted.estimate == pytest.approx(1)
    apart = follow_up_effect(np.where(followed, 2, 6), np.full(30, 5), followed)
    assert apart.adjusted is None  # the first score says all about who was followed up
    assert all("regression to the mean" in " ".join(one.notes) for one in (flat, apart))


def test_pairs_are_of_a_customers_first_low_score_and_the_next(tmp_path):
    start = datetime(2026, 4, 1, tzinfo=UTC)

    def answer(key, who, score, day):
        return tagged(key, score, None, respondent_id=who, responded_at=start + timedelta(days=day))

    with Store.open(f"sqlite:///{tmp_path}/s.sqlite") as store:
        store.upsert(
            [
                answer("a1", "ann", 9, 0),
                answer("a2", "ann", 3, 5),
                answer("a3", "ann", 7, 9),
                answer("a4", "ann", 2, 12),
                answer("b1", "bob", 5, 0),
                answer("b2", "bob", 4, 9),
                answer("c1", "cid", 1, 0),
                answer("c2", "cid", 8, 1),
                answer("d1", "dan", 2, 0),
                answer("e1", "eve", 9, 0),
                answer("e2", "eve", 2, 4),
                answer("f1", None, 2, 4),
            ]
        )
        follow_ups = FollowUps(store, AuditTrail(bytes(32)))
        with store.writing() as connection:
            openings = [Opening(key, "contact", "r", None, None) for key in ("a2", "b1", "c1")]
            follow_ups.open(connection, openings, start)
        for key, outcome, day in [("a2", "recovered", 6), ("b1", "not_reached", 1), ("c1", "recovered", 3)]:
            one = follow_up_id(key, "contact")
            follow_ups.move(one, "resolved", "ana", start + timedelta(days=day), outcome=outcome)
        found = read_pairs(store, NPS)
    assert found.pairs == (ScorePair(3, 7, True), ScorePair(5, 4, False))
    assert found.too_late == 1  # cid had answered before anybody called
