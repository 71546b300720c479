"""Tags: three formats that read back equal, safe in a spreadsheet, and a sentence for each mistake."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.annotations import POLARITIES
from data.cells import BLANKS, is_blank, tidy_name
from data.errors import InputError
from data.responses import Response, read_responses
from data.tags import (
    COLUMNS,
    STATUSES,
    Evidence,
    Tag,
    TaggedResponse,
    defuse,
    read_tags,
    write_tags,
)
from tests.tags_on_disk import sentence

HERE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
FORMS = ["a.jsonl", "a.ndjson.gz", "a.csv", "a.tsv", "a.csv.gz", "a.parquet"]
COMMENT = '=SUM(A1), "quoted"\r\nand 🙂'
TAG = Tag("billing.charge", "negative", 0.97, (Evidence(0, 4, "=SUM"), Evidence(24, 25, "🙂")))
FULL = TaggedResponse(
    Response("r1", 3.0, COMMENT, datetime(2024, 1, 31, 9, 30, tzinfo=UTC), "p1", 2.5, {"region": "-N"}),
    "tagged",
    (TAG, Tag("support", "positive", 1.0)),
    "reason-codes/7",
    3,
)
SILENT = TaggedResponse(Response("r2"), "no_comment")
FAILED = TaggedResponse(Response("r3", comment="x"), "error", error="the comment is too long")
UNLIKE = TaggedResponse(Response("r4", comment="qwrtp"), "uncoded", (), "m/1", 3, abstained=True)
RECORD = {"response_id": "r1", "comment": "x", "status": "uncoded", "tags": []}


# --- round trip


@pytest.mark.parametrize("name", FORMS)
def test_tags_read_back_equal(tmp_path, name):
    rows = [FULL, SILENT, FAILED, UNLIKE]
    assert write_tags(iter(rows), tmp_path / name, ["region"]) == 4
    assert list(read_tags(tmp_path / name)) == rows


@pytest.mark.parametrize("name", FORMS)
def test_no_rows_are_a_file_too(tmp_path, name):
    assert write_tags([], tmp_path / name) == 0
    assert list(read_tags(tmp_path / name)) == []


TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("=+-@\t\r\n'\",;|🙂\ufeff\u2028"),
    max_size=12,
)
EDGED = TEXT.map(lambda text: text.strip(BLANKS)).filter(bool)
NAMES = TEXT.map(tidy_name).filter(lambda name: name and name not in COLUMNS)
COMMENTS = TEXT.filter(lambda text: not is_blank(text))
EVIDENCE = st.tuples(st.integers(0, 99), st.integers(0, 99), TEXT).map(
    lambda part: Evidence(min(part[:2]), max(part[:2]), part[2])
)
TAGS = st.builds(
    Tag,
    code=EDGED,
    polarity=st.sampled_from(POLARITIES),
    probability=st.floats(0, 1),
    evidence=st.lists(EVIDENCE, max_size=2).map(tuple),
)


@st.composite
def tagged(draw, names):
    segments = {name: draw(EDGED) for name in names if draw(st.booleans())}
    response = Response(
        draw(EDGED),
        draw(st.none() | st.floats(0, 10)),
        draw(st.none() | COMMENTS),
        draw(st.none() | st.datetimes(timezones=st.just(UTC))),
        draw(st.none() | EDGED),
        draw(st.floats(0, 1e9)),
        segments,
    )
    tags = tuple(draw(st.lists(TAGS, max_size=2)))
    status = (
        "tagged" if tags else draw(st.sampled_from([status for status in STATUSES if status != "tagged"]))
    )
    error = draw(EDGED) if status == "error" else None
    return TaggedResponse(
        response,
        status,
        tags,
        draw(st.none() | EDGED),
        draw(st.none() | st.integers(1, 99)),
        error,
        status == "uncoded" and draw(st.booleans()),
    )


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.parquet"])
@settings(max_examples=40, deadline=None, suppress_health_check=HERE)
@given(data=st.data())
def test_any_tags_read_back_equal(tmp_path, name, data):
    names = data.draw(st.lists(NAMES, max_size=2, unique=True))
    rows = data.draw(st.lists(tagged(names), max_size=3))
    write_tags(rows, tmp_path / name, names)
    assert list(read_tags(tmp_path / name)) == rows


def test_the_line_of_json_is_the_promised_one():
    assert json.loads(FULL.to_line()) == {
        "response_id": "r1",
        "score": 3,
        "comment": COMMENT,
        "responded_at": "2024-01-31T09:30:00+00:00",
        "respondent_id": "p1",
        "weight": 2.5,
        "region": "-N",
        "status": "tagged",
        "tags": [
            {
                "code": "billing.charge",
                "polarity": "negative",
                "probability": 0.97,
                "evidence": [{"start": 0, "end": 4, "text": "=SUM"}, {"start": 24, "end": 25, "text": "🙂"}],
            },
            {"code": "support", "polarity": "positive", "probability": 1.0, "evidence": []},
        ],
        "model": "reason-codes/7",
        "taxonomy_version": 3,
    }
    assert "🙂" in FULL.to_line()
    assert json.loads(FAILED.to_line())["error"] == "the comment is too long"
    assert json.loads(UNLIKE.to_line())["abstained"] is True
    assert "abstained" not in FULL.to_line() + FAILED.to_line()


# --- spreadsheets


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_no_cell_starts_as_a_formula(tmp_path, name):
    risky = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "'", "''"]
    rows = [
        TaggedResponse(Response(f"={n}", None, text, None, f"@{n}", segments={"=s": text.strip()}), "uncoded")
        for n, text in enumerate(risky)
    ]
    write_tags(rows, tmp_path / name, ["=s"])
    with (tmp_path / name).open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file, delimiter="\t" if "t" in name else ",") for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))]
    assert list(read_tags(tmp_path / name)) == rows


def test_a_defused_text_has_one_mark_more():
    assert [defuse(cell) for cell in ("=1", "'x", "x", "", 5, -5, None)] == [
        "'=1", "''x", "x", "", 5, -5, None
    ]  # fmt: skip


def test_a_csv_that_was_saved_as_a_workbook_reads_as_before(tmp_path):
    good = TaggedResponse(Response("r1", 9.0, "=good", weight=1.5), "tagged", (TAG,), "m/1", 3)
    rows = [good, FAILED, UNLIKE]
    write_tags(rows, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text("utf-8").endswith(",m/1,3,,true\n")
    book = openpyxl.Workbook()
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            book.active.append([float(cell) if cell.replace(".", "").isdigit() else cell for cell in row])
    book.save(tmp_path / "a.xlsx")
    assert list(read_tags(tmp_path / "a.xlsx")) == rows


def test_pandas_may_have_written_the_file(tmp_path):
    write_tags([FULL, UNLIKE, FAILED], tmp_path / "a.csv", ["region"])
    frame = pd.read_csv(tmp_path / "a.csv", dtype={"responded_at": str})
    assert frame["taxonomy_version"].tolist()[0] == 3.0
    frame.to_csv(tmp_path / "b.csv", index=False)
    assert "3.0" in (tmp_path / "b.csv").read_text("utf-8")
    rows = list(read_tags(tmp_path / "b.csv"))
    assert [row.taxonomy_version for row in rows] == [3, 3, None]
    assert [row.abstained for row in rows] == [False, True, False]


def test_parquet_has_typed_columns(tmp_path):
    write_tags([FULL, SILENT], tmp_path / "a.parquet", ["region"])
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == [*COLUMNS[:6], "region", *COLUMNS[6:]]
    assert table.schema.field("responded_at").type == pa.timestamp("us", tz="UTC")
    assert table["tags"][0][0]["evidence"][0]["text"].as_py() == "=SUM"
    assert table["score"].to_pylist() == [3.0, None]


# --- characters that no file can hold


@pytest.mark.parametrize("name", FORMS)
def test_half_an_emoji_is_written_as_a_replacement_character(tmp_path, name):
    cut = "cut \ud83d"
    tag = Tag("a\udc00", "negative", 0.5, (Evidence(4, 5, "\ud83d"),))
    row = TaggedResponse(
        Response(cut, comment=cut, respondent_id=cut, segments={"s": cut}), "tagged", (tag,), cut, 1, cut
    )
    write_tags([row], tmp_path / name, ["s"])
    mended = "cut \ufffd"
    assert list(read_tags(tmp_path / name)) == [
        TaggedResponse(
            Response(mended, comment=mended, respondent_id=mended, segments={"s": mended}),
            "tagged",
            (Tag("a\ufffd", "negative", 0.5, (Evidence(4, 5, "\ufffd"),)),),
            mended,
            1,
            mended,
        )
    ]


# --- writing


def test_rows_may_be_a_stream_that_is_never_held_whole(tmp_path):
    """By the time that row 9,000 is asked for, the first 8,192 are in the writer's hands."""
    path = tmp_path / "a.jsonl"
    sizes = []

    def rows():
        for number in range(9_001):
            if number in (4_095, 9_000):
                sizes.append(path.stat().st_size)
            yield TaggedResponse(Response(f"r{number}", comment="x" * 50), "uncoded")

    assert write_tags(rows(), path) == 9_001
    assert sizes[0] == 0
    assert sizes[1] > 8_000 * 50
    reader = read_tags(path)
    assert next(reader).response.response_id == "r0"


def test_other_endings_and_folders_that_are_not_there(tmp_path):
    for name in ("a.xlsx", "a.parquet.gz", "a.txt"):
        with pytest.raises(InputError, match=r"tags are written as \.jsonl|ending is not one of"):
            write_tags([FULL], tmp_path / name)
    for name in FORMS:
        with pytest.raises(InputError, match="the file cannot be written"):
            write_tags([FULL], tmp_path / "none" / name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_full_disk_is_one_sentence(tmp_path, name):
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        write_tags((FULL for _ in range(5000)), tmp_path / name)


def test_segments_are_written_once_and_never_under_a_fields_name(tmp_path):
    write_tags([FULL], tmp_path / "a.csv", ["region", "score", "region", "model"])
    assert list(read_tags(tmp_path / "a.csv")) == [FULL]
    with pytest.raises(InputError, match="blanks around it"):
        write_tags([FULL], tmp_path / "a.csv", ["two\nlines"])


def test_files_cut_off_in_the_middle(tmp_path):
    rows = [TaggedResponse(Response(f"r{n}", comment="x"), "uncoded") for n in range(50)]
    for name in FORMS:
        path = tmp_path / name
        write_tags(rows, path)
        path.write_bytes(path.read_bytes()[: -max(30, path.stat().st_size // 3)])
        if name.endswith((".csv", ".tsv")):
            path.write_bytes(path.read_bytes() + b'\r\nr,"open')
        assert sentence(path)


# --- tagging anew


@pytest.mark.parametrize("name", FORMS)
def test_a_tags_file_can_be_read_as_responses(tmp_path, name):
    """Its tags are left out: they are about to be made anew."""
    write_tags([FULL, SILENT, FAILED], tmp_path / name, ["region"])
    assert list(read_responses(tmp_path / name)) == [row.response for row in (FULL, SILENT, FAILED)]


def test_json_lines_are_not_taken_for_a_defused_csv(tmp_path):
    row = TaggedResponse(Response("r1", comment="'=quoted"), "uncoded")
    write_tags([row], tmp_path / "a.jsonl")
    assert next(read_tags(tmp_path / "a.jsonl")) == row
    assert next(read_responses(tmp_path / "a.jsonl")) == row.response
