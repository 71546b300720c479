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
)
"""The columns of a table; over the rows of a group ``points_lost`` sums to ``100 - metric``. Where adjusted
effects were asked for, ``adjusted_value`` and so on follow, filled for the causes of all responses."""


def columns_of(report: Report) -> tuple[str, ...]:
    """Give the columns of a report's table."""
    return COLUMNS if report.adjusted is None else (*COLUMNS, *(f"adjusted_{name}" for name in ADJUSTED))


def rows_of(
    report: Report, rankings: Mapping[str, Ranking] | None = None, segment: str = ""
) -> Iterator[list[Any]]:
    """Give a row for each cause and bucket.

    Parameters
    ----------
    report
        What is reported.
    rankings, segment
        The rankings of a segment's values, and its name; by default that of all responses.
    """
    for value, ranking in ({"": report.overall} if rankings is None else rankings).items():
        metric = ranking.metric
        base = [segment, value, metric.value, metric.low, metric.high, metric.n]
        for row in (*ranking.rows, *ranking.buckets):
            yield [*base, *_figures(row), *_adjusted(report, row.code if rankings is None else None)]


def write_csv(report: Report) -> str:
    """Give all responses and then each group as CSV, without a text that a spreadsheet would run."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns_of(report))
    for row in (*rows_of(report), *rows_of(report, report.groups, report.by or "")):
        writer.writerow([defuse(cell) for cell in row])
    return table.getvalue()


def _figures(row: RootCause) -> list[Any]:
    correction, model = row.correction, row.correction.uncorrected
    return [
        *(getattr(row, name) for name in FIGURES),
        *(getattr(row.impact, name) for name in IMPACT),
        *(correction.status, correction.reason, correction.audited_positives),
        *(model.points_lost, model.low, model.high),
    ]


def _adjusted(report: Report, code: str | None) -> list[Any]:
    if report.adjusted is None:
        return []
    effect = None if code is None else report.effect(code)
    return [None if effect is None else getattr(effect, name) for name in ADJUSTED]
