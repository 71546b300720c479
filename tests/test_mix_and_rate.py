import json
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from data.errors import InputError
from data.scale import CSAT5, NPS
from model.comparison import Comparison
from model.mentions import ScoredResponses
from model.mix_and_rate import mix_and_rate
from tests.random_responses import CODES, dense_contributions, random_responses


def halves(responses, seed=0):
    after = np.random.default_rng(seed).random(responses.n) < 0.5
    return Comparison.of(responses, ~after, after)


def answers(seed, n, shares, losses, rng=None):
    """Give n answers whose segment follows `shares`, and whose score in it follows `losses` (detractors)."""
    rng = rng or np.random.default_rng(seed)
    group = rng.choice(len(shares), n, p=shares)
    score = np.where(rng.random(n) < np.asarray(losses)[group], 3, 10)
    return score, np.array([f"g{g}" for g in group], dtype=object)


def two_periods(seed, n, before, after):
    rng = np.random.default_rng(seed)
    parts = [answers(seed, n, *laws, rng) for laws in (before, after)]
    score, segment = (np.concatenate(column) for column in zip(*parts, strict=True))
    responses = ScoredResponses.from_arrays(NPS, score, segments={"plan": segment})
    later = np.arange(2 * n) >= n
    return Comparison.of(responses, ~later, later)


@given(
    st.integers(0, 10_000),
    st.integers(4, 60),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, *CODES, "a", "b.two", "uncoded", "no_comment"]),
)
def test_the_parts_are_kitagawas_and_sum_to_the_change_exactly(seed, n, weighted, clustered, cause):
    responses = random_responses(seed, n, weighted=weighted, clustered=clustered)
    weight = responses.weight if responses.weight.sum() else np.ones(n)
    after = np.arange(n) % 2 == 1
    if not (weight[after].sum() and weight[~after].sum()):
        return
    found = mix_and_rate(Comparison.of(responses, ~after, after), "country", cause=cause)
    value = loss_of(responses, cause)
    change = 100 * (
        np.average(value[after], weights=weight[after]) - np.average(value[~after], weights=weight[~after])
    )
    assert found.change == pytest.approx(change, abs=1e-9)
    assert found.mix.points + found.rate.points == pytest.approx(change, abs=1e-9)
    assert math.fsum(v.mix.points for v in found.values) == pytest.approx(found.mix.points, abs=1e-9)
    assert math.fsum(v.rate.points for v in found.values) == pytest.approx(found.rate.points, abs=1e-9)
    assert abs(found.total_check) < 1e-9
    mix = rate = 0.0
    for row in found.values:  # the formula, word by word
        means = row.lost_before, row.lost_after
        first = means[0] if means[0] is not None else means[1]
        second = means[1] if means[1] is not None else means[0]
        mix += (row.share_after - row.share_before) * (first + second) / 2
        rate += (row.share_after + row.share_before) / 2 * (second - first)
    assert found.mix.points == pytest.approx(mix, abs=1e-9)
    assert found.rate.points == pytest.approx(rate, abs=1e-9)


def loss_of(responses, cause):
    dense = dense_contributions(responses)
    silent = ~np.isin(np.arange(responses.n), responses.mention_rows)
    if cause is None:
        return responses.loss
    if cause == "uncoded":
        return responses.loss * (silent & responses.commented)
    if cause == "no_comment":
        return responses.loss * (silent & ~responses.commented)
    below = [code == cause or code.startswith(cause + ".") for code in responses.codes]
    return dense[:, below].sum(axis=1)


def test_more_of_an_unhappy_group_is_mix_and_a_group_that_turns_unhappy_is_rate():
    mix = mix_and_rate(two_periods(1, 4000, ([0.8, 0.2], [0.1, 0.6]), ([0.4, 0.6], [0.1, 0.6])), "plan")
    assert mix.mix.low > 25  # 200 points x 0.4 more of a group that is 0.5 worse
    assert mix.rate.low < 0 < mix.rate.high
    assert mix.values[1].mix.points > 0 < mix.values[0].mix.points  # the better group shrank
    rate = mix_and_rate(two_periods(2, 4000, ([0.5, 0.5], [0.1, 0.3]), ([0.5, 0.5], [0.1, 0.5])), "plan")
    assert rate.mix.low < 0 < rate.mix.high
    assert rate.values[1].rate.low > 10
    assert rate.values[0].rate.low < 0 < rate.values[0].rate.high


def test_a_value_of_one_group_alone_is_all_mix():
    responses = ScoredResponses.from_arrays(
        NPS, [10, 10, 3, 10, 3, 3], segments={"plan": ["a", "a", "a", "a", "new", "new"]}
    )
    later = np.arange(6) >= 3
    found = mix_and_rate(Comparison.of(responses, ~later, later), "plan")
    new = found.values[1]
    assert (new.value, new.lost_before, new.lost_after, new.rate.points) == ("new", None, 200.0, 0.0)
    assert new.mix.points == pytest.approx(2 / 3 * (200 - 100))
    assert any("fewer than 10" in note for note in found.notes)


@pytest.mark.parametrize("clustered", [False, True])
def test_standard_errors_are_those_of_a_stacked_regression(clustered):
    """Each share and mean is a coefficient; the errors come from their joint clustered covariance."""
    comparison = halves(random_responses(3, 300, weighted=True, clustered=clustered))
    found = mix_and_rate(comparison, "country")
    held = comparison.responses.segments["country"][comparison.kept]
    x = np.stack([comparison.side == 0, comparison.side == 1], axis=1).astype(float)
    outcomes, groups = [], ["", "fr", "nl"]
    for g in groups:
        outcomes += [(held == g) * 1.0, (held == g) * comparison.loss * 100]
    fits = [sm.WLS(y, x, weights=comparison.weight).fit() for y in outcomes]
    people, w = comparison.people, comparison.weight
    influence = []  # of each coefficient, by person
    for fit in fits:
        for side in (0, 1):
            lever = w * x[:, side] / (w @ x[:, side])
            by_person = np.bincount(comparison.person, lever * fit.resid)
            influence.append(by_person * (people[side] / (people[side] - 1)) ** 0.5)
    covariance = np.array(influence) @ np.array(influence).T

    def parts(b):
        share, lost = b.reshape(3, 2, 2)[:, 0], b.reshape(3, 2, 2)[:, 1]
        mean = lost / share
        mix = (share[:, 1] - share[:, 0]) @ mean.mean(axis=1)
        return np.array([mix, share.mean(axis=1) @ (mean[:, 1] - mean[:, 0])])

    b = np.concatenate([fit.params for fit in fits])
    step = 1e-6
    slopes = np.array([(parts(b + step * e) - parts(b - step * e)) / (2 * step) for e in np.eye(b.size)]).T
    errors = np.sqrt(np.diag(slopes @ covariance @ slopes.T))
    assert parts(b) == pytest.approx([found.mix.points, found.rate.points])
    assert [found.mix.se, found.rate.se] == pytest.approx(errors, rel=1e-5)


def test_intervals_cover_the_true_parts():
    before, after = ([0.7, 0.2, 0.1], [0.2, 0.3, 0.6]), ([0.5, 0.3, 0.2], [0.2, 0.4, 0.5])
    share, worse = np.array([before[0], after[0]]), 200 * np.array([before[1], after[1]])
    truth = (share[1] - share[0]) @ worse.mean(axis=0), share.mean(axis=0) @ (worse[1] - worse[0])
    covered = np.zeros(2)
    for seed in range(150):
        found = mix_and_rate(two_periods(seed, 200, before, after), "plan")
        covered += [
            part.low <= value <= part.high for part, value in zip((found.mix, found.rate), truth, strict=True)
        ]
    for count in covered:
        assert binomtest(int(count), 150, 0.95, alternative="less").pvalue > 0.01


def test_one_respondent_has_no_interval():
    responses = ScoredResponses.from_arrays(NPS, [3, 10, 7], segments={"plan": ["a", "b", "a"]})
    later = np.array([False, False, True])
    found = mix_and_rate(Comparison.of(responses, ~later, later), "plan")
    assert found.mix.low is None
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["change"] == found.change


def test_what_cannot_be_split_is_said():
    responses = random_responses(1, 300, scale=CSAT5)
    comparison = halves(responses)
    with pytest.raises(InputError, match="there is no segment 'plan'; the segments are: 'country'"):
        mix_and_rate(comparison, "plan")
    with pytest.raises(InputError, match="no response mentions the code 'c.three'"):
        mix_and_rate(comparison, "country", cause="c.three")
    responses.segments["country"][:] = [str(i) for i in range(300)]
    with pytest.raises(InputError, match="has 300 values"):
        mix_and_rate(comparison, "country")
