"""Industry benchmarks: what others reach on a metric, from a file of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data.cells import parse_number, parse_text
from data.errors import InputError
from data.responses import restored
from data.scale import SCALES, Scale
from data.tables import Row, read_rows

COLUMNS = ("metric", "value", "low", "high", "n", "label", "source", "segment", "segment_value")
REQUIRED = ("metric", "value", "label")


@dataclass(frozen=True, slots=True)
class IndustryBenchmark:
    """What others reach on a metric.

    Attributes
    ----------
    metric
        ``NPS``, ``CSAT`` or ``CES``.
    value
        In points: from -100 to 100 for NPS, from 0 to 100 for the others.
    label
        What people call it, such as ``Telecoms 2026``.
    low, high
        Its 95% interval, where known.
    n
        The responses behind it, where known.
    source
        Where it comes from.
    segment, segment_value
        Which responses it is for, such as ``product`` and ``Broadband``; None where it is for all.
    """

    metric: str
    value: float
    label: str
    low: float | None = None
    high: float | None = None
    n: int | None = None
    source: str | None = None
    segment: str | None = None
    segment_value: str | None = None


def read_benchmarks(path: str | Path) -> list[IndustryBenchmark]:
    """Read a file of benchmarks, in any format of `data.tables.read_rows`.

    Raises
    ------
    InputError
        Names file, row and column of what cannot be understood; also where there is no benchmark at all.
    """
    found = []
    for row in map(restored, read_rows(path)):
        cells = {name.casefold(): cell for name, cell in row.cells.items()}
        found.append(_parse(Row(row.number, cells), path))
    if not found:
        raise InputError("the file holds no benchmark", file=path)
    return found


@dataclass(frozen=True, slots=True)
class _Cells:
    """A row, which says where it is wrong."""

    row: Row
    path: str | Path

    def wrong(self, column: str, message: str) -> InputError:
        return InputError(message, file=self.path, row=self.row.number, column=column)

    def text(self, column: str) -> str | None:
        return parse_text(self.row.cells.get(column))

    def needed(self, column: str) -> str:
        found = self.text(column)
        if found is None:
            raise self.wrong(column, "every benchmark needs it")
        return found

    def number(self, column: str) -> float | None:
        try:
            return parse_number(self.row.cells.get(column))
        except ValueError:
            raise self.wrong(column, "not a plain number, such as 32.5") from None

    def points(self, column: str, scale: Scale) -> float | None:
        found, least = self.number(column), -100.0 if scale.worst_loss == 2 else 0.0
        if found is not None and not least <= found <= 100.0:
            raise self.wrong(column, f"{found:g} is outside {scale.metric}, which goes from {least:g} to 100")
        return found

    def count(self, column: str) -> int | None:
        found = self.number(column)
        if found is not None and (found < 1 or found != int(found)):
            raise self.wrong(column, "the number of responses is not a whole number from 1 up")
        return None if found is None else int(found)

    def check_pair(self, first: str, second: str, message: str) -> None:
        """Raise `InputError` where one of two columns is blank and the other is not."""
        held = [self.text(column) is not None for column in (first, second)]
        if held[0] != held[1]:
            raise self.wrong(second if held[0] else first, message)


def _parse(row: Row, path: str | Path) -> IndustryBenchmark:
    cells = _Cells(row, path)
    for column in row.cells:
        if column not in COLUMNS:
            raise cells.wrong(column, f"a benchmark has no such column; it has {', '.join(COLUMNS)}")
    for column in REQUIRED:
        cells.needed(column)
    scale = _scale(cells.needed("metric"))
    if scale is None:
        raise cells.wrong("metric", "the metric is not one of NPS, CSAT, CES")
    cells.check_pair("low", "high", "an interval needs both ends")
    cells.check_pair("segment", "segment_value", "a benchmark of a segment needs its name and its value")
    value, low, high = (cells.points(column, scale) for column in ("value", "low", "high"))
    if value is None:  # the cell is not blank, but "NaN" or the like
        raise cells.wrong("value", "every benchmark needs it")
    if low is not None and high is not None and not low <= value <= high:
        raise cells.wrong("value", "the value lies outside its interval")
    return IndustryBenchmark(
        metric=scale.metric,
        value=value,
        label=cells.needed("label"),
        low=low,
        high=high,
        n=cells.count("n"),
        source=cells.text("source"),
        segment=cells.text("segment"),
        segment_value=cells.text("segment_value"),
    )


def _scale(name: str) -> Scale | None:
    """Give the scale that a metric's name, or its own, stands for."""
    wanted = name.casefold()
    return next((s for s in SCALES.values() if wanted in (s.name, s.metric.casefold())), None)
