import json
from datetime import date, timedelta

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, hypergeom, norm
from statsmodels.stats.multitest import multipletests

from data.annotations import POLARITIES
from data.responses import read_responses
from data.sample import sample_path
from data.scale import CSAT5, NPS
from data.tags import Tag, TaggedResponse
from model.contrasts import LEVEL, Design, Partition, gap, slope, stratified_score, two_sided_p
from model.contributions import Contributions, power_sums
from model.false_discovery import q_values
from model.findings import find_all, find_changes, find_hotspots
from model.hotspots import segments_to_search
from model.mentions import ScoredResponses
from model.periods import with_periods

MONDAY = date(2026, 1, 5)


def monday(week):
    return (MONDAY + timedelta(weeks=int(week))).isoformat()


def simulate(seed, n, rates, *, weeks=26, segments=None, weighted=False, repeats=None, scale=NPS):
    """Give responses; `rates` maps a code to its chance of a mention, a number or a function."""
    rng = np.random.default_rng(seed)
    person = np.arange(n) if repeats is None else rng.integers(0, n // repeats, n)
    week = rng.integers(0, weeks, n) if weeks else None
    drawn = {name: draw(rng, n) for name, draw in (segments or {}).items()}
    share = np.stack(
        [np.broadcast_to(rate(week, drawn) if callable(rate) else rate, n) for rate in rates.values()], axis=1
    )
    rows, codes = np.nonzero(rng.random(share.shape) < share)
    named = (
        dict(drawn) if week is None else drawn | {"week": np.array([monday(w) for w in week], dtype=object)}
    )
    return ScoredResponses.from_arrays(
        scale,
        rng.choice([2, 5, 4], n) if scale is CSAT5 else rng.choice([3, 7, 10], n, p=[0.5, 0.2, 0.3]),
        tuple(rates),
        (rows, codes),
        respondent=person,
        weight=rng.lognormal(0.0, 1.0, n) if weighted else None,
        segments=named,
    )


def choice(*values, p=None):
    return lambda rng, n: rng.choice(values, n, p=p).astype(object)


def triple(found):
    return {(spot.code, spot.segment, spot.value) for spot in found}


# Changes


@pytest.mark.parametrize("weighted", [False, True])
def test_a_spike_is_found_with_its_weeks_and_size(weighted):
    rates = {"bill": lambda week, _: np.where((week >= 13) & (week < 17), 0.30, 0.05), "calm": 0.1}
    (change,) = find_changes(simulate(1, 4000, rates, weighted=weighted))
    assert (change.code, change.shape, change.direction) == ("bill", "spike", "worse")
    assert change.start_week in {monday(12), monday(13), monday(14)}
    assert change.end_week in {monday(15), monday(16), monday(17)}
    assert change.low < 100 * 1.2 * 0.25 < change.high
    assert change.p_value < 0.001
    assert change.q_value < 0.01
    until = date.fromisoformat(change.end_week) + timedelta(days=6)
    assert change.sentence == (
        f"bill up {change.points:.1f} points [{change.low:.1f}, {change.high:.1f}] "
        f"from {change.start_week} to {until}"
    )


def test_a_step_lasts():
    rates = {"a": lambda week, _: np.where(week >= 15, 0.06, 0.2), "calm": 0.1}
    (change,) = find_changes(simulate(2, 4000, rates))
    assert (change.code, change.shape, change.direction) == ("a", "step", "better")
    assert change.start_week in {monday(14), monday(15), monday(16)}
    assert change.end_week is None
    assert change.low < -100 * 1.2 * 0.14 < change.high < 0
    assert change.sentence == (
        f"a down {-change.points:.1f} points [{-change.high:.1f}, {-change.low:.1f}] "
        f"since {change.start_week}"
    )


def test_a_trend_runs_over_all_weeks():
    rates = {"a": lambda week, _: 0.24 - 0.2 * week / 25, "calm": 0.1}
    (change,) = find_changes(simulate(3, 4000, rates))
    assert (change.code, change.shape, change.direction) == ("a", "trend", "better")
    assert (change.start_week, change.end_week) == (monday(0), None)
    assert change.low < -100 * 1.2 * 0.2 < change.high < 0


def test_a_spike_that_is_not_over_is_a_step():
    rates = {"a": lambda week, _: np.where(week >= 22, 0.25, 0.05)}
    (change,) = find_changes(simulate(4, 3000, rates))
    assert change.shape == "step"
    assert change.start_week in {monday(21), monday(22), monday(23)}


@pytest.mark.parametrize(
    ("shape", "rate"),
    [
        ("spike", lambda week, _: np.where((week >= 13) & (week < 17), 0.16, 0.05)),
        ("step", lambda week, _: np.where(week >= 15, 0.05, 0.15)),
        ("trend", lambda week, _: 0.15 - 0.10 * week / 25),
    ],
)
def test_the_shape_is_mostly_the_right_one_where_the_change_is_small(shape, rate):
    found = [find_changes(simulate(seed, 3000, {"a": rate})) for seed in range(12)]
    shapes = [change.shape for changes in found for change in changes]
    assert shapes.count(shape) >= 9


def test_weeks_without_responses_are_no_change_and_break_nothing():
    everyone = simulate(5, 3000, {"a": lambda week, _: np.where((week >= 12) & (week < 17), 0.3, 0.05)})
    answered = everyone.subset(~np.isin(everyone.segments["week"], [monday(3), monday(14), monday(20)]))
    (change,) = find_changes(answered)
    assert (change.shape, change.start_week, change.end_week) == ("spike", monday(12), monday(16))


def test_responses_without_a_date_are_left_out_and_said():
    responses = simulate(1, 3000, {"bill": lambda week, _: np.where((week >= 13) & (week < 17), 0.30, 0.05)})
    lost = np.arange(responses.n) % 10 == 0
    responses.segments["week"][lost] = ""
    found = find_all(responses)
    assert found.changes == tuple(find_changes(responses.subset(~lost)))
    assert "300 responses have no date and are left out of changes over time." in found.notes


# Hotspots


STAGES = {"stage": choice("join", "setup", "use", "")}


@pytest.mark.parametrize("scale", [NPS, CSAT5])
def test_a_hotspot_is_found_and_nothing_else(scale):
    rates = {"setup": lambda _, s: np.where(s["stage"] == "setup", 0.25, 0.05), "other": 0.1}
    responses = simulate(6, 1200, rates, weeks=0, scale=scale, segments=STAGES | {"region": choice(*"nesw")})
    (spot,) = find_hotspots(responses)
    assert (spot.code, spot.segment, spot.value) == ("setup", "stage", "setup")
    assert spot.points == pytest.approx(spot.inside - spot.outside)
    assert spot.low < spot.points < spot.high
    inside = responses.segments["stage"] == "setup"
    assert spot.responses == inside.sum()
    assert spot.respondents == (inside[responses.mention_rows] & (responses.mention_codes == 1)).sum()
    assert spot.sentence.startswith(
        f"stage setup is associated with {spot.points:.1f} more points lost to setup"
    )


def test_blank_values_are_no_hotspot():
    rates = {"a": lambda _, s: np.where(s["stage"] == "", 0.3, 0.05)}
    assert "" not in {
        spot.value for spot in find_hotspots(simulate(7, 1200, rates, weeks=0, segments=STAGES))
    }


def test_a_segment_that_goes_with_the_hotspot_is_not_flagged_too():
    rates = {"setup": lambda _, s: np.where(s["stage"] == "setup", 0.30, 0.04)}
    confounded = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        responses = simulate(seed, 1500, rates, weeks=0, segments=STAGES)
        inside = responses.segments["stage"] == "setup"
        likely = rng.random(1500) < np.where(inside, 0.85, 0.25)
        responses.segments["product"] = np.where(likely, "broadband", "mobile").astype(object)
        alone = ScoredResponses(**{**vars(responses), "segments": {"product": responses.segments["product"]}})
        assert triple(find_hotspots(alone)) == {("setup", "product", "broadband")}
        assert ("setup", "stage", "setup") in triple(find_hotspots(responses))
        confounded += len(find_hotspots(responses)) - 1
    assert confounded <= 2


def test_two_hotspots_of_a_code_that_stand_side_by_side_are_both_flagged():
    rates = {
        "a": lambda _, s: 0.04 + 0.25 * (s["stage"] == "setup") + 0.20 * (s["region"] == "north"),
    }
    segments = STAGES | {"region": choice("north", "south", "east")}
    found = triple(find_hotspots(simulate(8, 2500, rates, weeks=0, segments=segments)))
    assert found == {("a", "stage", "setup"), ("a", "region", "north")}


def test_praise_is_no_cause_and_makes_no_hotspot():
    rng = np.random.default_rng(9)
    stage = rng.choice(["a", "b"], 400).astype(object)
    praised = np.flatnonzero(stage == "a")[:100]
    blamed = rng.permutation(np.flatnonzero(~np.isin(np.arange(400), praised)))[:40]
    responses = ScoredResponses.from_arrays(
        NPS,
        np.full(400, 3),
        ("x",),
        (blamed, np.zeros(40, dtype=int)),
        praise=(praised, np.zeros(100, dtype=int)),
        segments={"stage": stage},
    )
    assert not find_hotspots(responses)


def test_codes_of_nine_respondents_are_not_compared():
    def responses(people):
        rows = np.arange(30)
        return ScoredResponses.from_arrays(
            NPS,
            np.full(600, 2),
            ("x",),
            (rows, np.zeros(30, dtype=int)),
            respondent=np.where(np.arange(600) < 30, np.arange(600) % people, np.arange(600)),
            segments={"stage": np.where(np.arange(600) < 60, "a", "b").astype(object)},
        )

    assert triple(find_hotspots(responses(10))) == {("x", "stage", "a")}
    assert not find_hotspots(responses(9))


def test_ids_measures_and_time_are_no_segments():
    n = 200
    responses = ScoredResponses.from_arrays(
        NPS,
        np.full(n, 3),
        segments={
            "customer": [f"c{i}" for i in range(n)],
            "amount": ["" if i >= 60 else f"{i % 40}.5" for i in range(n)],
            "grade": [str(i % 5) for i in range(n)],
            "stage": ["a", "b"] * (n // 2),
            "week": [monday(i % 9) for i in range(n)],
            "month": ["2026-01"] * n,
        },
    )
    assert segments_to_search(responses) == (["grade", "stage"], ["amount", "customer"])


# Chance alone


@pytest.mark.parametrize("case", ["plain", "weighted", "repeats"])
def test_by_chance_alone_few_data_sets_flag_anything(case):
    rates = {"a": 0.05, "b": 0.1, "c": 0.2, "d": 0.4}
    segments = {"stage": choice("a", "b", "c", p=[0.6, 0.3, 0.1]), "region": choice("n", "s")}
    repeats = 2 if case == "repeats" else None
    hot = changed = 0
    for seed in range(100):
        responses = simulate(
            1000 + seed, 500, rates, weeks=12, segments=segments, weighted=case == "weighted", repeats=repeats
        )
        hot += bool(find_hotspots(responses))
        changed += bool(find_changes(responses))
    for flagged in (hot, changed):
        assert binomtest(flagged, 100, 0.10, alternative="greater").pvalue > 0.01


def test_the_score_agrees_with_the_exact_test_of_rare_mentions():
    n, inside, mentions = 600, 80, 24
    for hits in (8, 10, 12):
        rows = np.r_[np.arange(hits), np.arange(n - mentions + hits, n)]
        responses = ScoredResponses.from_arrays(
            NPS, np.full(n, 2), ("x",), (rows, np.zeros(mentions, dtype=int))
        )
        contributions = Contributions.of(responses)
        level = (np.arange(n) >= inside).astype(np.int64)
        partition = Partition.of("ab", level, contributions.weight, contributions.person)
        score = Design.of(np.array([[1.0, 0.0]]), partition).scores(contributions, partition)[0, 0]
        law = hypergeom(n, mentions, inside)
        exact = law.sf(hits) + law.pmf(hits) / 2  # the mid-p-value
        assert score == pytest.approx(norm.isf(exact), abs=0.25)
        assert two_sided_p(score) == pytest.approx(2 * norm.sf(score))
    plain = (hits - law.mean()) / law.std()
    assert plain > score + 1  # as a test without the third moment would have it


def test_the_same_answers_given_five_times_are_no_new_evidence():
    once = simulate(11, 600, {"a": lambda _, s: np.where(s["stage"] == "setup", 0.2, 0.1)}, segments=STAGES)

    def score(times, person):
        rows = np.repeat(np.arange(once.n), times)
        copies = np.arange(once.n * times).reshape(once.n, times)
        responses = ScoredResponses.from_arrays(
            NPS,
            once.score[rows],
            once.codes,
            (copies[once.mention_rows].ravel(), np.repeat(once.mention_codes, times)),
            respondent=rows if person else None,
        )
        contributions = Contributions.of(responses)
        level = (once.segments["stage"][rows] == "setup").astype(np.int64)
        partition = Partition.of("ab", level, contributions.weight, contributions.person)
        return Design.of(np.array([[0.0, 1.0]]), partition).scores(contributions, partition)[0, 0]

    assert score(5, True) == pytest.approx(score(1, True), rel=0.1)
    assert score(5, False) > 2 * score(1, True) > 0


# Sizes


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("repeats", [None, 3])
def test_errors_are_those_of_a_regression_clustered_by_respondent(weighted, repeats):
    responses = simulate(12, 400, {"a": 0.3, "b": 0.2}, weighted=weighted, repeats=repeats, segments=STAGES)
    contributions = Contributions.of(responses)
    row, value = contributions.of_code(0)
    outcome = np.zeros(400)
    outcome[row] = 100 * value
    inside = responses.segments["stage"] == "setup"
    weeks = np.random.default_rng(0).integers(0, 26, 400).astype(float)

    def regression(x):
        fit = sm.WLS(outcome, sm.add_constant(x), weights=responses.weight)
        groups = responses.respondent
        return fit.fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})

    people = np.unique(responses.respondent).size
    line, fit = slope(contributions, 0, weeks, 25.0), regression(weeks)
    assert line.points == pytest.approx(25 * fit.params[1])
    assert line.se == pytest.approx(25 * fit.bse[1] * (people / (people - 1)) ** 0.5)
    difference, fit = gap(contributions, 0, inside).size, regression(inside.astype(float))
    assert difference.points == pytest.approx(fit.params[1])
    assert difference.se == pytest.approx(fit.bse[1], rel=0.01)
    assert difference.low < difference.points < difference.high


def test_intervals_of_differences_cover_the_truth():
    rng = np.random.default_rng(13)
    covered = 0
    for _ in range(400):
        inside = np.arange(600) < 120
        mentioned = np.flatnonzero(rng.random(600) < np.where(inside, 0.10, 0.03))
        responses = ScoredResponses.from_arrays(
            NPS, np.full(600, 2), ("x",), (mentioned, np.zeros(mentioned.size, dtype=int))
        )
        size = gap(Contributions.of(responses), 0, inside).size
        covered += size.low <= 14.0 <= size.high
    assert LEVEL == 0.95
    assert binomtest(covered, 400, 0.95, alternative="less").pvalue > 0.01


def test_a_stratified_score_ignores_what_the_strata_explain():
    rng = np.random.default_rng(14)
    stratum = np.repeat([0, 1], 2000)
    inside = rng.random(4000) < np.where(stratum, 0.8, 0.2)
    value = 2.0 * (rng.random(4000) < np.where(stratum, 0.3, 0.05))
    weights, sums = np.ones((3, 4000)), power_sums(np.ones(4000), value, np.arange(4000), 4000)
    apart, together = (
        stratified_score(strata, inside, weights, sums, 1.0)
        for strata in (stratum, np.zeros(4000, dtype=int))
    )
    assert abs(apart) < 3 < 8 < together


# The whole


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.sampled_from(["bh", "by"]))
def test_false_discovery_rates_are_those_of_statsmodels(p_values, method):
    expected = multipletests(p_values, alpha=0.1, method=f"fdr_{method}")[1]
    np.testing.assert_allclose(q_values(p_values, method), expected, atol=1e-12)


def test_any_dependence_asks_for_more():
    rates = {"a": lambda _, s: np.where(s["stage"] == "setup", 0.25, 0.05)}
    responses = simulate(6, 1000, rates, weeks=0, segments=STAGES)
    (spot,), (strict,) = find_hotspots(responses), find_hotspots(responses, method="by")
    assert strict.q_value > spot.q_value
    assert strict.p_value == spot.p_value


def planted():
    rates = {
        "bill": lambda week, _: np.where((week >= 13) & (week < 17), 0.30, 0.05),
        "setup": lambda _, s: np.where(s["stage"] == "setup", 0.25, 0.05),
        "calm": 0.1,
    }
    return simulate(
        15, 2500, rates, segments=STAGES | {"id": lambda rng, n: np.arange(n).astype(str).astype(object)}
    )


def test_findings_are_the_same_each_time_and_in_any_order_of_rows():
    responses = planted()
    order = np.random.default_rng(0).permutation(responses.n)
    place = np.argsort(order)
    shuffled = ScoredResponses.from_arrays(
        NPS,
        responses.score[order],
        responses.codes,
        (place[responses.mention_rows], responses.mention_codes),
        respondent=responses.respondent[order],
        weight=np.full(responses.n, 1e-120),
        segments={name: values[order] for name, values in responses.segments.items()},
    )
    first, again, other = find_all(responses), find_all(responses), find_all(shuffled)
    assert first == again
    assert [s.sentence for s in other.hotspots] == [s.sentence for s in first.hotspots] != []
    assert [c.sentence for c in other.changes] == [c.sentence for c in first.changes] != []


def unsure(responses, doubted):
    """Give the same responses, where a mention is doubtful if `doubted` says so of its code and its stage."""
    stage = responses.segments["stage"][responses.mention_rows]
    code = np.array(responses.codes, dtype=object)[responses.mention_codes]
    flags = np.array([doubted(*pair) for pair in zip(code, stage, strict=True)], dtype=bool)
    return ScoredResponses.from_arrays(
        NPS,
        responses.score,
        responses.codes,
        (responses.mention_rows, responses.mention_codes),
        doubtful=(responses.mention_rows[flags], responses.mention_codes[flags]),
        segments=responses.segments,
    )


def test_what_hangs_on_doubtful_tags_is_doubtful_and_not_flagged():
    sure = find_all(planted())
    assert sure.doubtful == ()
    assert {one.code for one in (*sure.hotspots, *sure.changes)} == {"setup", "bill"}
    found = find_all(unsure(planted(), lambda code, stage: code == "setup" and stage == "setup"))
    assert found.hotspots == ()
    assert found.changes == sure.changes
    assert found.doubtful == sure.hotspots
    assert found.notes[0].startswith("One difference is not flagged but doubtful")
    assert json.loads(json.dumps(found.to_dict()))["doubtful"][0]["value"] == "setup"
    both = find_all(unsure(planted(), lambda code, _: code in ("setup", "bill")))
    assert (both.hotspots, both.changes, len(both.doubtful)) == ((), (), 2)
    assert both.notes[0].startswith("2 differences are")


def test_doubtful_tags_that_carry_nothing_change_nothing():
    rng = np.random.default_rng(0)
    found = find_all(unsure(planted(), lambda code, _: code == "calm" or rng.random() < 0.1))
    sure = find_all(planted())
    assert (found.hotspots, found.changes, found.doubtful) == (sure.hotspots, sure.changes, ())


def test_a_change_that_goes_the_other_way_on_likely_tags_is_another_one():
    up = lambda week, _: np.where((week >= 13) & (week < 17), 0.30, 0.05)  # noqa: E731
    responses = simulate(1, 4000, {"bill": up, "calm": 0.1})
    inside = np.isin(responses.segments["week"], [monday(week) for week in range(13, 17)])
    flags = inside[responses.mention_rows] & (responses.mention_codes == 0)
    kept = ScoredResponses.from_arrays(
        NPS,
        responses.score,
        responses.codes,
        (responses.mention_rows, responses.mention_codes),
        doubtful=(responses.mention_rows[flags], responses.mention_codes[flags]),
        segments=responses.segments,
    )
    (down,) = find_changes(kept.likely())
    assert down.direction == "better"
    found = find_all(kept)
    assert found.changes == ()
    assert [one.direction for one in found.doubtful] == ["worse"]


def test_tags_of_two_models_show_no_change_over_time():
    found = find_all(planted(), versions=["m/2", "m/1", "m/2"])
    assert found.changes == ()
    assert found.refused in found.notes
    assert found.refused.startswith("The tags are by m/1 and m/2:")
    assert find_all(planted(), versions=["m/1"]).refused is None
    assert found.hotspots == find_all(planted(), versions=["m/1", "m/1"]).hotspots != ()
    assert any(note.startswith("The tags are by m/1 and m/2:") for note in found.notes)


def test_findings_become_json():
    found = find_all(planted())
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["q"] == 0.10
    assert document["hotspots"][0]["value"] == "setup"
    assert document["changes"][0]["shape"] == "spike"
    assert any(note.startswith("'id' was not searched") for note in document["notes"])
    assert any("associated with" in note for note in document["notes"])


@pytest.mark.parametrize(
    ("responses", "note"),
    [
        (ScoredResponses.from_arrays(NPS, ()), "No code is mentioned by 10 respondents"),
        (simulate(1, 20, {"a": 0.3}, segments=STAGES), "No code is mentioned by 10 respondents"),
        (simulate(1, 300, {"a": 0.3}, weeks=5), "from 6 weeks with responses on; there are 5."),
        (simulate(1, 300, {"a": 0.3}, weeks=0), "The responses have no dates"),
        (simulate(1, 300, {"a": 0.3}, weeks=9), "There is no segment"),
    ],
)
def test_too_little_to_compare_gives_no_findings_and_says_so(responses, note):
    found = find_all(responses)
    assert found.hotspots == ()
    assert found.changes == ()
    assert any(note in sentence for sentence in found.notes)


def test_the_planted_effects_of_the_sample_are_found():
    with sample_path("annotations.jsonl").open(encoding="utf-8") as lines:
        labels = {record["comment"]: record["codes"] for record in map(json.loads, lines)}

    def tagged():
        for response in read_responses(sample_path("responses.csv")):
            codes = labels[response.comment] if response.comment else []
            tags = tuple(Tag(c["code"], c.get("polarity", POLARITIES[0]), 1.0) for c in codes)
            status = "tagged" if tags else "uncoded" if response.comment else "no_comment"
            yield TaggedResponse(response, status, tags)

    found = find_all(ScoredResponses.from_tagged(with_periods(tagged()), NPS))
    spike, trend = found.changes
    assert (spike.code, spike.shape, spike.direction) == ("billing.unexpected-charge", "spike", "worse")
    assert (spike.start_week, spike.end_week) == ("2026-04-06", "2026-04-27")
    assert spike.sentence == (
        f"billing.unexpected-charge up {spike.points:.1f} points [{spike.low:.1f}, {spike.high:.1f}] "
        "from 2026-04-06 to 2026-05-03"
    )
    assert (trend.code, trend.shape, trend.direction) == ("support.reach", "trend", "better")
    assert triple(found.hotspots) == {("onboarding.setup", "journey_stage", "Setup")}
