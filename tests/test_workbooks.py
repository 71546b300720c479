"""Workbooks and Parquet: as programs write them, and as they break."""

import gzip
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.responses import read_responses
from tests.tables_on_disk import as_xlsx, cells_of, sentence


def test_a_workbook_keeps_dates_numbers_and_truth_values(tmp_path):
    path = as_xlsx([["d", "n", "t"], [datetime(2024, 1, 31, 9, 30), 9.0, True]], tmp_path / "a.xlsx")
    assert cells_of(path) == [{"d": datetime(2024, 1, 31, 9, 30), "n": 9, "t": True}]


def test_thousands_of_empty_rows_at_the_end_of_a_workbook_are_none(tmp_path):
    def pad(book):
        for number in range(3, 4000):
            book.active.cell(number, 1).number_format = "0.00"
        book.active.cell(4001, 2).value = "  "

    assert cells_of(as_xlsx([["a", "b"], [1, 2]], tmp_path / "a.xlsx", pad)) == [{"a": 1, "b": 2}]


@pytest.mark.parametrize("row", [["1", "2", "3"], ["1", "2", None, 0], [None, None, "left"]])
def test_a_row_that_is_longer_than_the_header_is_refused_as_in_csv(row, tmp_path):
    rows = [["a", "b"], ["x", "y"], row]
    in_csv = tmp_path / "a.csv"
    in_csv.write_text("\n".join(",".join("" if c is None else str(c) for c in row) for row in rows))
    told = f"row 3: the row has {len(row)} cells but the header has 2; "
    assert sentence(as_xlsx(rows, tmp_path / "a.xlsx")).startswith(told)
    assert sentence(in_csv).startswith(told)


def test_blank_cells_beyond_the_header_of_a_workbook_are_nothing(tmp_path):
    path = as_xlsx([["a", "b", None, " "], ["x", "y", None, " ", "", "\u200b"]], tmp_path / "a.xlsx")
    assert cells_of(path) == [{"a": "x", "b": "y"}]


def test_only_the_first_sheet_is_read_and_what_openpyxl_leaves_out_is_not_told(tmp_path):
    def decorate(book):
        book.create_sheet("notes").append(["not", "this"])
        book.active.conditional_formatting.add(
            "A1:A9", openpyxl.formatting.rule.CellIsRule(operator="equal", formula=["0"])
        )

    assert cells_of(as_xlsx([["a"], [1]], tmp_path / "a.xlsx", decorate)) == [{"a": 1}]


def rewritten(path, member, old, new):
    """Write a workbook anew with a text replaced in one of its parts."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old in parts[member]
    parts[member] = parts[member].replace(old, new, 1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_a_workbook_that_understates_its_size_is_read_whole(tmp_path):
    path = as_xlsx([["a", "b"], [1, 2], [3, 4]], tmp_path / "a.xlsx")
    rewritten(path, SHEET, b'ref="A1:B3"', b'ref="A1"')
    assert cells_of(path) == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


def test_a_date_that_no_calendar_has_is_excels_error(tmp_path):
    path = as_xlsx([["d"], [date(2024, 1, 31)]], tmp_path / "a.xlsx")
    rewritten(path, SHEET, b"<v>45322</v>", b"<v>99999999</v>")
    assert cells_of(path) == [{"d": "#VALUE!"}]


def test_carriage_returns_in_a_workbook_are_unescaped(tmp_path):
    path = as_xlsx([["a"], ["one_x000D_\ntwo"]], tmp_path / "a.xlsx")
    assert cells_of(path) == [{"a": "one\r\ntwo"}]


def test_a_workbook_that_claims_endless_rows_is_refused(tmp_path):
    path = as_xlsx([["a"], [1]], tmp_path / "a.xlsx")
    rewritten(path, SHEET, b'<row r="2"><c r="A2"', b'<row r="99999999999"><c r="A9"')
    assert sentence(path) == "row 1048577: a workbook has at most 1048576 rows"


def test_a_workbook_that_unpacks_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", b"x")
    raw = bytearray(path.read_bytes())
    place = raw.index(b"PK\x01\x02") + 24  # the size that the directory declares
    raw[place : place + 4] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(bytes(raw))
    assert sentence(path) == "the workbook unpacks to more than 2 GiB; save it as CSV"


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (b"score,comment\n9,x\n", "the file is not a workbook that can be read"),
        (b"", "the file is not a workbook that can be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "the workbook is protected by a password or in Excel's old"),
    ],
)
def test_what_is_no_workbook(write, content, want):
    assert sentence(write("a.xlsx", content)).startswith(want)


def test_broken_and_empty_workbooks(tmp_path):
    path = as_xlsx([["a"], [1]], tmp_path / "a.xlsx")
    rewritten(path, SHEET, b"</sheetData>", b"</sheet")
    assert sentence(path) == "the file is not a workbook that can be read"
    assert "first sheet is empty" in sentence(as_xlsx([], tmp_path / "b.xlsx"))
    assert "first row is blank" in sentence(as_xlsx([[], [], ["a"], [1]], tmp_path / "c.xlsx"))
    path.write_bytes(path.read_bytes()[:-200])
    assert sentence(path) == "the file is not a workbook that can be read"


def test_truncated_or_foreign_parquet(write, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    whole = path.read_bytes()
    for content in (
        whole[:-10],
        whole[: len(whole) // 2],
        b"",
        b"a,b\n1,2\n",
        whole[:4] + b"\0" * 50 + whole[-8:],
    ):
        assert sentence(write("b.parquet", content)) == "the file is not Parquet that can be read"


def test_parquet_columns_of_one_name_and_texts_kept_as_bytes(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a "]), path)
    assert sentence(path) == "row 1, column 'a': two columns have this name"
    pq.write_table(pa.table({"a": pa.array(["é".encode()], pa.binary())}), path)
    assert cells_of(path) == [{"a": "é"}]
    pq.write_table(pa.table({"a": pa.array([b"x", b"\xe9"], pa.binary())}), path)
    assert sentence(path) == "row 3, column 'a': the text is not UTF-8"


def test_unusual_parquet_types_are_segments(tmp_path):
    table = pa.table(
        {
            "comment": pa.array(["x"]).dictionary_encode(),
            "score": pa.array([Decimal("9.00")]),
            "seen": pa.array([[{"at": datetime(2024, 1, 31)}]]),
            "took": pa.array([timedelta(seconds=90)]),
            "responded_at": pa.array([1706691600123456789], pa.timestamp("ns", tz="Europe/Paris")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = read_responses(tmp_path / "a.parquet")
    assert (row.score, row.comment) == (9.0, "x")
    assert row.responded_at == datetime(2024, 1, 31, 9, 0, 0, 123456, tzinfo=UTC)
    assert dict(row.segments) == {"seen": '[{"at": "2024-01-31 00:00:00"}]', "took": "0:01:30"}


def test_a_moment_beyond_the_calendar_is_one_sentence(tmp_path):
    pq.write_table(
        pa.table({"comment": ["x"], "t": pa.array([2**60], pa.timestamp("us"))}), tmp_path / "a.parquet"
    )
    assert sentence(tmp_path / "a.parquet") == "the file is not Parquet that can be read"


def swollen(path, target, change):
    """Write a small workbook again with one part changed; give its path."""
    small = as_xlsx([["comment"], ["Billed"]], path.with_name("small.xlsx"))
    with zipfile.ZipFile(small) as given, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in given.namelist():
            data = given.read(name)
            made.writestr(name, change(data) if name == target else data)
    return path


def test_a_workbook_that_unpacks_to_many_times_its_size_is_refused(tmp_path):
    cells = b'<c t="n"><v>1</v></c>' * 1_000_000
    path = swollen(
        tmp_path / "bomb.xlsx",
        "xl/worksheets/sheet1.xml",
        lambda data: data.replace(b"</row>", cells + b"</row>", 1),
    )
    assert sentence(path) == "the workbook unpacks to more than 200 times its size; save it as CSV"


def test_a_workbook_of_more_columns_than_excel_has_is_refused(tmp_path):
    cells = b'<c t="n"><v>1</v></c>' * 16_384
    path = swollen(
        tmp_path / "wide.xlsx",
        "xl/worksheets/sheet1.xml",
        lambda data: data.replace(b"</row>", cells + b"</row>", 1),
    )
    assert sentence(path) == "row 1: a workbook has at most 16384 columns"


def test_a_gzipped_workbook_that_unpacks_to_many_times_its_size_is_refused(write):
    path = write("bomb.xlsx.gz", gzip.compress(b"\0" * 2**26))
    assert sentence(path) == "the file unpacks to more than 200 times its size; unpack it, or use CSV"
