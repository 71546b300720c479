"""Rankings as tables for spreadsheets: the columns, the rows, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from data.cells import defuse
from model.ranking import Ranking, RootCause
from serving.report_content import Report

FIGURES = (
    "code",
    "status",
    "tier",
    "rank",
    "rank_low",
    "rank_high",
    "points_lost",
    "low",
    "high",
    "se",
    "bracket_low",
    "bracket_high",
    "from_detractors",
    "from_passives",
    "mentions",
    "respondents",
    "praised",
    "prevalence",
    "prevalence_high",
)
IMPACT = ("value", "low", "high", "reason")
IMPACT_TEST = ("q_value", "flagged")
CORRECTION = (
    "correction",
    "correction_reason",
    "audited_positives",
    "model_points_lost",
    "model_low",
    "model_high",
)
ADJUSTED = ("value", "low", "high", "disagrees", "reason")
COLUMNS = (
    "segment",
    "value",
    "metric",
    "metric_low",
    "metric_high",
    "responses",
    *FIGURES,
    *(f"impact_{name}" for name in IMPACT),
    *CORRECTION,
    *(f"impact_{name}" for name in IMPACT_TEST),
)
"""The columns of a table; over the rows of a group ``points_lost`` sums to ``100 - metric``. Where adjusted
effects were asked for, ``adjusted_value`` and so on follow, filled for the causes of all responses; then, in
a table of a segment's values, ``shrunk_points_lost`` and so on, filled for these."""

CELL = ("shrunk", "low", "high", "pull")
CELL_COLUMNS = ("shrunk_points_lost", "shrunk_low", "shrunk_high", "shrunk_pull")


def columns_of(report: Report, *, cells: bool) -> tuple[str, ...]:
    """Give the columns of a report's table, with or without those of shrunken cells."""
    adjusted = () if report.adjusted is None else tuple(f"adjusted_{name}" for name in ADJUSTED)
    return (*COLUMNS, *adjusted, *(CELL_COLUMNS if cells else ()))


def rows_of(
    report: Report,
    rankings: Mapping[str, Ranking] | None = None,
    segment: str = "",
    *,
    cells: bool,
) -> Iterator[list[Any]]:
    """Give a row for each cause and bucket.

    Parameters
    ----------
    report
        What is reported.
    rankings, segment
        The rankings of a segment's values, and its name; by default that of all responses.
    cells
        Whether the rows end with the columns of shrunken cells.
    """
    for value, ranking in ({"": report.overall} if rankings is None else rankings).items():
        metric = ranking.metric
        base = [segment, value, metric.value, metric.low, metric.high, metric.n]
        for row in (*ranking.rows, *ranking.buckets):
            adjusted = _adjusted(report, row.code if rankings is None else None)
            shrunk = _cell(report, row.code, None if rankings is None else value) if cells else []
            yield [*base, *_figures(row), *adjusted, *shrunk]


def write_csv(report: Report) -> str:
    """Give all responses and then each group as CSV, without a text that a spreadsheet would run."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    cells = report.by is not None
    writer.writerow(columns_of(report, cells=cells))
    groups = rows_of(report, report.groups, report.by or "", cells=cells)
    for row in (*rows_of(report, cells=cells), *groups):
        writer.writerow([defuse(cell) for cell in row])
    return table.getvalue()


def _figures(row: RootCause) -> list[Any]:
    correction, model = row.correction, row.correction.uncorrected
    return [
        *(getattr(row, name) for name in FIGURES),
        *(getattr(row.impact, name) for name in IMPACT),
        *(correction.status, correction.reason, correction.audited_positives),
        *(model.points_lost, model.low, model.high),
        *(getattr(row.impact, name) for name in IMPACT_TEST),
    ]


def _adjusted(report: Report, code: str | None) -> list[Any]:
    if report.adjusted is None:
        return []
    effect = None if code is None else report.effect(code)
    return [None if effect is None else getattr(effect, name) for name in ADJUSTED]


def _cell(report: Report, code: str, value: str | None) -> list[Any]:
    """Give the shrunken figures of a cause in a value of the segment, blank where there are none."""
    found = None if report.cells is None or value is None else report.cells.of(code, value)
    return [None if found is None else getattr(found, name) for name in CELL]
