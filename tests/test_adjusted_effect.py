import dataclasses

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from data.scale import CSAT5, NPS
from model.adjusted_effect import adjusted_effects
from model.cause_regression import CauseRegression
from model.control_columns import ControlColumns
from model.mentions import ScoredResponses
from model.root_causes import rank_root_causes
from tests.random_responses import CODES, dense_mentions, random_responses


def effects(responses, **more):
    return adjusted_effects(responses, rank_root_causes(responses), **more)


def survey(score, *codes, **more):
    """Give responses from one 0/1 column for each code."""
    rows, places = np.nonzero(np.stack(codes, axis=1))
    names = [f"c{place}" for place in range(len(codes))]
    return ScoredResponses.from_arrays(NPS, score, names, (rows, places), **more)


def columns(n, *shares, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.random(n) < share).astype(int) for share in shares]


def design_of(responses, controls=("country",)):
    dummies = [
        responses.segments[name] == value
        for name in controls
        for value in sorted(set(responses.segments[name]))[1:]
    ]
    return np.column_stack([dense_mentions(responses), np.ones(responses.n), *dummies]).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
def test_beta_is_that_of_statsmodels(weighted):
    responses = random_responses(3, 700, weighted=weighted)
    kept = responses.subset(responses.weight > 0)
    fit = sm.WLS(1 - kept.loss, design_of(kept), weights=kept.weight).fit(cov_type="HC3")
    share = kept.weight @ dense_mentions(kept) / kept.weight.sum()
    found = effects(responses)
    assert found.controls == ("country",)
    assert {row.code: row.value for row in found.rows} == pytest.approx(
        dict(zip(CODES, 100 * share * fit.params[: len(CODES)], strict=True))
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_of_beta_is_hc3(weighted):
    responses = random_responses(4, 600, weighted=weighted)
    kept = responses.subset(responses.weight > 0)
    fit = sm.WLS(1 - kept.loss, design_of(kept), weights=kept.weight).fit(cov_type="HC3")
    own = CauseRegression.of(kept, CODES, ControlColumns.of(kept, len(CODES)))
    errors = np.sqrt(((own.lever * own.residual) ** 2).sum(axis=1))
    np.testing.assert_allclose(errors, fit.bse[: len(CODES)], rtol=1e-9)


def test_the_error_is_that_of_leaving_out_one_respondent_after_the_other():
    responses = random_responses(5, 400, clustered=True, codes=("a", "b"), mentions_each=0.5)
    ranking = rank_root_causes(responses)
    people = np.unique(responses.respondent)

    def values(part):
        found = adjusted_effects(part, ranking, controls=())
        return np.array([row.value for row in found.rows])

    left = np.array([values(responses.subset(responses.respondent != who)) for who in people])
    jackknife = np.sqrt((people.size - 1) * left.var(axis=0))
    found = [row.se for row in adjusted_effects(responses, ranking, controls=()).rows]
    np.testing.assert_allclose(found, jackknife, rtol=0.02)


def test_clustered_errors_are_those_of_statsmodels_up_to_the_leverage():
    responses = random_responses(6, 1500, clustered=True)
    own = CauseRegression.of(responses, CODES, ControlColumns.of(responses, len(CODES)))
    fit = sm.OLS(1 - responses.loss, design_of(responses)).fit(
        cov_type="cluster", cov_kwds={"groups": responses.respondent}
    )
    by_person = np.zeros((len(CODES), responses.respondent.max() + 1))
    for code in range(len(CODES)):
        np.add.at(by_person[code], responses.respondent, own.lever[code] * own.residual)
    np.testing.assert_allclose(np.sqrt((by_person**2).sum(axis=1)), fit.bse[: len(CODES)], rtol=0.02)


def test_a_code_that_only_comes_with_another_changes_its_sign():
    trouble, praise_like = columns(2000, 0.3, 0.5, seed=1)
    innocent = trouble & praise_like | columns(2000, 0.03, seed=2)[0]
    rng = np.random.default_rng(3)
    score = np.clip(np.round(9 - 6 * trouble + 1.5 * innocent + rng.normal(size=2000)), 0, 10)
    found = effects(survey(score, trouble, innocent))
    first, second = found.of("c0"), found.of("c1")
    assert first.value < first.impact < 0
    assert first.disagrees is False
    assert second.impact < 0 < second.low < second.value
    assert second.disagrees is True
    assert any("differ in sign" in note for note in found.notes)


def test_segments_and_months_are_held_equal():
    rng = np.random.default_rng(4)
    unhappy = rng.random(3000) < 0.4
    code = (rng.random(3000) < np.where(unhappy, 0.4, 0.05)).astype(int)
    score = np.where(unhappy, rng.integers(0, 9, 3000), rng.integers(7, 11, 3000))
    for name in ("country", "month"):
        values = np.where(unhappy, "2026-01", "2026-02").astype(object)
        found = effects(survey(score, code, segments={name: values}))
        (row,) = found.rows
        assert found.controls == (name,)
        assert row.impact < -8
        assert row.low < 0 < row.high
    assert not effects(survey(score, code, segments={"id": np.arange(3000).astype(str)})).controls


@pytest.mark.parametrize("scale", [NPS, CSAT5])
def test_the_interval_holds_the_value_and_the_error_grows_with_repeats(scale):
    responses = random_responses(7, 900, scale=scale)
    once, twice = effects(responses), effects(doubled(responses))
    for row, other in zip(once.rows, twice.rows, strict=True):
        assert row.low < row.value < row.high
        assert other.value == pytest.approx(row.value)
        assert other.se == pytest.approx(row.se, rel=0.05)
    assert (twice.n, twice.respondents) == (1800, 900)


def doubled(responses):
    """Give every response twice, by the same respondent."""
    twice = np.tile(np.arange(responses.n), 2)
    mentions = dense_mentions(responses)[twice]
    return ScoredResponses.from_arrays(
        responses.scale,
        responses.score[twice],
        responses.codes,
        np.nonzero(mentions),
        respondent=responses.respondent[twice],
        segments={name: values[twice] for name, values in responses.segments.items()},
    )


def test_without_promoters_tags_there_is_none():
    mentioned, silent = columns(500, 0.3, 0.5, seed=5)
    score = np.where(mentioned, 3, 9)
    found = effects(survey(score, mentioned, commented=np.ones(500)))
    assert [row.reason for row in found.rows] == ["promoters_not_tagged"]
    assert found.rows[0].value is found.rows[0].disagrees is None
    assert found.n == 0
    everyone = effects(survey(np.full(500, 2), mentioned, silent))
    assert {row.reason for row in everyone.rows} == {"all_in_one_class"}


def test_what_cannot_be_told_apart_is_collinear():
    first, other = columns(800, 0.2, 0.3, seed=6)
    score = np.random.default_rng(6).integers(0, 11, 800)
    found = effects(survey(score, first, first, other))
    assert [found.of(code).reason for code in ("c0", "c1", "c2")] == ["collinear", "collinear", None]
    shop = np.where(first, "north", "south").astype(object)
    found = effects(survey(score, first, other, segments={"shop": shop}))
    assert [found.of(code).reason for code in ("c0", "c1")] == ["collinear", None]


def test_nested_segments_disturb_no_code():
    code = columns(900, 0.2, seed=7)
    rng = np.random.default_rng(7)
    city = rng.choice(["lyon", "nice", "bonn"], 900).astype(object)
    land = np.where(city == "bonn", "de", "fr").astype(object)
    score = rng.integers(0, 11, 900)
    both = effects(survey(score, *code, segments={"city": city, "land": land}))
    (one,) = effects(survey(score, *code, segments={"city": city})).rows
    assert both.controls == ("city", "land")
    assert both.rows[0].value == pytest.approx(one.value)
    assert both.rows[0].se == pytest.approx(one.se)


def test_too_few_and_mentioned_by_all_say_so():
    score = np.random.default_rng(8).integers(0, 11, 40)
    rare, common = np.arange(40) < 12, np.ones(40)
    found = effects(survey(score, rare, common))
    assert found.of("c1").reason == "mentioned_by_all"
    few = np.zeros((14, 14), dtype=int)
    few[:, :] = 1
    few[np.arange(14), np.arange(14)] = 0
    found = effects(survey(np.arange(14) % 11, *few))
    assert {row.reason for row in found.rows} == {"too_few"}


def test_a_segment_with_too_many_values_is_left_out():
    (code,) = columns(300, 0.3, seed=9)
    rng = np.random.default_rng(9)
    wide = np.array([f"v{place % 30}" for place in range(300)], dtype=object)
    narrow = rng.choice(["a", "b"], 300).astype(object)
    found = effects(survey(rng.integers(0, 11, 300), code, segments={"wide": wide, "narrow": narrow}))
    assert found.controls == ("narrow",)
    assert any("'wide' was left out" in note for note in found.notes)


def test_rare_values_share_a_column():
    values = np.array(["a"] * 50 + ["b"] * 30 + ["x"] * 4 + [""] * 3 + ["y"] * 5, dtype=object)
    responses = ScoredResponses.from_arrays(NPS, np.full(92, 5), segments={"s": values})
    chosen = ControlColumns.of(responses, 1, ["s"])
    assert chosen.width == 3
    assert chosen.matrix().sum(axis=0).tolist() == [92, 30, 12]


def test_a_sample_of_many_responses_is_near_and_says_so():
    responses = random_responses(10, 20_000)
    whole, part = effects(responses), effects(responses, most_cells=80_000)
    assert 7_000 < part.n < 11_000
    assert any("random sample" in note for note in part.notes)
    for row, other in zip(whole.rows, part.rows, strict=True):
        assert abs(row.value - other.value) < 4 * other.se
    assert effects(responses, most_cells=80_000) == part


@settings(max_examples=30)
@given(seed=st.integers(0, 500), n=st.integers(1, 150))
def test_every_eligible_code_has_a_value_or_a_reason(seed, n):
    responses = random_responses(seed, n, weighted=bool(seed % 2), clustered=bool(seed % 3))
    ranking = rank_root_causes(responses)
    found = adjusted_effects(responses, ranking)
    assert [row.code for row in found.rows] == [row.code for row in ranking.rows if row.status == "eligible"]
    for row in found.rows:
        figures = row.value, row.se, row.low, row.high
        assert (row.reason is None) == all(figure is not None for figure in figures)
        if row.reason is None:
            assert all(np.isfinite(figures))
            assert row.low <= row.value <= row.high
    assert found.to_dict()["rows"] == [dataclasses.asdict(row) for row in found.rows]
