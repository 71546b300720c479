"""What a cell of a survey file says: a text, a comment, a number or a time; one rule for every format."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any

from data.errors import InputError

# Characters that show nothing: white space of every kind (str.isspace), and the zero-width ones.
BLANKS = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + "\0\u200b\u200c\u200d\u2060\ufeff"
_NO_NUMBER = {"na", "n/a", "#n/a", "nan", "null", "none"}
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
# Stricter than datetime.fromisoformat, which takes any character for the T: some epoch milliseconds
# would pass as a day in the 17th century.
_ISO = re.compile(r"(\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d(-?\d)?)([T ].+)?", re.ASCII | re.IGNORECASE)
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_SAFE_INTEGER = 2**53


def is_blank(text: str) -> bool:
    """Tell whether a text shows nothing; a comment that shows nothing is no comment, everywhere."""
    return not text.strip(BLANKS)


def whole_text(text: str) -> str:
    """Give the text with U+FFFD for each character that UTF-8 or a database cannot hold.

    These are lone surrogates (half an emoji, where a program cut a text off) and the null character.
    Offsets stay as they are, since each becomes one character.
    """
    return _UNWRITABLE.sub("\ufffd", text)


def tidy_name(name: object) -> str:
    """Give a column's name on one line, without white space around it, as people would type it."""
    return _tidied(str(name))


@lru_cache(maxsize=1024)  # every row of a file asks for the same few
def _tidied(name: str) -> str:
    return " ".join(whole_text(name).split()).strip(BLANKS)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def parse_text(value: Any) -> str | None:
    """Read a cell as a text without blanks around it; None where it is blank."""
    if _missing(value):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _SAFE_INTEGER:
        value = int(value)
    if isinstance(value, datetime) and value.timetz() == time.min:
        value = value.date()  # a workbook has no dates without a time
    if isinstance(value, datetime | date):
        return value.isoformat()
    nested = isinstance(value, dict | list)
    text = json.dumps(value, ensure_ascii=False, default=str) if nested else str(value)
    return whole_text(text.strip(BLANKS)) or None


def parse_comment(value: Any) -> str | None:
    """Read a cell as a comment, kept to the letter; None where it shows nothing.

    Raises
    ------
    ValueError
        If it is a list or an object.
    """
    if isinstance(value, dict | list):
        raise ValueError("not a text")
    if not isinstance(value, str):
        return parse_text(value)
    return None if is_blank(value) else whole_text(value)


def parse_number(value: Any) -> float | None:
    """Read a cell as a number; None where it is blank.

    A comma is a decimal comma (``9,0``), unless it may as well part thousands (``1,234``).

    Raises
    ------
    ValueError
        If it is neither blank nor one finite number.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")
    if isinstance(value, int | float):
        number = _finite(value)
        return None if math.isnan(number) else number
    text = str(value).strip(BLANKS)
    if not text or text.casefold() in _NO_NUMBER:
        return None
    if not _NUMBER.fullmatch(text) or _THOUSANDS.fullmatch(text):
        raise ValueError("not a plain number")
    return _finite(text.replace(",", "."))


def _finite(value: float | str) -> float:
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("too large") from error
    if math.isinf(number):
        raise ValueError("not finite")
    return number


def parse_time(value: Any, date_format: str | None = None) -> datetime | None:
    """Read a cell as a moment in UTC; None where it is blank. A time without an offset is UTC.

    Parameters
    ----------
    date_format
        As `datetime.strptime` takes it; ISO 8601 where None.

    Raises
    ------
    ValueError
        If it is neither blank nor a date or time in that format.
    """
    if _missing(value):
        return None
    if isinstance(value, datetime):
        moment = datetime.combine(value.date(), value.time(), value.tzinfo)  # a plain one of pandas' too
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    else:
        text = str(value).strip(BLANKS)
        if not text:
            return None
        if date_format is None and not _ISO.fullmatch(text):
            raise ValueError("not ISO 8601")
        moment = datetime.strptime(text, date_format) if date_format else datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


def check_date_format(date_format: str) -> None:
    """Raise `InputError` unless the format can be read back and holds year, month and day."""
    probe = datetime(2001, 11, 23)
    try:
        day = datetime.strptime(probe.strftime(date_format), date_format).date()
    except (ValueError, re.error) as error:
        raise InputError(f"--date-format '{date_format}' is not a format such as %d/%m/%Y") from error
    if day != probe.date():
        raise InputError(f"--date-format '{date_format}' does not hold a whole date, such as %d/%m/%Y")


def defuse(value: object) -> object:
    """Put ``'`` before a text that a spreadsheet would run as a formula (OWASP, CSV injection).

    A text that starts with ``'`` gets one more, so that `restore` is exact.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith((*_FORMULA, "'")) else value


def restore(value: object) -> object:
    """Undo `defuse`; what it did not write is left as it is."""
    if isinstance(value, str) and value[:1] == "'" and value[1:].startswith((*_FORMULA, "'")):
        return value[1:]
    return value
