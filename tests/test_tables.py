"""Tables: every format reads alike, and what cannot be read is said in one sentence with its place."""

import csv
import gzip
import io
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data.errors import InputError, NotFoundError, WhyscoreError
from data.tables import FORMATS, parse_json_object, read_rows, table_format
from tests.tables_on_disk import as_xlsx, cells_of, sentence

COLUMNS = ["id", "score", "comment"]
VALUES = [
    ["1", "9", "Naïve, but «good»; 日本語 🙂"],
    ["2", "3", 'He said "no",\nthen\r\nhung up'],
    ["3", "0", "tab\there | pipe"],
]
RECORDS = [dict(zip(COLUMNS, values, strict=True)) for values in VALUES]


def as_csv(delimiter=",", end="\r\n"):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([COLUMNS, *VALUES])
    return text.getvalue()


# --- formats


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
@pytest.mark.parametrize(
    ("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.csv", "|"), ("a.tsv", "\t")]
)
def test_text_tables_read_alike(write, name, delimiter, encoding, end):
    text = as_csv(delimiter, end)
    raw = (
        "\ufeff".encode(encoding[:9]) + text.encode(encoding[:9])
        if "bom" in encoding
        else text.encode(encoding)
    )
    assert cells_of(write(name, raw)) == RECORDS
    assert cells_of(write(name + ".gz", gzip.compress(raw))) == RECORDS


def test_binary_tables_and_json_lines_read_alike(write, tmp_path):
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    as_xlsx([COLUMNS, *VALUES], tmp_path / "a.xlsx")
    lines = "".join(json.dumps(record) + "\n" for record in RECORDS)
    write("a.jsonl", lines)
    write("a.ndjson", "\ufeff" + lines.replace("\n", "\r\n\r\n"))
    for name in ("a.parquet", "a.xlsx", "a.jsonl", "a.ndjson"):
        # A workbook's line breaks are those that its writer makes of them.
        alike = unix_breaks if name == "a.xlsx" else list
        assert alike(cells_of(tmp_path / name)) == alike(RECORDS)
        again = write(name + ".gz", gzip.compress((tmp_path / name).read_bytes()))
        assert alike(cells_of(again)) == alike(RECORDS)


def unix_breaks(records):
    return [{name: value.replace("\r\n", "\n") for name, value in record.items()} for record in records]


def test_the_format_is_told_by_the_ending():
    assert [table_format(f"x.2024{form.upper()}") for form in FORMATS] == list(FORMATS)
    assert table_format("a.csv.GZ") == ".csv"
    for name in ("a", "a.gz", ".csv", "a.xls", "a.txt", "a.csv.zip"):
        with pytest.raises(InputError, match="ending is not one of"):
            table_format(name)


def test_a_file_that_is_not_there(tmp_path):
    for name in ("none.csv", "."):
        with pytest.raises(NotFoundError, match="there is no such file"):
            list(read_rows(tmp_path / name))


def test_gzip_is_seen_by_its_bytes_not_by_its_name(write):
    assert cells_of(write("packed.csv", gzip.compress(as_csv().encode()))) == RECORDS
    assert sentence(write("plain.csv.gz", as_csv())) == "the file's name ends in .gz, but it is not gzipped"


def test_a_semicolon_file_may_have_commas_in_its_header(write):
    path = write("a.csv", "How likely, all in all, are you;comment\n9;good, and fast\n8;fine\n")
    assert cells_of(path)[0] == {"How likely, all in all, are you": "9", "comment": "good, and fast"}


def test_a_comma_file_may_have_semicolons_in_its_header_and_short_rows(write):
    path = write("a.csv", '"a; b; c; d",score\nx;y;z;w,9\nx\n')
    assert [row["score"] for row in cells_of(path)] == ["9", ""]


def test_excels_separator_line_is_no_row(write):
    rows = list(read_rows(write("a.csv", "sep=;\r\nscore;comment\r\n9;a,b\r\n")))
    assert [(row.number, row.cells) for row in rows] == [(2, {"score": "9", "comment": "a,b"})]


def test_headers_lose_line_breaks_and_blanks_around_them(write, tmp_path):
    header = ["  score ", "What could we\r\ndo\u00a0 better? ", "\u200bregion\ufeff"]
    want = ["score", "What could we do better?", "region"]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, ["9", "x", "n"]])
    as_xlsx([header, ["9", "x", "n"]], tmp_path / "a.xlsx")
    pq.write_table(pa.table({name: ["9"] for name in header}), tmp_path / "a.parquet")
    for path in (write("a.csv", text.getvalue()), tmp_path / "a.xlsx", tmp_path / "a.parquet"):
        assert list(cells_of(path)[0]) == want


def test_rows_count_as_a_spreadsheet_shows_them(write):
    path = write("a.csv", 'score,comment\n9,"two\nlines"\n\n , \u00a0\n8,x\n')
    assert [row.number for row in read_rows(path)] == [2, 5]
    path = write("a.jsonl", '{"a": 1}\n\n  \n{"a": 2}\n')
    assert [row.number for row in read_rows(path)] == [1, 4]


def test_rows_that_end_early_have_every_column(write, tmp_path):
    assert cells_of(write("a.csv", "a,b,c\n1\n1,2,3\n"))[0] == {"a": "1", "b": "", "c": ""}
    path = as_xlsx([["a", "b", "c"], [1], [1, 2, 3]], tmp_path / "a.xlsx")
    assert cells_of(path) == [{"a": 1, "b": None, "c": None}, {"a": 1, "b": 2, "c": 3}]


def test_columns_without_a_name_are_left_out(write):
    assert cells_of(write("a.csv", ",score, \n0,9,\n")) == [{"score": "9"}]


def test_a_file_of_a_header_alone_has_no_rows(write, tmp_path):
    as_xlsx([["score"]], tmp_path / "a.xlsx")
    pq.write_table(pa.table({"score": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    for path in (write("a.csv", "score"), write("a.jsonl", ""), tmp_path / "a.xlsx", tmp_path / "a.parquet"):
        assert cells_of(path) == []


# --- bad input


def test_bytes_of_another_encoding_are_named_by_row_and_column(write):
    raw = "score,comment\n9,fine\n3,très cher\n".encode("latin-1")
    want = "row 3, column 'comment': the text is not UTF-8; save the file as 'CSV UTF-8'"
    assert sentence(write("a.csv", raw)) == want
    assert sentence(write("b.tsv", raw.replace(b",", b"\t"))) == want
    assert sentence(write("c.csv.gz", gzip.compress(raw))) == want
    assert sentence(write("d.csv", "année,b\n1,2\n".encode("latin-1"))).startswith(
        "row 1: the name of column 1 is not UTF-8"
    )
    assert sentence(write("e.jsonl", b'{"a": 1}\n{"a": "tr\xe8s"}\n')) == "row 2: the line is not UTF-8"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", "the file is empty; its first row must name the columns"),
        ("\n9,x\n", "row 1: the first row is blank; it must name the columns"),
        (",,\n9,x\n", "row 1: the first row is blank; it must name the columns"),
        ("a,b,a\n1,2,3\n", "row 1, column 'a': two columns have this name"),
        ("a,b, a \n1,2,3\n", "row 1, column 'a': two columns have this name"),
        (
            "a,b\n1,2\n1,good, but slow\n",
            "row 3: the row has 3 cells but the header has 2; "
            "a text that holds the separator must stand in quotation marks",
        ),
        (
            'a,b\n1,2\n3,"open\n4,5\n',
            "row 3: the row cannot be read as CSV: unexpected end of data (is a quotation mark left open?)",
        ),
        (
            'a,b\n1,2\n3,"open\n4,"x"\n',
            "row 3: the row cannot be read as CSV: ',' expected after '\"' (is a quotation mark left open?)",
        ),
        ('"a,b\n', "row 1: the row cannot be read as CSV: unexpected end of data"),
    ],
)
def test_csv_that_cannot_be_read(write, text, want):
    assert sentence(write("a.csv", text)).startswith(want)


def test_a_line_or_cell_beyond_any_bound_is_refused(write, monkeypatch):
    monkeypatch.setattr("data.tables._LONGEST", 1000)
    path = write("a.csv", "a,b\n1,2\n3," + "x" * 2000)
    assert sentence(path).startswith("row 3: the row cannot be read as CSV: a line is longer than")
    path = write("a.jsonl", '{"a": 1}\n{"a": "' + "x" * 2000 + '"}\n')
    assert sentence(path).startswith("row 2: a line is longer than")


@pytest.mark.parametrize(
    ("name", "content", "want"),
    [
        ("a.csv", b"PK\x03\x04rest", "the file is a workbook or a zip archive, not text"),
        ("a.jsonl", b"PAR1rest", "the file is Parquet, not text"),
        ("a.csv", b"\xd0\xcf\x11\xe0rest", "the file is an old Excel workbook, not text"),
        ("a.csv", "score,comment\n9,x\n".encode("utf-16-le"), "the file is not text in UTF-8"),
        ("a.csv", "score,comment\n9,x\n".encode("utf-32"), "the file is not text in UTF-8"),
    ],
)
def test_other_files_under_the_name_of_a_text_file(write, name, content, want):
    assert sentence(write(name, content)).startswith(want)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.xlsx.gz", "a.parquet.gz"])
def test_a_truncated_gzip_file(write, name):
    content = b'{"a": 1}\n' * 5000 if "jsonl" in name else as_csv().encode() * 500
    packed = gzip.compress(content)
    for end in (len(packed) // 2, len(packed) - 4):
        said = sentence(write(name, packed[:end]))
        assert said.startswith("the file cannot be read (Compressed file ended before")


def test_damaged_gzip_content(write):
    packed = bytearray(gzip.compress(as_csv().encode() * 50))
    packed[20:40] = b"\xff" * 20
    assert sentence(write("a.csv.gz", bytes(packed))).startswith("the file cannot be read (")


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ('{"a": 1', "row 2: the line is not JSON (Expecting ',' delimiter at character"),
        ('{"a": "x', "row 2: the line is not JSON (Invalid control character at character 9)"),
        ('{"a": 1} {"a": 2}', "row 2: the line is not JSON (Extra data at character 10)"),
        ("[1, 2]", "row 2: the line is not a JSON object; JSON lines hold one object on each line"),
        ("9", "row 2: the line is not a JSON object"),
        ('{"a": NaN}', "row 2: the line is not JSON (NaN is no JSON number; leave it out or write null)"),
        ('{"a": -Infinity}', "row 2: the line is not JSON (-Infinity is no JSON number"),
        ('{"a": 1, "b": 2, "a": 3}', "row 2: the line is not JSON (the key 'a' stands twice)"),
        ('{"b": {"a": 1, "a": 3}}', "row 2: the line is not JSON (the key 'a' stands twice)"),
        (
            '{"a": ' + "[" * 40 + "]" * 40 + "}",
            "row 2: the line is not JSON (it is nested deeper than 32 levels)",
        ),
        ('{"a": ' + "[" * 100_000, "row 2: the line is not JSON that can be read"),
        ('{"a": ' + '{"a": ' * 100_000, "row 2: the line is not JSON that can be read"),
        ('{"a": ' + "9" * 5000 + "}", "row 2: the line is not JSON that can be read"),
    ],
)
def test_json_lines_that_cannot_be_read(write, line, want):
    assert sentence(write("a.jsonl", '{"a": 1}\n' + line + "\n")).startswith(want)


def test_a_broken_line_is_not_quoted():
    secret = "my name is Ana"
    for line in (f'{{"a": "{secret}', f'{{"a": "{secret}", "b": NaN}}', f'["{secret}"]'):
        with pytest.raises(InputError) as caught:
            parse_json_object(line, "x.jsonl", 1)
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_file_that_ends_within_a_line_of_json(write):
    path = write("a.jsonl", '{"a": 1}\n{"a": "x')
    assert sentence(path) == "row 2: the line is not JSON (Unterminated string starting at character 7)"


def test_half_an_emoji_is_read_as_a_replacement_character(write):
    path = write("a.jsonl", r'{"a": "cut \ud83d", "\udc00b": ["\u0000", {"c": "\ud83d\ude42"}]}')
    assert cells_of(path) == [{"a": "cut \ufffd", "\ufffdb": ["\ufffd", {"c": "🙂"}]}]
    raw = "\ufeffa\ncut \ud83d\n".encode("utf-16-le", "surrogatepass")
    assert cells_of(write("a.csv", raw)) == [{"a": "cut \ufffd"}]


# --- streams


def test_rows_are_read_lazily(write):
    for name, first, last in (
        ("a.csv", "a,b\n1,2\n", "1,2,3\n"),
        ("a.jsonl", '{"a": "1", "b": "2"}\n', "broken"),
    ):
        rows = read_rows(write(name, first + last))
        assert next(rows).cells == {"a": "1", "b": "2"}
        with pytest.raises(InputError):
            next(rows)


def test_a_long_csv_is_read_in_bounded_memory(write):
    line = "17,8,The driver was friendly and the parcel dry\n"
    path = write("a.csv", "id,score,comment\n" + line * 200_000)
    assert path.stat().st_size > 9_000_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rows(path)) == 200_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


# --- anything at all

BYTES = st.one_of(
    st.binary(max_size=200),
    st.text(alphabet='ab,;"\n\r\t{}[]:1\0é🙂\\u', max_size=60).map(str.encode),
    st.sampled_from([b"PK\x03\x04", b"PAR1", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b"]).flatmap(
        lambda head: st.binary(max_size=60).map(lambda tail: head + tail)
    ),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FORMATS), st.booleans(), BYTES)
@example(".csv", False, b"\xff\xfea")
@example(".csv", False, b"sep=\n")
@example(".csv", False, b'sep="\n')
@example(".csv", False, b"sep=\r\n")
def test_any_bytes_are_rows_or_one_sentence(tmp_path, form, packed, content):
    path = tmp_path / f"any{form}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content) if packed else content)
    said = ""
    try:
        for row in read_rows(path):
            assert isinstance(row.cells, dict)
    except WhyscoreError as error:
        said = str(error)
    assert "\n" not in said
