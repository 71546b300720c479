import numpy as np
import pytest

from data.errors import InputError
from data.responses import Response
from data.scale import CSAT5, NPS
from data.tags import Tag, TaggedResponse
from model.mentions import MAX_SEGMENT_VALUES, ScoredResponses
from tests.random_responses import random_responses


def row(name, score, *tags, status=None, comment="words", person=None, weight=1.0, **segments):
    found = tuple(Tag(code, polarity, 0.9) for code, polarity in tags)
    given = status or ("tagged" if tags else "uncoded" if comment else "no_comment")
    return TaggedResponse(Response(name, score, comment, None, person, weight, segments), given, found)


def mentioned(responses):
    """Give the mentions as (response id, code) pairs."""
    pairs = zip(responses.mention_rows, responses.mention_codes, strict=True)
    return {(responses.response_ids[i], responses.codes[t]) for i, t in pairs}


def praised(responses):
    pairs = zip(responses.praise_rows, responses.praise_codes, strict=True)
    return {(responses.response_ids[i], responses.codes[t]) for i, t in pairs}


def test_negative_and_neutral_codes_are_mentions_and_positive_ones_praise():
    responses = ScoredResponses.from_tagged(
        [
            row("r1", 3, ("b", "negative"), ("a", "neutral"), ("c", "positive")),
            row("r2", 10, ("a", "positive")),
        ],
        NPS,
    )
    assert mentioned(responses) == {("r1", "a"), ("r1", "b")}
    assert praised(responses) == {("r1", "c"), ("r2", "a")}
    assert responses.codes == ("a", "b", "c")
    assert responses.tagged.tolist() == [True, True]


def test_a_code_counts_once_and_is_a_cause_if_blamed_and_praised():
    responses = ScoredResponses.from_tagged(
        [
            row(
                "r",
                3,
                ("a", "positive"),
                ("a", "negative"),
                ("a", "neutral"),
                ("b", "positive"),
                ("b", "positive"),
            )
        ],
        NPS,
    )
    assert mentioned(responses) == {("r", "a")}
    assert responses.mention_rows.size == 1
    assert praised(responses) == {("r", "b")}


def test_arrays_may_repeat_pairs_and_hold_codes_in_any_order():
    responses = ScoredResponses.from_arrays(
        NPS,
        [3, 9],
        ("z", "a"),
        ([1, 0, 0], [0, 1, 1]),
        praise=([0, 0, 1], [1, 0, 0]),
        response_ids=["r", "s"],
    )
    assert responses.codes == ("a", "z")
    assert mentioned(responses) == {("r", "a"), ("s", "z")}
    assert responses.mention_rows.tolist() == [0, 1]
    assert praised(responses) == {("r", "z")}


def test_the_latest_row_of_an_id_wins():
    responses = ScoredResponses.from_tagged(
        [row("r", 3, ("a", "negative"), weight=5.0), row("s", 9), row("r", 8, ("b", "negative"))], NPS
    )
    assert responses.response_ids.tolist() == ["r", "s"]
    assert responses.score.tolist() == [8, 9]
    assert responses.loss.tolist() == [1, 0]
    assert responses.weight.tolist() == [1, 1]
    assert mentioned(responses) == {("r", "b")}


def test_a_missing_score_is_left_out_and_counted():
    rows = [
        row("r", None, ("a", "negative"), land="fr"),
        row("s", float("nan"), land="nl"),
        row("t", 4, land="nl"),
    ]
    responses = ScoredResponses.from_tagged(rows, NPS)
    assert responses.n == 1
    assert responses.unscored == 2
    assert responses.by_segment("land")["nl"].unscored == 1
    assert mentioned(responses) == set()


def test_status_says_who_commented_and_errors_are_counted():
    responses = ScoredResponses.from_tagged(
        [
            row("r", 1, comment=None),
            row("s", 1),
            row("t", 1, ("a", "negative"), status="error"),
            row("u", 1, ("a", "negative")),
        ],
        NPS,
    )
    assert responses.commented.tolist() == [False, True, True, True]
    assert responses.tagged.tolist() == [False, False, False, True]
    assert responses.errors == 1
    assert mentioned(responses) == {("u", "a")}


def test_people_are_told_by_their_id_and_a_row_without_one_is_its_own():
    responses = ScoredResponses.from_tagged(
        [row("r", 1, person="x"), row("s", 1, person="y"), row("t", 1, person="x"), row("u", 1), row("v", 1)],
        NPS,
    )
    ids = responses.respondent
    assert ids[0] == ids[2]
    assert len(set(ids.tolist())) == 4


@pytest.mark.parametrize(("rows", "number"), [([(5, "a"), (11, "b")], 3), ([(-1, "a")], 2)])
def test_a_score_outside_the_scale_names_its_row(rows, number):
    with pytest.raises(InputError, match="outside the NPS scale 0-10") as caught:
        ScoredResponses.from_tagged([row(name, score) for score, name in rows], NPS, file="tags.jsonl")
    assert (caught.value.file, caught.value.row, caught.value.column) == ("tags.jsonl", number, "score")


def test_the_named_row_is_the_files_even_after_rows_left_out():
    rows = [row("r", None), row("s", 3), row("s", 4), row("t", 9)]
    with pytest.raises(InputError) as caught:
        ScoredResponses.from_tagged(rows, CSAT5, first_row=1)
    assert caught.value.row == 4


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_cannot_be_names_its_row(weight):
    with pytest.raises(InputError, match="not a number from 0 up") as caught:
        ScoredResponses.from_tagged([row("r", 3), row("s", 3, weight=weight)], NPS)
    assert (caught.value.row, caught.value.column) == (3, "weight")


def test_no_rows_at_all():
    responses = ScoredResponses.from_tagged([], NPS)
    assert (responses.n, responses.codes, responses.mention_rows.size) == (0, (), 0)


def test_a_subset_keeps_what_belongs_to_its_rows():
    responses = random_responses(4, 60, clustered=True, weighted=True)
    mask = responses.score > 5
    part = responses.subset(mask)
    kept = set(responses.response_ids[mask])
    assert part.n == mask.sum()
    assert mentioned(part) == {pair for pair in mentioned(responses) if pair[0] in kept}
    assert praised(part) == {pair for pair in praised(responses) if pair[0] in kept}
    np.testing.assert_array_equal(part.respondent, responses.respondent[mask])
    np.testing.assert_array_equal(part.segments["country"], responses.segments["country"][mask])


def test_segments_split_every_response_and_blanks_have_their_own():
    responses = ScoredResponses.from_tagged(
        [row("r", 1, land="nl"), row("s", 2), row("t", 3, land="fr")], NPS
    )
    parts = responses.by_segment("land")
    assert list(parts) == ["", "fr", "nl"]
    assert [part.response_ids.tolist() for part in parts.values()] == [["s"], ["t"], ["r"]]


def test_a_segment_that_is_not_there_or_is_an_id_is_an_error():
    responses = ScoredResponses.from_tagged([row("r", 1, land="nl")], NPS)
    with pytest.raises(InputError, match="no segment 'city'; the segments are: 'land'"):
        responses.by_segment("city")
    many = np.array([str(i) for i in range(MAX_SEGMENT_VALUES + 1)], dtype=object)
    with pytest.raises(InputError, match="'order' has 1001 values"):
        ScoredResponses.from_arrays(NPS, np.full(many.size, 5), segments={"order": many}).by_segment("order")


def test_a_mention_is_doubtful_where_every_tag_behind_it_is_likelier_wrong_than_right():
    def answer(name, score, *tags):
        found = tuple(Tag(*tag) for tag in tags)
        return TaggedResponse(Response(name, score, "words"), "tagged", found)

    responses = ScoredResponses.from_tagged(
        [
            answer("r1", 3, ("b", "negative", 0.49), ("a", "neutral", 0.5), ("c", "positive", 0.2)),
            answer("r2", 3, ("a", "negative", 0.2), ("a", "neutral", 0.7), ("b", "neutral", 0.1)),
        ],
        NPS,
    )
    assert responses.doubtful.tolist() == [False, True, False, True]
    likely = responses.likely()
    assert mentioned(likely) == {("r1", "a"), ("r2", "a")}
    assert not likely.doubtful.any()
    assert praised(likely) == praised(responses)
    assert responses.subset([False, True]).doubtful.tolist() == [False, True]
    assert likely.likely().mention_rows.tolist() == likely.mention_rows.tolist()
