"""A row of a table, and the header that names its cells."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.cells import tidy_name
from data.errors import InputError
from data.files import broken_encoding
from data.qualtrics import QualtricsHeader


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    number
        As a spreadsheet shows it.
    cells
        By column name.
    header
        What a Qualtrics file says of its columns beside their names; None in any other.
    """

    number: int
    cells: dict[str, Any]
    header: QualtricsHeader | None = None


def checked_header(path: Path, header: Sequence[Any]) -> list[str]:
    """Give the column names of a header, ``""`` where a column has none.

    Raises
    ------
    InputError
        If there is no name at all, a name stands twice, or one is not in the file's encoding.
    """
    names = ["" if name is None else str(name) for name in header]
    for place, name in enumerate(names, start=1):
        if broken_encoding(name):
            raise InputError(
                f"the name of column {place} is not UTF-8; save the file as 'CSV UTF-8'", file=path, row=1
            )
    names = [tidy_name(name) for name in names]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise InputError("the first row is blank; it must name the columns", file=path, row=1)
    for name, times in Counter(names).items():
        if name and times > 1:
            first, second = [place for place, one in enumerate(names, start=1) if one == name][:2]
            unquoted = f"columns {first} and {second} have the same name"
            raise InputError("two columns have this name", file=path, row=1, column=name, unquoted=unquoted)
    return names


def named_cells(names: Sequence[str], cells: Iterable[Any], blank: Any) -> dict[str, Any]:
    """Give a row's cells by name, every column among them even where the row ends early."""
    filled = zip(names, itertools.chain(cells, itertools.repeat(blank)), strict=False)
    return {name: cell for name, cell in filled if name}
