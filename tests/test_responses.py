"""Responses: what a survey file's cells mean, which columns hold them, and the sentence for each mistake."""

import csv
import io
import json
import traceback
import tracemalloc
from collections import Counter
from datetime import UTC, datetime

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data.cells import (
    BLANKS,
    is_blank,
    tidy_name,
)
from data.errors import InputError, WhyscoreError
from data.responses import (
    FIELDS,
    Response,
    latest,
    parse_response,
    read_responses,
)
from data.scale import CSAT5
from data.tables import FORMATS, Row

HERE = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def write(tmp_path):
    def write_file(name, content):
        path = tmp_path / name
        if name.endswith(".xlsx"):
            book = openpyxl.Workbook()
            for row in content:
                book.active.append(row)
            book.save(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def sentence(path, **how):
    with pytest.raises(InputError) as caught:
        list(read_responses(path, **how))
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path}, ", "").replace(f"{path}: ", "")


def read(path, **how):
    return list(read_responses(path, **how))


# --- the format


def test_every_field_is_read(write):
    path = write(
        "a.csv",
        "response_id,score,comment,responded_at,respondent_id,weight,region,plan\n"
        "r1,3, Billed twice ,2024-03-01T10:00:00+02:00,p1,2.5,North,\n",
    )
    assert read(path) == [
        Response(
            "r1", 3.0, " Billed twice ", datetime(2024, 3, 1, 8, tzinfo=UTC), "p1", 2.5, {"region": "North"}
        )
    ]


def test_blank_cells_are_none_and_weigh_one(write):
    path = write("a.csv", "response_id,score,comment,responded_at,respondent_id,weight\nr1,, ,,,\n")
    assert read(path) == [Response("r1")]


def test_the_same_survey_in_every_format_gives_the_same_responses(write, tmp_path):
    moment = datetime(2024, 1, 31, 9, 30)
    header = ["Score", "Comment", "responded_at", "Weight", "region", "store"]
    rows = [[9, "fine, really", moment, 1.5, "N", 17], [None, None, None, None, "S", None]]
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    write("a.csv", text.getvalue())
    write("a.xlsx", [header, *rows])
    pd.DataFrame(rows, columns=header).to_parquet(tmp_path / "a.parquet")
    record = dict(zip(header, rows[0], strict=True)) | {"responded_at": moment.isoformat()}
    write("a.jsonl", json.dumps(record) + '\n{"region": "S"}\n')
    want = read(tmp_path / "a.csv")
    assert [row.score for row in want] == [9.0, None]
    assert [dict(row.segments) for row in want] == [{"region": "N", "store": "17"}, {"region": "S"}]
    for name in ("a.xlsx", "a.parquet", "a.jsonl"):
        assert read(tmp_path / name) == want  # the stable ids among the rest


def test_the_last_row_of_an_id_replaces_the_first_in_its_place():
    rows = [Response("a", 1), Response("b", 2), Response("a", 3)]
    assert latest(rows) == [Response("a", 3), Response("b", 2)]


# --- columns


def test_a_column_that_a_mapping_passes_over_is_a_segment(write):
    path = write("a.csv", "comment,Q5,score,Q1\nold,new,1,9\n")
    (row,) = read(path, columns={"comment": "Q5", "score": "Q1"})
    assert (row.comment, row.score) == ("new", 9.0)
    assert dict(row.segments) == {"segment_comment": "old", "segment_score": "1"}


def test_the_missing_column_is_named_with_those_that_are_there(write):
    text = ("x" * 300 + ",Kommentar\n1,gut\n").encode()
    said = sentence(write("a.csv", text))
    assert said.startswith("row 1, column 'comment': there is no column 'comment'")
    assert "'Kommentar'; say --map comment=" in said
    assert len(said) < 250
    assert read(write("b.csv", "score\n9\n"), required=()) != []


def test_another_date_format_is_declared(write):
    path = write("a.csv", "comment,responded_at\nx,31/01/2024\n")
    assert read(path, date_format="%d/%m/%Y")[0].responded_at == datetime(2024, 1, 31, tzinfo=UTC)
    for wrong in ("%Q", "%", "%Y %Y", "%H:%M", "%d %b", "dd/mm/yyyy", ""):
        assert "--date-format" in sentence(path, date_format=wrong)


# --- JSON lines: each line has keys of its own


def test_json_lines_may_differ_in_their_keys(write):
    path = write(
        "a.jsonl",
        '{"score": 9}\n{"Comment": "x", "tier": 2}\n'
        '{"Q5": "y", "comment": "z"}\n{"tier": {"a": [1]}, "": 1}\n',
    )
    rows = read(path)
    assert [row.comment for row in rows] == [None, "x", "z", None]
    assert [dict(row.segments) for row in rows] == [{}, {"tier": "2"}, {"Q5": "y"}, {"tier": '{"a": [1]}'}]
    rows = read(path, columns={"comment": "Q5"})
    assert [row.comment for row in rows] == [None, None, "y", None]


def test_a_key_that_no_line_has(write):
    path = write("a.jsonl", '{"score": 9}\n{"score": 8}\n')
    assert sentence(path) == "column 'comment': no line has this key"
    assert sentence(path, columns={"score": "Skore"}, required=()) == "column 'Skore': no line has this key"
    assert "--map knows no field 'skore'" in sentence(path, columns={"skore": "score"})


def test_keys_that_differ_in_blanks_alone_are_one_column(write):
    path = write("a.jsonl", '{"comment": "x", "tier": 1, " tier": 2}\n')
    assert sentence(path) == "row 1, column 'tier': two columns have this name"


# --- bad input


@pytest.mark.parametrize(
    ("cell", "want"),
    [
        ("11", "11 is outside the NPS scale 0-10"),
        ("-1", "-1 is outside the NPS scale 0-10"),
        ("10 - Extremely likely", "the score is not a plain number from 0 to 10, such as 10"),
        ("inf", "the score is not a plain number from 0 to 10, such as 10"),
        ("my name is Ana", "the score is not a plain number from 0 to 10, such as 10"),
    ],
)
def test_scores_that_cannot_be(write, cell, want):
    want = f"row 3, column 'Score': {want}"
    assert sentence(write("a.csv", f"Score,comment\n9,x\n{cell},y\n")) == want
    assert sentence(write("a.xlsx", [["Score", "comment"], [9, "x"], [cell, "y"]])) == want


def test_the_scale_is_declared_never_guessed(write):
    path = write("a.csv", "score,comment\n5,x\n0,y\n")
    assert sentence(path, scale=CSAT5) == "row 3, column 'score': 0 is outside the CSAT scale 1-5"


def test_a_row_of_totals_is_named(write):
    path = write("a.csv", "response_id,score,comment\nr1,9,x\nr2,3,y\nTotal,12,\n")
    assert sentence(path) == "row 4, column 'score': 12 is outside the NPS scale 0-10"
    path = write("b.csv", "response_id,score,comment\nr1,9,x\n,NPS: 0,\n")
    assert sentence(path).startswith("row 3, column 'score': the score is not a plain number")


@pytest.mark.parametrize(
    ("cell", "want"),
    [
        ("-0.5", "the weight -0.5 is below 0"),
        ("1e16", "the weight 1e+16 is above 1e+15"),
        ("Infinity", "the weight is not a plain number, such as 1234.5"),
        ("1,234", "the weight is not a plain number, such as 1234.5"),
        ("heavy", "the weight is not a plain number, such as 1234.5"),
    ],
)
def test_weights_that_cannot_be(write, cell, want):
    assert sentence(write("a.csv", f'comment,weight\nx,"{cell}"\n')) == f"row 2, column 'weight': {want}"


def test_dates_and_comments_that_cannot_be(write):
    said = sentence(write("a.csv", "comment,responded_at\nx,31.01.2024\n"))
    assert said == (
        "row 2, column 'responded_at': not an ISO 8601 date or time; declare another with --date-format"
    )
    said = sentence(write("a.csv", "comment,responded_at\nx,2024-01-31\n"), date_format="%d/%m/%Y")
    assert said.startswith("row 2, column 'responded_at': not in the format %d/%m/%Y")
    said = sentence(write("a.jsonl", '{"comment": {"text": "x"}}\n'))
    assert said == "row 1, column 'comment': the comment is not a text"


def test_a_comment_in_the_wrong_column_is_not_quoted(write):
    secret = "my name is Ana"
    for field in ("score", "weight", "responded_at"):
        path = write("a.csv", f"comment,{field}\nx,{secret}\n")
        with pytest.raises(InputError) as caught:
            list(read_responses(path, date_format="%d/%m/%Y"))
        assert secret not in str(caught.value)
        assert secret not in "".join(traceback.format_exception(caught.value))


# --- workbooks as surveys export them


def test_a_workbook_as_surveys_export_it(write):
    path = write(
        "a.xlsx",
        [
            ["Response\nID ", "How likely?", "What could we\ndo better? ", "Date", None],
            [1001.0, "9", "good_x000D_\nreally", datetime(2024, 1, 31, 9, 30), None],
            [1002, " 9,0 ", "\u00a0", datetime(2024, 2, 1), None],
            [1003, None, 10, None, None],
            *[[None] * 5] * 20,
        ],
    )
    columns = {"score": "How likely?", "comment": "What could we do better?", "responded_at": "Date"}
    first, second, third = read(path, columns=columns)
    assert (first.response_id, first.score, first.comment) == ("1001", 9.0, "good\r\nreally")
    assert first.responded_at == datetime(2024, 1, 31, 9, 30, tzinfo=UTC)
    assert (second.score, second.comment) == (9.0, None)
    assert (third.score, third.comment, dict(third.segments)) == (None, "10", {})


# --- names that tags files use


def test_columns_with_names_of_tags_are_kept_under_another(write):
    (row,) = read(write("a.csv", "comment,model,Status,error\nx,Octavia,open,none\n"))
    assert dict(row.segments) == {"segment_model": "Octavia", "Status": "open", "segment_error": "none"}
    said = sentence(write("b.csv", "comment,model,segment_model\nx,1,2\n"))
    assert said == "row 2, column 'segment_model': two columns have this name"


# --- stable ids


def test_ids_are_stable_for_good(write):
    """The literal ids are what files and stores out there hold: they must never change.

    Each is the start of the SHA-256 of the row's record, as JSON with sorted keys and an empty id.
    """
    path = write("a.csv", "score,comment,region\n9,Über good 🙂,N\n9,Über good 🙂,N\n,,S\n")
    ids = [row.response_id for row in read(path)]
    assert ids == [
        "row-071a57074e6a67907a22",
        "row-071a57074e6a67907a22-2",
        "row-afc14790bddc945bc1e9",
    ]


def test_the_same_file_twice_gives_the_same_ids_and_equal_rows_stay_apart(write):
    path = write("a.csv", "score,comment\n9,good\n9,good\n8,good\n9,good\n")
    first, again = read(path), read(path)
    assert first == again
    assert len({row.response_id for row in first}) == 4
    moved = read(write("b.csv", "Comment,Score\ngood,8\ngood,9\ngood,9.0\ngood,9\n"))
    assert {row.response_id for row in moved} == {row.response_id for row in first}


ROW = st.fixed_dictionaries(
    {},
    optional={
        "score": st.integers(0, 10),
        "comment": st.text(max_size=8),
        "weight": st.floats(0, 1e6),
        "region": st.text(max_size=4),
    },
)


@given(st.lists(ROW, max_size=8))
def test_ids_are_distinct_and_depend_on_the_rows_alone(rows):
    def ids(rows):
        seen = Counter()
        return [parse_response(Row(n, r), {k: k for k in FIELDS if k in r}, "f", seen=seen).response_id
                for n, r in enumerate(rows)]  # fmt: skip

    assert len(set(ids(rows))) == len(rows)
    assert sorted(ids(rows)) == sorted(ids(rows[::-1]))


# --- round trip

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
EDGED = TEXT.map(lambda text: text.strip(BLANKS)).filter(bool)
NAMES = TEXT.map(tidy_name).filter(lambda name: name and name not in FIELDS and "segment" not in name)
RESERVED = ("status", "tags", "model", "taxonomy_version", "error", "abstained")
RESPONSES = st.builds(
    Response,
    response_id=EDGED,
    score=st.none() | st.integers(0, 10).map(float) | st.floats(0, 10),
    comment=st.none() | TEXT.filter(lambda text: not is_blank(text)),
    responded_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    respondent_id=st.none() | EDGED,
    weight=st.floats(0, 1e9),
    segments=st.dictionaries(NAMES.filter(lambda name: name not in RESERVED), EDGED, max_size=3),
)


@settings(suppress_health_check=HERE, deadline=None)
@given(st.lists(RESPONSES, min_size=1, max_size=3))
def test_responses_read_back_from_json_lines(tmp_path, rows):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps(row.to_record(), ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8", newline="")
    assert list(read_responses(path, required=())) == rows


@settings(suppress_health_check=HERE, deadline=None)
@given(RESPONSES)
def test_a_response_reads_back_from_csv(tmp_path, row):
    record = row.to_record()
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([list(record), list(record.values())])
    assert list(read_responses(path)) == [row]


def test_a_record_holds_numbers_as_people_write_them_and_only_what_utf8_can_hold():
    row = Response("a\ud800", 9.0, "x\ud83d", None, None, 1.0, {"k\udc00": "v\0", "score": "no"})
    assert row.to_record() == {
        "response_id": "a\ufffd", "score": 9, "comment": "x\ufffd", "responded_at": None,
        "respondent_id": None, "weight": 1, "k\ufffd": "v\ufffd",
    }  # fmt: skip
    assert Response("a", 9).to_record()["score"] == 9
    assert Response("a", float("nan")).to_record()["score"] is None


# --- streams, and anything at all


def test_responses_are_read_lazily_and_in_bounded_memory(write):
    line = "r{},8,The driver was friendly,2024-01-31,N\n"
    text = "".join(line.format(number) for number in range(20_000))
    path = write("a.csv", "response_id,score,comment,responded_at,region\n" + text + "r,99,,,\n")
    tracemalloc.start()
    try:
        rows = read_responses(path)
        assert next(rows).response_id == "r0"
        with pytest.raises(InputError, match="99 is outside"):
            sum(1 for _ in rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


@settings(max_examples=150, deadline=None, suppress_health_check=HERE)
@given(
    st.sampled_from([form for form in FORMATS if form not in (".xlsx", ".parquet")]),
    st.text(alphabet='score,mnt;"\n\r\t{}[]:19.-é🙂\\u0', max_size=80),
)
@example(".jsonl", '{"score": 1e999}')
@example(".jsonl", '{"score": ' + "9" * 400 + "}")
@example(".jsonl", '{"weight": true, "responded_at": 1e308}')
@example(".jsonl", '{"responded_at": "2024-01-31T00:00:00+23:59:59.999999"}')
def test_any_text_is_responses_or_one_sentence(tmp_path, form, text):
    path = tmp_path / f"any{form}"
    path.write_text(text, encoding="utf-8", newline="")
    said = ""
    try:
        for row in read_responses(path, required=()):
            assert row.response_id
            json.dumps(row.to_record(), allow_nan=False).encode()
    except WhyscoreError as error:
        said = str(error)
    assert "\n" not in said


def test_an_exports_mark_of_a_missing_comment_is_no_comment(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("score,comment\n9,NA\n8,NULL\n7,n/a\n6,none\n5,NA yet\n", encoding="utf-8")
    assert [r.comment for r in read_responses(path)] == [None, None, "n/a", "none", "NA yet"]
    lines = tmp_path / "r.jsonl"
    lines.write_text('{"score": 9, "comment": "NA"}\n', encoding="utf-8")
    assert [r.comment for r in read_responses(lines)] == ["NA"]
