import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.scale import CES7, CSAT5, NPS
from model.cause_sums import CauseSums
from model.hierarchy import Hierarchy
from model.mentions import ScoredResponses
from model.root_causes import rank_by_segment, rank_from_sums, rank_root_causes
from tests.random_responses import CODES, random_responses

SHAPES = given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    scale=st.sampled_from([NPS, CSAT5, CES7]),
    weighted=st.booleans(),
    clustered=st.booleans(),
)


def built(score, mentions, codes=("a.x", "a.y", "b"), **more):
    """Give responses from a list of scores and, for each, the positions of its codes."""
    pairs = [(i, t) for i, found in enumerate(mentions) for t in found]
    rows, places = zip(*pairs, strict=True) if pairs else ((), ())
    return ScoredResponses.from_arrays(NPS, score, codes, (rows, places), **more)


def by_code(ranking):
    return {row.code: row for row in (*ranking.rows, *ranking.buckets)}


def numbers(value):
    """Give every number within plain JSON values, with its path."""
    if isinstance(value, dict):
        return {f"{k}.{p}": v for k, inner in value.items() for p, v in numbers(inner).items()}
    if isinstance(value, list):
        return {f"{k}.{p}": v for k, inner in enumerate(value) for p, v in numbers(inner).items()}
    return {"": value}


@settings(max_examples=60, deadline=None)
@SHAPES
def test_codes_and_buckets_sum_to_100_minus_the_metric(seed, n, scale, weighted, clustered):
    responses = random_responses(seed, n, scale=scale, weighted=weighted, clustered=clustered)
    ranking = rank_root_causes(responses)
    if ranking.metric.value is None:
        assert responses.weight.sum() == 0
        return
    total = sum(row.points_lost for row in (*ranking.rows, *ranking.buckets))
    assert total == pytest.approx(100 - scale.value(responses.loss, responses.weight), abs=1e-9)
    assert abs(ranking.total_check) < 1e-9
    for row in (*ranking.rows, *ranking.buckets, *ranking.parents):
        assert row.bracket_low <= row.points_lost <= row.bracket_high
        assert row.from_detractors + row.from_passives == pytest.approx(row.points_lost, abs=1e-9)
        assert row.low is None or row.low <= row.points_lost <= row.high
        assert row.rank is None or row.rank_low <= row.rank <= row.rank_high


@settings(max_examples=25, deadline=None)
@SHAPES
def test_the_order_of_the_responses_says_nothing(seed, n, scale, weighted, clustered):
    responses = random_responses(seed, n, scale=scale, weighted=weighted, clustered=clustered)
    rng = np.random.default_rng(seed)
    order, renamed = rng.permutation(n), rng.permutation(n)
    place = np.argsort(order)
    shuffled = ScoredResponses.from_arrays(
        scale,
        responses.score[order],
        responses.codes[::-1],
        (place[responses.mention_rows], len(responses.codes) - 1 - responses.mention_codes),
        praise=(place[responses.praise_rows], len(responses.codes) - 1 - responses.praise_codes),
        weight=responses.weight[order],
        respondent=renamed[responses.respondent[order]],
        commented=responses.commented[order],
    )
    first, again = (numbers(rank_root_causes(r).to_dict()) for r in (responses, shuffled))
    assert first.keys() == again.keys()
    for path, value in first.items():
        expected = pytest.approx(value, rel=1e-7, abs=1e-9) if isinstance(value, float) else value
        assert again[path] == expected, path


@settings(max_examples=25, deadline=None)
@SHAPES
def test_everything_turns_into_plain_json(seed, n, scale, weighted, clustered):
    responses = random_responses(seed, n, scale=scale, weighted=weighted, clustered=clustered)
    ranking = rank_root_causes(responses).to_dict()
    assert json.loads(json.dumps(ranking, allow_nan=False)) == ranking
    assert list(ranking["buckets"]) == ["uncoded", "no_comment"]


def test_a_small_case_by_hand():
    responses = built(
        [0, 0, 7, 10, 3, 9],
        [(0, 1), (0,), (2,), (2,), (), ()],
        commented=[True, True, True, True, True, False],
        praise=([4, 4, 3], [2, 1, 0]),
    )
    rows = by_code(rank_root_causes(responses))
    lost = {code: row.points_lost for code, row in rows.items()}
    assert lost == pytest.approx(
        {"a.x": 50.0, "a.y": 100 / 6, "b": 100 / 6, "uncoded": 200 / 6, "no_comment": 0.0}
    )
    assert (rows["a.x"].bracket_low, rows["a.x"].bracket_high) == pytest.approx((200 / 6, 400 / 6))
    assert (rows["b"].from_detractors, rows["b"].from_passives) == pytest.approx((0.0, 100 / 6))
    assert (rows["b"].mentions, rows["b"].praised, rows["uncoded"].praised) == (2, 1, 1)
    assert rows["b"].prevalence == pytest.approx(2 / 6)
    assert rows["uncoded"].status == rows["no_comment"].status == "bucket"


def test_sums_from_elsewhere_give_the_same_ranking():
    responses = random_responses(5, 400, clustered=True, weighted=True)
    tree = Hierarchy.of(responses.codes)
    first = responses.respondent < 80
    merged = CauseSums.of(responses.subset(first), tree) + CauseSums.of(responses.subset(~first), tree)
    whole, parts = (numbers(r.to_dict()) for r in (rank_root_causes(responses), rank_from_sums(merged, NPS)))
    for path, value in whole.items():
        assert parts[path] == (
            pytest.approx(value, rel=1e-7, abs=1e-9) if isinstance(value, float) else value
        )


def test_parents_sum_their_codes_and_are_ranked_among_their_level():
    ranking = rank_root_causes(random_responses(12, 500))
    lost = {row.code: row.points_lost for row in (*ranking.rows, *ranking.parents)}
    assert {row.code for row in ranking.parents} == {"a", "b", "b.two"}
    for parent in ("a", "b", "b.two"):
        assert lost[parent] == pytest.approx(
            sum(lost[code] for code in CODES if code.startswith(parent + "."))
        )
    parents = {row.code: row for row in ranking.parents}
    top = sorted(["a", "b", "flat"], key=lambda code: -lost[code])
    assert [parents[p].rank for p in ("a", "b")] == [top.index(p) + 1 for p in ("a", "b")]
    beside = sorted(["a.one", "a.two", "b.one", "b.two"], key=lambda code: -lost[code])
    assert parents["b.two"].rank == beside.index("b.two") + 1


def test_a_parent_that_is_tagged_itself_holds_its_own_mentions_too():
    ranking = rank_root_causes(
        built([0] * 24 + [10] * 6, [(0,), (1,), (2,), (0, 1)] * 6 + [()] * 6, ("a", "a.x", "b"))
    )
    rows, parent = by_code(ranking), ranking.parents[0]
    assert [row.code for row in ranking.parents] == ["a"]
    assert parent.points_lost == pytest.approx(rows["a"].points_lost + rows["a.x"].points_lost)
    assert (parent.mentions, parent.rank, rows["b"].rank) == (18, 1, None)
    assert parent.bracket_low == pytest.approx(parent.points_lost)


def test_eligibility_counts_distinct_respondents_and_loses_nothing():
    mentions = [(0,)] * 10 + [(1,)] * 9 + [(2,)] * 5 + [(3,)] * 4 + [(4,)] * 12 + [()] * 60
    people = [*range(28), *[100] * 12, *range(200, 260)]
    responses = built([0] * 40 + [10] * 60, mentions, ("a", "b", "c", "d", "e"), respondent=people)
    ranking = rank_root_causes(responses)
    rows = by_code(ranking)
    statuses = {code: rows[code].status for code in "abcde"}
    assert statuses == {
        "a": "eligible",
        "b": "insufficient",
        "c": "insufficient",
        "d": "suppressed",
        "e": "suppressed",
    }
    assert [row.code for row in ranking.rows] == ["a", "b", "c", "e", "d"]
    assert [row.rank for row in ranking.rows] == [1, None, None, None, None]
    assert (rows["e"].mentions, rows["e"].respondents) == (12, 1)
    assert ranking.total_check == pytest.approx(0, abs=1e-9)


def test_equal_points_are_ordered_by_id():
    score = [0] * 36 + [10] * 20
    ranking = rank_root_causes(built(score, [(0, 1, 2)] * 36 + [()] * 20, ("c", "a", "b")))
    assert [(row.code, row.rank) for row in ranking.rows] == [("a", 1), ("b", 2), ("c", 3)]
    assert {row.tier for row in ranking.rows} == {1}


def test_no_responses_give_none_and_never_zero():
    ranking = rank_root_causes(ScoredResponses.from_tagged([], NPS), codes=["a.x", "b"])
    assert (ranking.metric.value, ranking.total_check, ranking.n_scored) == (None, None, 0)
    for row in (*ranking.rows, *ranking.buckets, *ranking.parents):
        assert (
            row.points_lost is row.low is row.high is row.se is row.bracket_low is row.from_detractors is None
        )
        assert row.impact.value is row.prevalence is row.prevalence_high is None
        assert row.impact.reason == "no_responses"


def test_one_response_gives_points_without_an_error():
    row = by_code(rank_root_causes(built([3], [(0,)])))["a.x"]
    assert (row.points_lost, row.se, row.low, row.high, row.status) == (200.0, None, None, None, "suppressed")


def test_a_code_that_nobody_mentions_loses_nothing_and_may_still_be_out_there():
    responses = random_responses(3, 300)
    row = by_code(rank_root_causes(responses, codes=["never.heard"]))["never.heard"]
    assert (row.points_lost, row.se, row.mentions, row.rank, row.status) == (0.0, 0.0, 0, None, "suppressed")
    assert row.prevalence_high == pytest.approx(3 / 300, rel=0.002)
    assert (row.low, row.high) == pytest.approx((0.0, 200 * 3 / 300), rel=0.002)
    assert (row.impact.value, row.impact.reason) == (None, "no_mentions")
    assert by_code(rank_root_causes(responses))["flat"].prevalence_high is None


def test_a_code_in_every_response_has_no_impact():
    rows = by_code(rank_root_causes(built([0, 5, 8, 10] * 5, [(0,)] * 20)))
    assert rows["a.x"].points_lost == pytest.approx(125.0)
    assert (rows["a.x"].impact.value, rows["a.x"].impact.reason) == (None, "mentioned_by_all")


@pytest.mark.parametrize("score", [3, 8, 10])
def test_one_class_alone_has_points_but_no_impact(score):
    ranking = rank_root_causes(built([score] * 20, [(0,)] * 12 + [()] * 8))
    rows = by_code(ranking)
    assert rows["a.x"].points_lost == pytest.approx({3: 120.0, 8: 60.0, 10: 0.0}[score])
    assert {row.impact.reason for row in rows.values()} == {"all_in_one_class"}


def test_untagged_promoters_leave_no_impact_and_unchanged_points():
    score, mentions = [0] * 15 + [10] * 15, [(0,)] * 15 + [()] * 15
    responses = built(score, mentions, commented=[True] * 30)
    found = rank_root_causes(responses)
    assert found.rows[0].impact.reason == "promoters_not_tagged"
    assert found.rows[0].impact.value is None
    told = rank_root_causes(responses, promoters_tagged=True)
    assert told.rows[0].impact.value == pytest.approx(100 * (0 - 1))
    assert told.rows[0].points_lost == found.rows[0].points_lost == pytest.approx(100.0)


def test_praise_alone_shows_that_promoters_were_tagged_and_silent_ones_need_no_tags():
    score, mentions = [0] * 15 + [10] * 15, [(0,)] * 15 + [()] * 15
    praised = rank_root_causes(built(score, mentions, commented=[True] * 30, praise=([20], [1])))
    silent = rank_root_causes(built(score, mentions, commented=[True] * 15 + [False] * 15))
    assert praised.rows[0].impact.reason is silent.rows[0].impact.reason is None
    assert not any("not tagged" in note for note in (*praised.notes, *silent.notes))
    assert rank_root_causes(built(score, mentions), promoters_tagged=False).rows[0].impact.value is None


def test_comments_that_could_not_be_read_are_uncoded_and_counted():
    ranking = rank_root_causes(built([0, 0, 10], [(0,), (), ()], error=[False, True, False]))
    assert ranking.n_errors == 1
    assert by_code(ranking)["uncoded"].points_lost == pytest.approx(200 / 3)
    assert any("1 comments could not be read" in note for note in ranking.notes)


def test_weight_zero_counts_for_nothing_but_stays_in_the_base():
    mentions = [(0,)] * 12 + [()] * 12
    kept = rank_root_causes(built([0] * 12 + [10] * 12, mentions))
    more = rank_root_causes(
        built([0] * 12 + [10] * 12 + [0] * 9, mentions + [(1,)] * 9, weight=[1.0] * 24 + [0.0] * 9)
    )
    assert more.n_scored == 33
    assert by_code(more)["a.x"] == by_code(kept)["a.x"]
    assert by_code(more)["a.y"].status == "suppressed"
    assert by_code(more)["a.y"].points_lost == 0.0
    nothing = rank_root_causes(built([0, 10], [(0,), ()], weight=[0.0, 0.0]))
    assert nothing.metric.value is None
    assert by_code(nothing)["a.x"].points_lost is None


def test_the_unit_of_the_weights_says_nothing():
    responses = random_responses(14, 200, weighted=True)
    scaled = ScoredResponses(**{**vars(responses), "weight": responses.weight * 1e6})
    first, again = (numbers(rank_root_causes(r).to_dict()) for r in (responses, scaled))
    for path, value in first.items():
        assert again[path] == (
            pytest.approx(value, rel=1e-7, abs=1e-9) if isinstance(value, float) else value
        )


def test_a_clear_leader_stands_alone_in_tier_one():
    score = [0] * 400 + [10] * 600
    mentions = [(0,)] * 300 + [(1,)] * 52 + [(2,)] * 48 + [()] * 600
    ranking = rank_root_causes(built(score, mentions, ("a", "b", "c")))
    assert [(r.code, r.rank, r.rank_low, r.rank_high, r.tier) for r in ranking.rows] == [
        ("a", 1, 1, 1, 1),
        ("b", 2, 2, 3, 2),
        ("c", 3, 2, 3, 2),
    ]


def test_each_segment_has_a_ranking_of_its_own_over_the_same_codes():
    responses = random_responses(21, 300)
    parts = rank_by_segment(responses, "country", codes=["never"])
    assert list(parts) == ["", "fr", "nl"]
    assert sum(part.n_scored for part in parts.values()) == 300
    for value, part in parts.items():
        expected = rank_root_causes(
            responses.subset(responses.segments["country"] == value), codes=["never"], promoters_tagged=True
        )
        assert part == expected
        assert {row.code for row in part.rows} == {*CODES, "never"}
        assert abs(part.total_check) < 1e-9


def test_segments_share_what_is_known_of_the_promoters():
    score = [0] * 10 + [10] * 10
    responses = built(
        score,
        [(0,)] * 10 + [()] * 10,
        commented=[True] * 20,
        praise=([10], [1]),
        segments={"s": np.array(["x", "y"] * 10, dtype=object)},
    )
    assert {p.rows[0].impact.reason for p in rank_by_segment(responses, "s").values()} == {None}


def test_the_words_promise_nothing():
    ranking = rank_root_causes(random_responses(2, 50, weighted=True, clustered=True))
    text = " ".join(ranking.notes)
    assert "associated with" in text
    assert "double-counts and does not sum" in text
    assert "clustered by person" in text
    assert "gain" not in text
    assert "fix" not in text
    assert math.isclose(ranking.level, 0.95)
