import dataclasses

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate

from data.errors import InputError
from data.scale import CES7, CSAT5, NPS
from model.audited_rows import AuditedRows
from model.cause_sums import CauseSums
from model.correction import CorrectionSums, corrected_interval
from model.hierarchy import Hierarchy
from model.mentions import ScoredResponses
from model.points_lost import mean_interval
from tests.random_audits import contributions, dense_corrected, random_audit
from tests.random_responses import CODES, dense_mentions, random_responses

TREE = Hierarchy.of(CODES)
SHAPES = given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    scale=st.sampled_from([NPS, CSAT5, CES7]),
    weighted=st.booleans(),
    clustered=st.booleans(),
)


def corrected(responses, audited):
    sums = CauseSums.of(responses, TREE, audited)
    return sums.correction.applied_to(sums.contributions)


def alike(one, other):
    for field in dataclasses.fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9, err_msg=field.name)


@settings(max_examples=60, deadline=None)
@SHAPES
def test_corrected_points_are_the_mean_of_the_formula_and_sum_to_the_metric(
    seed, n, scale, weighted, clustered
):
    responses = random_responses(seed, n, scale=scale, weighted=weighted, clustered=clustered)
    if responses.weight.sum() == 0:
        return
    audited = random_audit(responses, seed)
    means = corrected(responses, audited).means()
    expected = 100 * np.average(dense_corrected(responses, audited), axis=0, weights=responses.weight)
    np.testing.assert_allclose(means[: len(CODES) + 2], expected, atol=1e-9)
    metric = scale.value(responses.loss, responses.weight)
    assert means[: len(CODES) + 2].sum() == pytest.approx(100 - metric, abs=1e-9)
    for place, parent in enumerate(TREE.parents, start=len(CODES) + 2):
        below = [t for t, code in enumerate(TREE.codes) if code.startswith(parent + ".")]
        assert means[place] == pytest.approx(means[below].sum(), abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_errors_are_those_of_a_regression_of_the_formula_clustered_by_respondent(weighted, clustered):
    responses = random_responses(2, 300, weighted=weighted, clustered=clustered)
    audited = random_audit(responses, 3)
    covariance = corrected(responses, audited).covariance()
    counted = responses.weight > 0
    for column, values in enumerate(dense_corrected(responses, audited)[counted].T):
        fit = sm.WLS(100 * values, np.ones(values.size), weights=responses.weight[counted])
        expected = fit.fit(cov_type="cluster", cov_kwds={"groups": responses.respondent[counted]}).bse[0]
        assert np.sqrt(covariance[column, column]) == pytest.approx(expected, rel=1e-9)


def test_a_uniform_audit_gives_the_prediction_powered_mean():
    rng = np.random.default_rng(5)
    n, audited_rows = 20_000, 600
    responses = random_responses(4, n)
    drawn = rng.choice(n, audited_rows, replace=False)
    claimed = contributions(dense_mentions(responses), responses.loss, responses.commented)
    right = rng.random((audited_rows, len(CODES))) < 0.9
    found = np.where(right, dense_mentions(responses)[drawn], rng.random(right.shape) < 0.1)
    found *= responses.commented[drawn, None]
    audited = AuditedRows.from_arrays(
        drawn, np.full(audited_rows, audited_rows / n), CODES, np.nonzero(found)
    )
    true = contributions(found, responses.loss[drawn], responses.commented[drawn])
    sums = corrected(responses, audited)
    means, errors = sums.means(), np.sqrt(np.diag(sums.covariance()))
    for column in range(len(CODES) + 1):
        values = 100 * true[:, column], 100 * claimed[drawn, column], 100 * claimed[:, column]
        assert means[column] == pytest.approx(ppi_mean_pointestimate(*values, lam=1)[0], abs=1e-9)
        low, high = ppi_mean_ci(*values, alpha=0.05, lam=1)
        # It takes the audited rows as a sample of their own; here they are part of the responses.
        assert errors[column] == pytest.approx((high[0] - low[0]) / 2 / 1.95996, rel=0.1)


@settings(max_examples=40, deadline=None)
@SHAPES
def test_sums_of_parts_are_the_sums_of_the_whole(seed, n, scale, weighted, clustered):
    responses = random_responses(seed, n, scale=scale, weighted=weighted, clustered=clustered)
    audited = random_audit(responses, seed)
    names = {
        responses.response_ids[row]: (
            chance,
            frozenset(
                CODES[code]
                for i, code in zip(audited.mention_rows, audited.mention_codes, strict=True)
                if i == at
            ),
        )
        for at, (row, chance) in enumerate(zip(audited.rows, audited.probability, strict=True))
    }

    def sums(mask):
        part = responses.subset(mask)
        return CauseSums.of(part, TREE, AuditedRows.matched(part, names))

    first = responses.respondent % 2 == 0  # nobody in two parts
    merged, whole = sums(first) + sums(~first), CauseSums.of(responses, TREE, audited)
    alike(merged.correction, whole.correction)
    alike(merged.contributions, whole.contributions)


def test_a_part_without_an_audit_adds_no_correction():
    responses = random_responses(3, 40)
    with_audit = CauseSums.of(responses, TREE, random_audit(responses, 1))
    without = CauseSums.of(random_responses(4, 30), TREE)
    assert (without + without).correction is None
    for merged in (with_audit + without, without + with_audit):
        alike(merged.correction, with_audit.correction)


@settings(max_examples=30, deadline=None)
@SHAPES
def test_the_responses_of_audited_people_are_enough(seed, n, scale, weighted, clustered):
    responses = random_responses(seed, n, scale=scale, weighted=weighted, clustered=clustered)
    audited = random_audit(responses, seed, share=0.2)
    kept = np.isin(responses.respondent, responses.respondent[audited.rows])
    part = responses.subset(kept)
    moved = dataclasses.replace(audited, rows=(np.cumsum(kept) - 1)[audited.rows])
    alike(CorrectionSums.of(part, TREE, moved), CorrectionSums.of(responses, TREE, audited))


def test_an_audit_of_everything_gives_what_people_say():
    responses = random_responses(8, 300, weighted=True, clustered=True)
    said = random_responses(9, 300, mentions_each=0.8)
    rows = np.flatnonzero(responses.commented)
    place = np.full(300, -1)
    place[rows] = np.arange(rows.size)
    held = place[said.mention_rows] >= 0
    audited = AuditedRows.from_arrays(
        rows, np.ones(rows.size), CODES, (place[said.mention_rows[held]], said.mention_codes[held])
    )
    labelled = ScoredResponses.from_arrays(
        NPS,
        responses.score,
        CODES,
        (said.mention_rows[held], said.mention_codes[held]),
        weight=responses.weight,
        respondent=responses.respondent,
        commented=responses.commented,
    )
    machine, people = CauseSums.of(responses, TREE, audited), CauseSums.of(labelled, TREE)
    added = machine.correction
    total = added.applied_to(machine.contributions)
    np.testing.assert_allclose(total.means(), people.contributions.means(), atol=1e-9)
    np.testing.assert_allclose(total.covariance(), people.contributions.covariance(), atol=1e-9)
    np.testing.assert_allclose(machine.alone + added.alone, people.alone, atol=1e-7)
    np.testing.assert_allclose(machine.by_class + added.by_class, people.by_class, atol=1e-7)
    np.testing.assert_allclose(machine.mentions.loss + added.anywhere, people.mentions.loss, atol=1e-7)
    assert (added.missed[1] == 0).all()
    assert (added.imagined[1] == 0).all()


def built(n, claimed, said, drawn, chance):
    """Give n detractors with a comment, of whom some mention ``a`` by the model and by people."""
    responses = ScoredResponses.from_arrays(
        NPS, [0] * n, ("a",), (claimed, [0] * len(claimed)), commented=[True] * n
    )
    audited = AuditedRows.from_arrays(drawn, [chance] * len(drawn), ("a",), (said, [0] * len(said)))
    sums = CauseSums.of(responses, Hierarchy.of(["a"]), audited)
    low, high = corrected_interval(sums.contributions, sums.correction, worst=2.0)
    return sums, sums.correction.applied_to(sums.contributions).means(), low, high


def test_a_corrected_value_may_lie_below_zero():
    # Of 1,000 responses 10 are claimed, all of them audited by chance and wrong.
    sums, means, low, high = built(1000, list(range(10)), [], list(range(100)), 0.1)
    assert means[0] == pytest.approx(2.0 - 20.0)
    assert low[0] <= means[0]
    assert high[0] > 0.0  # the truth is no less than 0, and what was claimed bounds what was imagined
    assert means.sum() == pytest.approx(200.0)
    assert sums.correction.positives.tolist() == [0, 100, 0]


def test_where_the_audit_found_no_error_the_interval_still_allows_for_one():
    said = [0, 1, 2]
    sums, means, low, high = built(1000, list(range(30)), said, [*said, *range(30, 127)], 0.1)
    plain = mean_interval(
        means[:1],
        np.sqrt(np.diag(sums.contributions.covariance()))[:1],
        respondents=1000,
        effective_n=1000,
        worst=200.0,
    )
    assert means[0] == pytest.approx(6.0)
    # About 3.7 responses like an audited one, each standing for ten, may have been missed.
    assert high[0] == pytest.approx(6.0 + 3.84 * 0.9 * 10 * 0.2, rel=0.1)
    assert -1.0 < low[0] < plain[0][0]


def test_what_no_error_can_touch_has_the_margins_of_sampling_alone():
    responses = random_responses(6, 500)
    sums = CauseSums.of(responses, TREE, random_audit(responses, 6))
    assert sums.correction.totals[len(CODES) + 1] == 0.0
    assert sums.correction.exposed[0, len(CODES) + 1] == 0.0


@pytest.mark.parametrize(
    ("rows", "chance", "words"),
    [([0, 0], [1, 1], "stands twice"), ([0], [0.0], "above 0"), ([0], [1.5], "at most 1")],
)
def test_rows_that_no_audit_can_draw_are_refused(rows, chance, words):
    with pytest.raises(InputError, match=words):
        AuditedRows.from_arrays(rows, chance, ("a",), ((), ()))


def test_one_audited_row_says_nothing_of_the_error():
    *_, low, high = built(10, [1], [], [1], 0.5)
    assert np.isnan([low, high]).all()


def simulate(rng, shares, rates, missed, imagined):
    """Give 1,500 responses with the model's codes, an audit of 300 of them, and nothing of the truth."""
    kind = rng.choice(3, 1500, p=shares)
    true = rng.random((1500, rates.shape[1])) < rates[kind]
    claimed = np.where(
        true,
        rng.random(true.shape) >= missed[kind][:, None],
        rng.random(true.shape) < imagined[kind][:, None],
    )
    codes = tuple(f"c{t}" for t in range(rates.shape[1]))
    responses = ScoredResponses.from_arrays(
        NPS, np.array([10, 7, 0])[kind], codes, np.nonzero(claimed), commented=np.ones(1500, dtype=bool)
    )
    drawn = rng.choice(1500, 300, replace=False)
    return responses, AuditedRows.from_arrays(drawn, np.full(300, 0.2), codes, np.nonzero(true[drawn]))


def test_intervals_cover_what_uncorrected_ones_miss():
    rng = np.random.default_rng(11)
    shares, loss = np.array([0.5, 0.25, 0.25]), np.array([0.0, 1.0, 2.0])
    rates = np.array([0.3, 1.0, 1.9])[:, None] * np.array([0.01, 0.03, 0.06, 0.15])
    missed, imagined = np.array([0.1, 0.2, 0.4]), np.array([0.005, 0.02, 0.01])
    # The mean share of a code among those of a comment, over what its other codes may be.
    kinds = rng.choice(3, 400_000, p=shares)
    many = rng.random((400_000, 4)) < rates[kinds]
    truth = 100 * contributions(many, loss[kinds], np.ones(400_000, dtype=bool)).mean(axis=0)[:5]
    tree, tried = Hierarchy.of([f"c{t}" for t in range(4)]), 250
    covered, plain = np.zeros(5), np.zeros(5)
    for _ in range(tried):
        responses, audited = simulate(rng, shares, rates, missed, imagined)
        sums = CauseSums.of(responses, tree, audited)
        low, high = corrected_interval(sums.contributions, sums.correction, worst=2.0)
        covered += (low[:5] <= truth) & (truth <= high[:5])
        means = sums.contributions.means()
        errors = np.sqrt(np.diag(sums.contributions.covariance()))
        low, high = mean_interval(means, errors, respondents=1500, effective_n=1500, worst=200.0)
        plain += (low[:5] <= truth) & (truth <= high[:5])
    assert (covered / tried >= 0.93).all(), covered / tried
    assert plain[3] / tried < 0.5


def test_people_who_answer_alike_are_worth_fewer_though_the_model_errs_on_each_answer_anew():
    rng = np.random.default_rng(2)
    person = np.arange(2000) // 4  # everybody answers four times, and says the same
    true = (rng.random(500) < 0.2)[person]
    claimed = np.where(true, rng.random(2000) < 0.5, rng.random(2000) < 0.05)
    drawn = rng.choice(2000, 800, replace=False)
    audited = AuditedRows.from_arrays(
        drawn, np.full(800, 0.4), ("a",), (np.flatnonzero(true[drawn]), [0] * int(true[drawn].sum()))
    )
    widths = []
    for people in (person, np.arange(2000)):
        responses = ScoredResponses.from_arrays(
            NPS,
            [0] * 2000,
            ("a",),
            (np.flatnonzero(claimed), [0] * int(claimed.sum())),
            commented=[True] * 2000,
            respondent=people,
        )
        sums = CauseSums.of(responses, Hierarchy.of(["a"]), audited)
        low, high = corrected_interval(sums.contributions, sums.correction, worst=2.0)
        widths.append(high[0] - low[0])
    # By what people say alone the error is 200 * sqrt(0.2 * 0.8 / 500), about 3.6.
    assert widths[0] > 2 * 1.96 * 3.5
    assert widths[0] > 1.3 * widths[1]
