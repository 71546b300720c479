import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http_client import SECRET, post_json, problem, store_of
from tests.stubs import STRANGE, StubTagger, response


def test_tag_gives_records_as_a_tags_file_has_them(client):
    item = {
        "response_id": "r1",
        "score": 3,
        "comment": "Billed twice, but the agent was lovely.",
        "responded_at": "2026-04-06T12:00:00+02:00",
        "region": "North",
    }
    answer = client.post("/v1/tag", json={"responses": [item]})
    assert answer.status_code == 200
    (expected,) = StubTagger().tag(
        [
            response(
                "r1",
                3,
                item["comment"],
                responded_at=datetime(2026, 4, 6, 10, tzinfo=UTC),
                segments={"region": "North"},
            )
        ]
    )
    assert answer.json() == {
        "model": "stub/1",
        "operating_point": "balanced",
        "taxonomy_version": 3,
        "responses": [expected.to_record()],
    }
    assert answer.json()["responses"][0]["responded_at"] == "2026-04-06T10:00:00+00:00"
    assert store_of(client).count() == 0


def test_the_operating_point_of_a_request_is_its_own(shared):
    for point in ("high_precision", "high_recall"):
        answer = shared.post("/v1/tag", json={"responses": [{}], "operating_point": point}).json()
        assert (answer["operating_point"], answer["model"]) == (point, f"stub/1@{point}")
        assert answer["responses"][0]["model"] == f"stub/1@{point}"
    assert shared.post("/v1/tag", json={"responses": [{}]}).json()["model"] == "stub/1"
    found = problem(shared.post("/v1/tag", json={"responses": [{}], "operating_point": "best"}), 422)
    assert found["errors"][0]["pointer"] == "#/operating_point"


def test_one_bad_comment_fails_no_other(shared):
    items = [{"comment": "x" * 3000}, {"comment": "Billed"}, {"comment": None}, {"comment": "  "}, {}]
    answer = shared.post("/v1/tag", json={"responses": items}).json()["responses"]
    assert [row["status"] for row in answer] == ["error", "tagged", "no_comment", "no_comment", "no_comment"]
    assert answer[0]["error"] == "the comment is too long"
    assert "error" not in answer[1]
    assert len({row["response_id"] for row in answer}) == 5


def test_an_abstention_is_said_only_where_there_is_one(shared):
    items = [{"comment": STRANGE}, {"comment": "nothing of note"}]
    strange, plain = shared.post("/v1/tag", json={"responses": items}).json()["responses"]
    assert (strange["status"], strange["tags"], strange["abstained"]) == ("uncoded", [], True)
    assert plain["status"] == "uncoded"
    assert "abstained" not in plain


def test_texts_that_utf8_cannot_hold_are_mended_one_for_one(shared):
    answer = post_json(
        shared, "/v1/tag", '{"responses": [{"comment": "\\ud800 Billed\\u0000 \\ud83d\\ude00"}]}'
    )
    (row,) = answer.json()["responses"]
    assert row["comment"] == "\ufffd Billed\ufffd 😀"
    (evidence,) = row["tags"][0]["evidence"]
    assert row["comment"][evidence["start"] : evidence["end"]] == evidence["text"]


def test_values_of_segments_are_texts(shared):
    answer = shared.post(
        "/v1/tag", json={"responses": [{"churned": True, "seats": 12, "nps wave": "3", "gone": None}]}
    )
    (row,) = answer.json()["responses"]
    assert (row["churned"], row["seats"], row["nps wave"]) == ("true", "12", "3")
    assert "gone" not in row


def test_at_most_a_thousand_are_tagged_at_once(shared):
    assert shared.post("/v1/tag", json={"responses": [{}] * 1000}).status_code == 200
    assert problem(shared.post("/v1/tag", json={"responses": [{}] * 1001}), 422)["errors"][0]["pointer"] == (
        "#/responses"
    )


@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        ({"score": "9"}, "#/responses/1/score"),
        ({"score": 11}, "#/responses/1/score"),
        ({"score": True}, "#/responses/1/score"),
        ({"score": 10**400}, "#/responses/1/score"),
        ({"comment": 5}, "#/responses/1/comment"),
        ({"comment": {"text": SECRET}}, "#/responses/1/comment"),
        ({"responded_at": SECRET}, "#/responses/1/responded_at"),
        ({"responded_at": 1_700_000_000}, "#/responses/1/responded_at"),
        ({"weight": -1}, "#/responses/1/weight"),
        ({"a/b~c": [SECRET]}, "#/responses/1/a~1b~0c"),
        (SECRET, "#/responses/1"),
    ],
)
def test_an_item_that_cannot_be_understood_is_named_and_not_quoted(shared, item, pointer):
    found = problem(shared.post("/v1/tag", json={"responses": [{"comment": SECRET}, item]}), 422)
    assert [error["pointer"] for error in found["errors"]] == [pointer]
    assert found["detail"].startswith(f"{pointer[2:]}: ")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "{}",
        '{"responses": 5}',
        '{"responses": [], "more": 1}',
        "\xff",
        "[" * 200_000,
    ]
    + [
        '{"responses": [{"score": NaN}]}',
        '{"responses": [{"score": Infinity}]}',
        '{"responses": [{"score": 1e999}]}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/tag", "/v1/responses"])
def test_a_body_that_is_no_such_json_is_a_problem(shared, path, body):
    problem(post_json(shared, path, body.encode("latin-1")), 422)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(
    ["response_id", "score", "comment", "responded_at", "weight", "region", "status", ""]
)


@settings(max_examples=150, deadline=None)
@given(items=st.lists(st.dictionaries(fields, values, max_size=4), max_size=3))
def test_whatever_is_sent_it_is_tagged_or_a_problem(shared, items):
    answer = post_json(shared, "/v1/tag", json.dumps({"responses": items}))
    if answer.status_code == 200:
        assert len(answer.json()["responses"]) == len(items)
    else:
        problem(answer, 422)
