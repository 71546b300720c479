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


WRONG = [
    ({"score": "9"}, "score"),
    ({"score": 11}, "score"),
    ({"score": True}, "score"),
    ({"score": 10**400}, "score"),
    ({"comment": 5}, "comment"),
    ({"comment": {"text": SECRET}}, "comment"),
    ({"responded_at": SECRET}, "responded_at"),
    ({"responded_at": 1_700_000_000}, "responded_at"),
    ({"weight": -1}, "weight"),
    ({"a/b~c": [SECRET]}, "a/b~c"),
]


@pytest.mark.parametrize(("item", "field"), [*WRONG, (SECRET, ""), (None, "")])
def test_an_item_that_cannot_be_understood_fails_no_other(shared, item, field):
    named = item | {"response_id": "r-2"} if isinstance(item, dict) else item
    items = [{"comment": "Billed"}, named, {"comment": "Billed", "score": 3}]
    one, two, three = shared.post("/v1/tag", json={"responses": items}).json()["responses"]
    assert one["status"] == three["status"] == "tagged"
    assert three["score"] == 3
    assert (two["status"], two["tags"], two["score"]) == ("error", [], None)
    assert two["error"].startswith(f"{field}: " if field else "this is not")
    assert SECRET not in two["error"]
    if field:
        assert two["response_id"] == "r-2"


def test_what_an_item_that_cannot_be_understood_says_is_given_back(shared):
    items = [{"comment": "Billed", "response_id": "r-1", "score": 99, "region": "North"}]
    (row,) = shared.post("/v1/tag", json={"responses": items}).json()["responses"]
    assert (row["response_id"], row["comment"], row["score"]) == ("r-1", "Billed", None)
    assert row["error"] == "score: 99 is outside the NPS scale 0-10"


def test_items_that_cannot_be_understood_leave_the_others_masked_and_in_order(shared):
    items = [{"score": 77}, {"comment": "Billed, mail jo@example.com"}, {"score": "x"}, {"comment": "Billed"}]
    body = {"responses": items, "mask": ["email"]}
    rows = shared.post("/v1/tag", json=body).json()["responses"]
    assert [row["status"] for row in rows] == ["error", "tagged", "error", "tagged"]
    assert [row["comment"] for row in rows] == [None, items[1]["comment"], None, "Billed"]


@pytest.mark.parametrize(
    ("item", "pointer"),
    [(item, f"#/responses/1/{field}".replace("a/b~c", "a~1b~0c")) for item, field in WRONG]
    + [(SECRET, "#/responses/1")],
)
def test_an_item_to_be_stored_that_cannot_be_understood_is_named_and_not_quoted(shared, item, pointer):
    item = item | {"response_id": "r-2"} if isinstance(item, dict) else item
    body = {"responses": [{"response_id": "r-1", "comment": SECRET}, item]}
    found = problem(shared.post("/v1/responses", json=body), 422)
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
    ],
)
@pytest.mark.parametrize("path", ["/v1/tag", "/v1/responses"])
def test_a_body_that_is_no_such_json_is_a_problem(shared, path, body):
    problem(post_json(shared, path, body.encode("latin-1")), 422)


@pytest.mark.parametrize("score", ["NaN", "Infinity", "1e999"])
def test_a_score_that_is_no_number_is_a_problem(shared, score):
    body = f'{{"responses": [{{"response_id": "r-1", "score": {score}}}]}}'
    problem(post_json(shared, "/v1/responses", body), 422)
    answer = post_json(shared, "/v1/tag", body)
    assert answer.status_code == 422 or answer.json()["responses"][0]["status"] == "error"


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
