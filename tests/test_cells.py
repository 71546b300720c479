"""Cells: what a text, a comment, a number and a time look like in the files that surveys export."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.cells import (
    defuse,
    is_blank,
    parse_comment,
    parse_number,
    parse_text,
    parse_time,
    restore,
    tidy_name,
    whole_text,
)


@pytest.mark.parametrize(
    ("cell", "want"),
    [
        (9, 9.0),
        (9.0, 9.0),
        ("9", 9.0),
        (" 9\u00a0", 9.0),
        ("\u200b9\ufeff", 9.0),
        ("9.0", 9.0),
        ("9,0", 9.0),
        ("+7", 7.0),
        ("1e1", 10.0),
        (",5", 0.5),
        ("0,125", 0.125),
        (Decimal("9.0"), 9.0),
        ("", None),
        (" \u00a0", None),
        ("N/A", None),
        ("#N/A", None),
        ("nan", None),
        (float("nan"), None),
        (Decimal("NaN"), None),
        (None, None),
    ],
)
def test_numbers(cell, want):
    assert parse_number(cell) == want


@pytest.mark.parametrize(
    "cell",
    ["10 - Extremely likely", "1,234", "1,234.5", "1.234,5", "1 234", "9/10", "nine", "\u0669", "0x9",
     "9-", "--9", "inf", "-Infinity", "1e999", float("inf"), 10**400, True, False, [9],
     date(2024, 9, 10), {"a": 9}],
)  # fmt: skip
def test_what_is_no_number(cell):
    with pytest.raises(ValueError, match=r"."):
        parse_number(cell)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_from_text(number):
    assert parse_number(repr(number)) == number
    assert parse_number(number) == number


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.booleans()))
def test_any_cell_is_a_finite_number_nothing_or_a_value_error(cell):
    try:
        number = parse_number(cell)
    except ValueError:
        return
    assert number is None or abs(number) < float("inf")


@pytest.mark.parametrize(
    "blank", ["", " ", "\t\r\n", "\u00a0\u2003", "\u200b\ufeff ", "\0", None, float("nan")]
)
def test_a_comment_that_shows_nothing_is_none(blank):
    assert parse_comment(blank) is None


@pytest.mark.parametrize("comment", [" x ", "n/a", "-", "\u200bx\n", "👩\u200d🚒", "NaN"])
def test_a_comment_is_kept_to_the_letter(comment):
    assert parse_comment(comment) == comment


def test_cells_that_are_no_text_become_one():
    assert parse_comment(10.0) == "10"
    assert parse_text(12345678.0) == "12345678"
    assert parse_text(0.5) == "0.5"
    assert parse_text(1e300) == "1e+300"
    assert parse_text(datetime(2024, 1, 31)) == "2024-01-31"
    assert parse_text(datetime(2024, 1, 31, 9)) == "2024-01-31T09:00:00"
    assert parse_text(["é", {"at": date(2024, 1, 31)}]) == '["é", {"at": "2024-01-31"}]'
    with pytest.raises(ValueError, match="not a text"):
        parse_comment({"text": "x"})


@pytest.mark.parametrize(
    ("cell", "want"),
    [
        ("2024-01-31", datetime(2024, 1, 31)),
        ("20240131", datetime(2024, 1, 31)),
        (20240131, datetime(2024, 1, 31)),
        (" 2024-01-31 09:30\u00a0", datetime(2024, 1, 31, 9, 30)),
        ("2024-01-31t09:30:00.123456Z", datetime(2024, 1, 31, 9, 30, 0, 123456)),
        ("2024-01-31T09:30:00-05:00", datetime(2024, 1, 31, 14, 30)),
        ("2024-W05-3", datetime(2024, 1, 31)),
        (date(2024, 1, 31), datetime(2024, 1, 31)),
        (datetime(2024, 1, 31, 9, tzinfo=timezone(timedelta(hours=1))), datetime(2024, 1, 31, 8)),
        (pd.Timestamp("2024-01-31 09:30:00.123456789"), datetime(2024, 1, 31, 9, 30, 0, 123456)),
    ],
)
def test_times_are_in_utc(cell, want):
    moment = parse_time(cell)
    assert moment == want.replace(tzinfo=UTC)
    assert type(moment) is datetime


@pytest.mark.parametrize(
    "cell",
    ["31/01/2024", "2024-13-01", "2024-01", "45322", 45322, 45322.5, "1612010100123", 1706691600, True,
     "2024-01-31 to 2024-02-01", "0001-01-01T00:00:00+10:00", "2024-01-31T99:00", "yesterday",
     "\u0662\u0660\u0662\u0664-01-01"],
)  # fmt: skip
def test_what_is_no_iso_time(cell):
    with pytest.raises(ValueError, match=r"."):
        parse_time(cell)


@given(st.text())
def test_defused_texts_are_restored_and_no_spreadsheet_runs_them(text):
    safe = defuse(text)
    assert restore(safe) == text
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"))


@given(st.text(st.characters(codec=None)))
@example("a\ud800\udc00\0")
def test_whole_texts_fit_utf8_and_keep_their_offsets(text):
    whole = whole_text(text)
    whole.encode("utf-8")
    assert len(whole) == len(text)
    assert whole_text(whole) == whole
    assert tidy_name(tidy_name(text)) == tidy_name(text)
    assert is_blank(text) == (parse_comment(text) is None) == (parse_text(text) is None)
