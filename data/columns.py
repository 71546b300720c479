"""Which column of a file holds which field of a response."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from data.cells import tidy_name
from data.errors import InputError

FIELDS = ("response_id", "score", "comment", "responded_at", "respondent_id", "weight")


def match_columns(
    header: Iterable[str], wanted: Mapping[str, str], path: str | Path, required: Iterable[str] = ()
) -> dict[str, str]:
    """Find each field's column: as mapped, by its name, or by its name in another spelling.

    Parameters
    ----------
    header
        The file's column names.
    wanted
        Field to column, as ``--map`` gives it.
    required
        Fields that must be found.

    Returns
    -------
    dict
        Field to column, for the fields that the file has.

    Raises
    ------
    InputError
        If a mapped field or column does not exist, or a required field has no column.
    """
    check_fields(wanted)
    by_name = {tidy_name(column): column for column in header}
    found: dict[str, str] = {}
    for name, column in wanted.items():
        if tidy_name(column) not in by_name:
            raise InputError(
                f"there is no such column{_did_you_mean(tidy_name(column), by_name)}",
                file=path,
                row=1,
                column=column,
                unquoted=f"there is no such column as the mapping names for '{name}'; "
                "does the first row name the columns?",
            )
        if by_name[tidy_name(column)] in found.values():
            raise InputError("--map uses the column for two fields", file=path, column=column)
        found[name] = by_name[tidy_name(column)]
    spelled = [(_spelling(column), column) for column in by_name]
    for name in FIELDS:
        match = None if name in found else _column_of(name, by_name, spelled, path)
        if match is not None and match not in found.values():
            found[name] = match
    for name in required:
        if name not in found:
            shown = ", ".join(f"'{_short(column)}'" for column in list(by_name)[:20])
            raise InputError(
                f"there is no column '{name}'{_did_you_mean(name, by_name)}; the columns are {shown}; "
                f'say --map {name}="..."',
                file=path,
                row=1,
                column=name,
                unquoted=f"there is no column '{name}'; if the first row names the columns, "
                f'say --map {name}="..."',
            )
    return found


def check_fields(wanted: Iterable[str]) -> None:
    """Raise `InputError` at a name that is not among `FIELDS`."""
    for name in wanted:
        if name not in FIELDS:
            raise InputError(
                f"--map knows no field '{_short(name)}'{_did_you_mean(name, FIELDS)}; "
                f"the fields are {', '.join(FIELDS)}"
            )


def _column_of(
    name: str, by_name: Mapping[str, str], spelled: Sequence[tuple[str, str]], path: str | Path
) -> str | None:
    if name in by_name:
        return by_name[name]
    alike = [column for spelling, column in spelled if spelling == _spelling(name)]
    if len(alike) > 1:
        raise InputError(
            f"the columns '{_short(alike[0])}' and '{_short(alike[1])}' could both be it; "
            f'say which with --map {name}="..."',
            file=path,
            row=1,
            column=name,
            unquoted=f"two columns could be '{name}'",
        )
    return by_name[alike[0]] if alike else None


def _spelling(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "\u2026"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    spelled = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(name.casefold(), spelled, n=1)
    return f" (did you mean '{_short(spelled[close[0]])}'?)" if close else ""
