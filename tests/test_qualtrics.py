import csv
import io
from collections import Counter
from datetime import UTC, datetime

import pytest

from data.errors import InputError
from data.responses import read_responses
from data.store import Store
from data.tables import read_rows
from serving.ingest import ingest_file
from tests.stubs import StubTagger

NAMES = [
    "StartDate",
    "Status",
    "IPAddress",
    "RecordedDate",
    "ResponseId",
    "DistributionChannel",
    "Q1",
    "Q2",
    "Region",
]
QUESTIONS = [
    "Start Date",
    "Response Type",
    "IP Address",
    "Recorded Date",
    "Response ID",
    "Distribution Channel",
    "How likely are you\nto recommend us?",
    "Why?",
    "Region",
]
IDS = [
    '{"ImportId":"startDate","timeZone":"America/Denver"}',
    '{"ImportId":"status"}',
    '{"ImportId":"ipAddress"}',
    '{"ImportId":"recordedDate","timeZone":"America/Denver"}',
    '{"ImportId":"_recordId"}',
    '{"ImportId":"distributionChannel"}',
    '{"ImportId":"QID7"}',
    '{"ImportId":"QID8_TEXT"}',
    '{"ImportId":"Region"}',
]


def answer(
    key, score="3", why="Billed twice", status="IP Address", channel="anonymous", at="2026-04-01 22:30:00"
):
    return ["2026-04-01 22:00:00", status, "192.0.2.7", at, key, channel, score, why, "North"]


ROWS = [
    answer("R_1"),
    answer("R_2", status="Survey Preview"),
    answer("R_3", why="The price,\nreally"),
    answer("R_4", channel="preview"),
    answer("R_5", "9", ""),
]
COLUMNS = {"score": "Q1", "comment": "Q2", "responded_at": "RecordedDate"}


def text(rows=ROWS, delimiter=",", head=(NAMES, QUESTIONS, IDS)):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows([*head, *rows])
    return out.getvalue()


@pytest.mark.parametrize(("name", "delimiter"), [("q.csv", ","), ("q.tsv", "\t")])
def test_three_header_rows_are_no_answers_and_previews_are_counted(write, name, delimiter):
    left_out = Counter()
    path = write(name, "\ufeff" + text(delimiter=delimiter))
    found = list(read_responses(path, columns=COLUMNS, left_out=left_out))
    assert [(r.response_id, r.score, r.comment) for r in found] == [
        ("R_1", 3, "Billed twice"),
        ("R_3", 3, "The price,\nreally"),
        ("R_5", 9, None),
    ]
    assert left_out == {"survey preview": 2}
    assert "IPAddress" not in found[0].segments  # who answered is nobody's segment
    assert found[0].segments["Region"] == "North"


def test_times_are_of_the_zone_that_the_file_names(write):
    (first, *_) = read_responses(write("q.csv", text()), columns=COLUMNS)
    assert first.responded_at == datetime(2026, 4, 2, 4, 30, tzinfo=UTC)
    form = "%Y-%m-%d %H:%M:%S"  # who says how to read a date says all of it
    (first, *_) = read_responses(write("q.csv", text()), columns=COLUMNS, date_format=form)
    assert first.responded_at == datetime(2026, 4, 1, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "columns",
    [
        {"score": "QID7", "comment": "QID8_TEXT"},
        {"score": "How likely are you to recommend us?", "comment": "Why?"},
        {"score": "Q1", "comment": "why?"},
    ],
)
def test_columns_go_by_import_id_and_by_question_too(write, columns):
    path = write("q.csv", text())
    if columns["comment"] == "why?":
        with pytest.raises(InputError, match="no such column"):
            list(read_responses(path, columns=columns))
        return
    (first, *_) = read_responses(path, columns=columns)
    assert (first.score, first.comment) == (3, "Billed twice")


def test_a_question_that_two_columns_share_names_neither(write):
    head = ([*NAMES, "Q3"], [*QUESTIONS, "Why?"], [*IDS, '{"ImportId":"QID9_TEXT"}'])
    path = write("q.csv", text([[*answer("R_1"), "x"]], head=head))
    with pytest.raises(InputError, match="no such column"):
        list(read_responses(path, columns={"score": "Q1", "comment": "Why?"}))
    (found,) = read_responses(path, columns={"score": "QID7", "comment": "QID9_TEXT"})
    assert found.comment == "x"


def test_rows_count_as_the_spreadsheet_shows_them(write):
    path = write("q.csv", text([answer("R_1"), answer("R_2", "11")]))
    with pytest.raises(InputError) as caught:
        list(read_responses(path, columns=COLUMNS))
    assert (caught.value.row, caught.value.column) == (5, "Q1")


@pytest.mark.parametrize(
    "third",
    [
        ['{"ImportId":"QID1"}', "{not json}"],
        ['{"ImportId":"QID1"}', ""],
        ['{"other":"QID1"}', '{"ImportId":"QID2"}'],
        ["3", '{"ImportId":"QID2"}'],
        ["{" * 200, "[]"],
    ],
)
def test_any_other_file_keeps_all_its_rows(write, third):
    head = (["score", "comment"], ["9", "Great"], third)
    rows = list(read_rows(write("q.csv", text([["1", "Bad"]], head=head))))
    assert [row.number for row in rows] == [2, 3, 4]
    assert {row.header for row in rows} == {None}


@pytest.mark.parametrize("count", [0, 1])
def test_short_files_are_read_as_before(write, count):
    assert len(list(read_rows(write("q.csv", "score,comment\n" + "9,Great\n" * count)))) == count


def test_a_fault_behind_the_header_names_its_row(write):
    with pytest.raises(InputError) as caught:
        list(read_rows(write("q.csv", 'a,b\n1,2\n"open,3\n')))
    assert caught.value.row == 3


def test_what_is_left_out_is_told_when_a_file_is_stored(write, tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/s.sqlite") as store:
        counts = ingest_file(write("q.csv", text()), StubTagger(), store, columns=COLUMNS)
    assert (counts.received, counts.created, counts.left_out) == (3, 3, 2)
