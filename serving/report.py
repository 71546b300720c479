"""Reports of a ranking: JSON for programs, CSV for spreadsheets, one HTML file for people."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.cells import whole_text
from data.errors import InputError
from data.files import writing
from data.tags import defuse
from model.ranking import Ranking, RootCause
from serving.report_page import render_page

_FIGURES = (
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
_IMPACT = ("value", "low", "high", "reason")
COLUMNS = (
    "segment",
    "value",
    "metric",
    "metric_low",
    "metric_high",
    "responses",
    *_FIGURES,
    *(f"impact_{name}" for name in _IMPACT),
)
"""The columns of a CSV report; over the rows of a group ``points_lost`` sums to ``100 - metric``."""


def write_report(
    output: Path,
    overall: Ranking,
    groups: Mapping[str, Ranking],
    *,
    by: str | None,
    title: str,
    tags: Path | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Write a ranking into a file, which appears whole or not at all.

    Parameters
    ----------
    output
        ``.json`` holds what ``whyscore rank --json`` prints; ``.csv`` a row for each cause or bucket,
        of all responses and then of each group; ``.html`` a page that needs no network.
    overall, groups
        The ranking of all responses, and of each value of a segment.
    by
        The segment; None where there are no groups.
    title
        What the HTML page is called.
    tags
        The tags file behind the ranking: the HTML page shows comments from it.
    labels
        Labels of the codes in the HTML page; ids are made readable without it.

    Raises
    ------
    InputError
        If the ending is another one, the file cannot be written, or it is the tags file itself.
    """
    output = Path(output)
    kind = output.suffix.lower()
    if kind not in (".json", ".csv", ".html"):
        raise InputError("a report is written as .json, .csv or .html", file=output)
    if tags is not None and output.exists() and output.samefile(tags):
        raise InputError("the report would overwrite the tags", file=output)
    if kind == ".json":
        document = ranking_document(overall, groups, by)
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    elif kind == ".csv":
        text = _table(overall, groups, by)
    else:
        text = render_page(overall, groups, by=by, title=whole_text(title), tags=tags, labels=labels)
    _write(output, text)


def ranking_document(overall: Ranking, groups: Mapping[str, Ranking], by: str | None) -> dict[str, Any]:
    """Give a ranking, and those of a segment's values where it was ranked by one, as plain JSON values."""
    document = overall.to_dict()
    if by is not None:
        document |= {"by": by, "groups": {value: ranking.to_dict() for value, ranking in groups.items()}}
    return document


def _table(overall: Ranking, groups: Mapping[str, Ranking], by: str | None) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for segment, value, ranking in [("", "", overall), *((by or "", *item) for item in groups.items())]:
        metric = ranking.metric
        base = [segment, value, metric.value, metric.low, metric.high, metric.n]
        for row in (*ranking.rows, *ranking.buckets):
            writer.writerow([defuse(cell) for cell in (*base, *_cells(row))])
    return table.getvalue()


def _cells(row: RootCause) -> list[Any]:
    return [getattr(row, name) for name in _FIGURES] + [getattr(row.impact, name) for name in _IMPACT]


def _write(output: Path, text: str) -> None:
    """Write a file beside the output, which takes its place once it is whole and on disk."""
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    with writing(output):
        try:
            # What UTF-8 cannot hold, such as half an emoji in a segment's value, becomes a question mark.
            with partial.open("w", encoding="utf-8", errors="replace", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, output)
        finally:
            partial.unlink(missing_ok=True)
