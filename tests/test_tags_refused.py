"""Tags files that cannot be understood: one sentence each, with its place."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data.errors import WhyscoreError
from data.scale import CES7
from data.tags import COLUMNS, Evidence, Tag, read_tags
from tests.tags_on_disk import sentence, write_lines

TAG = Tag("billing.charge", "negative", 0.97, (Evidence(0, 4, "=SUM"),))
RECORD = {"response_id": "r1", "comment": "x", "status": "uncoded", "tags": []}


def test_responses_are_no_tags(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("score,comment\n9,x\n")
    assert sentence(path) == (
        "row 2, column 'tags': the file holds no tags (no 'status' and 'tags'); "
        "make one with: whyscore tag RESPONSES"
    )


def tag(**change):
    return RECORD | {"status": "tagged", "tags": [TAG.to_record() | change]}


UNCLEAR = "column 'tags': the tags cannot be understood"


@pytest.mark.parametrize(
    ("record", "want"),
    [
        (RECORD | {"status": "done"}, "column 'status': the status is not one of tagged, uncoded,"),
        (RECORD | {"status": ["tagged"]}, "column 'status': the status is not one of"),
        (RECORD | {"status": "tagged"}, "column 'status': the status is 'tagged', but there are none"),
        (tag() | {"status": "uncoded"}, "column 'status': the status is 'uncoded', but there are some"),
        (RECORD | {"taxonomy_version": 1.5}, "column 'taxonomy_version': the version is not a whole number"),
        (RECORD | {"taxonomy_version": "new"}, "column 'taxonomy_version': the version is not a whole"),
        (RECORD | {"taxonomy_version": 10**300}, "column 'taxonomy_version': the version is not a whole"),
        (RECORD | {"taxonomy_version": -1}, "column 'taxonomy_version': the version is not a whole number"),
        (RECORD | {"score": 11}, "column 'score': 11 is outside the NPS scale 0-10"),
        (RECORD | {"weight": -1}, "column 'weight': the weight -1 is below 0"),
        (RECORD | {"comment": ["x"]}, "column 'comment': the comment is not a text"),
        (RECORD | {"tags": 5}, UNCLEAR),
        (RECORD | {"tags": "[{]"}, UNCLEAR),
        (RECORD | {"tags": "[" * 9999}, UNCLEAR),
        (RECORD | {"tags": "billing.charge"}, UNCLEAR),
        (RECORD | {"tags": {"code": "a"}}, UNCLEAR),
        (RECORD | {"tags": ["billing.charge"]}, UNCLEAR),
        (RECORD | {"tags": [{"code": "a"}]}, UNCLEAR),
        (tag(code=5), UNCLEAR),
        (tag(polarity="bad"), UNCLEAR),
        (tag(polarity=["negative"]), UNCLEAR),
        (tag(probability=None), UNCLEAR),
        (tag(probability="0.5"), UNCLEAR),
        (tag(probability=True), UNCLEAR),
        (tag(probability=1.01), UNCLEAR),
        (tag(evidence=5), UNCLEAR),
        (RECORD | {"abstained": "maybe"}, "column 'abstained': it is neither true nor false"),
        (
            RECORD | {"abstained": True, "status": "no_comment"},
            "column 'abstained': the model abstained, but the status is 'no_comment'",
        ),
        (tag(evidence=["x"]), UNCLEAR),
        (tag(evidence=[{"start": 0, "end": 1}]), UNCLEAR),
        (tag(evidence=[{"start": 2, "end": 1, "text": "x"}]), UNCLEAR),
        (tag(evidence=[{"start": -1, "end": 1, "text": "x"}]), UNCLEAR),
        (tag(evidence=[{"start": 0.5, "end": 1, "text": "x"}]), UNCLEAR),
        (tag(evidence=[{"start": 0, "end": 10**400, "text": "x"}]), UNCLEAR),
        (tag(evidence=[{"start": 0, "end": 1, "text": None}]), UNCLEAR),
    ],
)  # fmt: skip
def test_what_a_tags_file_cannot_say(tmp_path, record, want):
    assert sentence(write_lines(tmp_path, RECORD, record)).startswith(f"row 2, {want}")


@pytest.mark.parametrize("number", ["NaN", "1e999", "-1e999"])
def test_probabilities_that_are_no_number(tmp_path, number):
    path = tmp_path / "a.csv"
    tags = json.dumps([TAG.to_record()]).replace("0.97", number).replace('"', '""')
    path.write_text(f'comment,status,tags\nx,tagged,"{tags}"\n', encoding="utf-8")
    assert sentence(path) == f"row 2, {UNCLEAR}"


def test_no_tags_may_be_said_in_several_ways(tmp_path):
    records = [RECORD | {"tags": none} for none in (None, [], "", "[]")]
    assert [row.tags for row in read_tags(write_lines(tmp_path, *records))] == [()] * 4


def test_the_scale_is_declared(tmp_path):
    path = write_lines(tmp_path, RECORD | {"score": 8})
    assert next(read_tags(path)).response.score == 8.0
    assert sentence(path, scale=CES7) == "row 1, column 'score': 8 is outside the CES scale 1-7"


# --- anything at all

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["tagged", "x", "[]", "negative"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["code", "polarity", "probability", "evidence", "start", "end", "text"]), inner
        )
    ),
    max_leaves=8,
)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(st.sampled_from(COLUMNS), VALUES), st.booleans())
@example({"taxonomy_version": float("inf")}, False)
@example({"tags": [{"code": "a", "polarity": "negative", "probability": 10**400}]}, False)
@example({"model": {"a": 1}, "error": 5, "response_id": [1]}, True)
def test_any_record_is_tags_or_one_sentence(tmp_path, record, packed):
    path = tmp_path / "a.jsonl"
    line = (json.dumps(RECORD | record) + "\n").encode()
    path.write_bytes(gzip.compress(line) if packed else line)
    said = ""
    try:
        for row in read_tags(path):
            row.to_line().encode()
    except WhyscoreError as error:
        said = str(error)
    assert "\n" not in said
