"""Table files for tests, what they hold, and what is said of them when they cannot be read."""

import openpyxl
import pytest

from data.errors import InputError
from data.tables import read_rows


def as_xlsx(rows, path, change=None):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if change is not None:
        change(book)
    book.save(path)
    return path


def cells_of(path):
    return [row.cells for row in read_rows(path)]


def sentence(path):
    """Read the file and give the one sentence that says what is wrong, without the folder."""
    with pytest.raises(InputError) as caught:
        list(read_rows(path))
    text = str(caught.value)
    assert text.startswith(f"{path}")
    assert "\n" not in text
    return text.removeprefix(f"{path}").removeprefix(", ").removeprefix(": ")
