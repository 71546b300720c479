"""What a terminal shows: progress on stderr, results on stdout, nothing but the result under ``--json``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

_WIDE = 132  # a file or a pipe has no width of its own; do not fold tables to 80 columns there


def _console(stream: TextIO, *, stderr: bool) -> Console:
    wide = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(stderr=stderr, highlight=False, width=_WIDE if wide else None)


out = _console(sys.stdout, stderr=False)
err = _console(sys.stderr, stderr=True)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar with the time left while a piece of work runs; on a terminal alone.

    Yields
    ------
    callable
        To be told (done, total, note).
    """
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )
    with bar:
        task = bar.add_task(title, total=None, note="")

        def tell(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield tell


def say(sentence: str) -> None:
    """Tell a person where things stand, on stderr."""
    err.print(Text(sentence))


def print_json(value: Any) -> None:
    """Print a result as JSON on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def print_table(title: str, columns: list[str], rows: list[list[str]], right: set[int] | None = None) -> None:
    """Print a table on stdout; cells are text as it is, never markup.

    Parameters
    ----------
    title, columns
        Heading of the table and of each column.
    rows
        Cells.
    right
        Numbers of the columns that stand flush right.
    """
    table = Table(title=Text(title, style="bold"), title_justify="left", header_style="bold", box=None)
    for number, column in enumerate(columns):
        table.add_column(
            Text(column), justify="right" if number in (right or set()) else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    out.print(table)


def printable(text: str) -> str:
    """Give a text without control characters, which could drive the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
