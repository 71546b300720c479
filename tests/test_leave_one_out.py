import numpy as np
import pytest
import statsmodels.api as sm

from data.scale import CSAT5, NPS
from model.cause_sums import CauseSums
from model.hierarchy import Hierarchy
from model.leave_one_out import FEW_MENTIONS, leave_one_out
from model.mentions import ScoredResponses
from tests.random_responses import dense_mentions, random_responses


def impacts(responses, pseudo=(2.0, 1.0, 0.0)):
    sums = CauseSums.of(responses, Hierarchy.of(responses.codes))
    return leave_one_out(
        sums.mentions,
        weight=sums.loss.weight,
        loss=float(sums.loss.weights @ sums.loss.class_losses),
        moments=sums.loss.moments,
        n=sums.loss.n,
        respondents=sums.loss.respondents,
        pseudo_losses=pseudo,
    )


def by_formula(responses, mentioned):
    """Give I_t and its error from the written definition, on dense arrays."""
    kept = responses.weight > 0
    w, y, m = responses.weight[kept], 1 - responses.loss[kept], mentioned[kept]
    mean, without, share = (
        np.average(y, weights=w),
        np.average(y, weights=w * (1 - m)),
        np.average(m, weights=w),
    )
    phi = (y - mean) - (1 - m) * (y - without) / (1 - share)
    fit = sm.WLS(100 * phi, np.ones(phi.size), weights=w)
    error = fit.fit(cov_type="cluster", cov_kwds={"groups": responses.respondent[kept]}).bse[0]
    return 100 * (mean - without), error


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("scale", [NPS, CSAT5])
def test_impact_and_error_are_those_of_the_influence_function(weighted, clustered, scale):
    responses = random_responses(6, 250, weighted=weighted, clustered=clustered, scale=scale)
    found = impacts(responses)
    for code, mentioned in enumerate(dense_mentions(responses).T):
        value, error = by_formula(responses, mentioned)
        assert found.value[code] == pytest.approx(value, rel=1e-9)
        assert found.error[code] == pytest.approx(error, rel=1e-8)
        assert not found.shrunk[code]


def test_impact_is_what_the_industry_computes():
    responses = random_responses(7, 200)
    mentioned = dense_mentions(responses)[:, 0].astype(bool)
    nps, of_code = (responses.scale.value(responses.loss[part]) for part in (slice(None), mentioned))
    n = mentioned.sum()
    assert impacts(responses).value[0] == pytest.approx(n * (of_code - nps) / (200 - n))


@pytest.mark.parametrize("clustered", [False, True])
def test_the_error_agrees_with_the_jackknife(clustered):
    responses = random_responses(8, 300, clustered=clustered, weighted=True)
    people = np.unique(responses.respondent[responses.weight > 0])
    left_out = np.array([impacts(responses.subset(responses.respondent != p)).value[:6] for p in people])
    deviations = left_out - left_out.mean(axis=0)
    jackknife = np.sqrt((deviations**2).sum(axis=0) * (people.size - 1) / people.size)
    np.testing.assert_allclose(impacts(responses).error[:6], jackknife, rtol=0.05)


def test_a_parent_is_the_or_of_its_codes_and_not_their_sum():
    responses = random_responses(9, 300, mentions_each=2.0)
    found, mentions = impacts(responses), dense_mentions(responses)
    parent = len(responses.codes) + 2  # the first parent, after the buckets: a, of a.one and a.two
    value, error = by_formula(responses, mentions[:, :2].max(axis=1))
    assert found.value[parent] == pytest.approx(value)
    assert found.error[parent] == pytest.approx(error)
    assert found.value[parent] != pytest.approx(found.value[:2].sum(), rel=1e-3)


@pytest.mark.parametrize(("scale", "losses"), [(NPS, (2.0, 1.0, 0.0)), (CSAT5, (1.0, 0.0))])
@pytest.mark.parametrize("weighted", [False, True])
def test_below_ten_mentions_pseudo_rows_are_added(scale, losses, weighted):
    rng = np.random.default_rng(2)
    score = rng.integers(scale.low, scale.high + 1, 80)
    weight = rng.exponential(3.0, 80) if weighted else np.ones(80)
    few = np.arange(FEW_MENTIONS - 1)
    responses = ScoredResponses.from_arrays(scale, score, ("t",), (few, few * 0), weight=weight)
    found = impacts(responses, losses)
    # The same by hand: rows that mention the code, of every class, together worth one response.
    classes = {loss: int(score[scale.loss(score) == loss][0]) for loss in losses}
    added = [classes[loss] for loss in losses]
    shares = np.full(len(losses), weight.mean() / len(losses))
    longer = ScoredResponses.from_arrays(
        scale, np.append(score, added), weight=np.append(weight, shares), commented=np.ones(80 + len(losses))
    )
    mentioned = np.isin(np.arange(longer.n), [*few, *range(80, longer.n)]).astype(float)
    value, error = by_formula(longer, mentioned)
    assert found.shrunk[0]
    assert found.value[0] == pytest.approx(value)
    assert found.error[0] == pytest.approx(error)
    more = np.arange(FEW_MENTIONS)
    assert not impacts(ScoredResponses.from_arrays(scale, score, ("t",), (more, more * 0))).shrunk[0]


def test_never_and_always_mentioned_codes_have_no_impact():
    everyone = np.arange(30)
    responses = ScoredResponses.from_arrays(
        NPS, everyone % 11, ("always", "never"), (everyone, everyone * 0), weight=1 + everyone / 7
    )
    found = impacts(responses)
    assert np.isnan(found.value[:2]).all()
    assert np.isnan(found.error[:2]).all()


def test_the_interval_covers():
    rng = np.random.default_rng(23)
    shares, rates = np.array([0.3, 0.3, 0.4]), np.array([0.3, 0.2, 0.05])
    y = np.array([-1.0, 0.0, 1.0])
    rest = shares * (1 - rates)
    truth = 100 * ((shares * y).sum() - (rest * y).sum() / rest.sum())
    covered = 0
    for _ in range(400):
        kind = rng.choice(3, 250, p=shares)
        rows = np.flatnonzero(rng.random(250) < rates[kind])
        found = impacts(
            ScoredResponses.from_arrays(NPS, np.array([0, 7, 10])[kind], ("t",), (rows, rows * 0))
        )
        covered += abs(found.value[0] - truth) <= 1.97 * found.error[0]
    assert covered / 400 >= 0.92
