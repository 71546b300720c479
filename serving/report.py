"""Reports of a ranking: JSON for programs, tables for spreadsheets, a page and slides for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data.cells import whole_text
from data.errors import InputError
from data.files import write_whole
from data.scale import scale_named
from data.tags import read_tags
from model.adjusted_effect import AdjustedEffects
from model.benchmark_test import BenchmarkReport
from model.findings import Findings
from model.periods import Span
from model.ranking import Ranking
from model.segment_cells import SegmentCells
from model.window import answered_within
from serving.export_table import write_csv
from serving.quotes import Quotes
from serving.report_content import ALWAYS_BY_MODEL_ALONE, Report, said_by_model_alone
from serving.trend import Trend

ENDINGS = (".json", ".csv", ".xlsx", ".pptx", ".html")
"""What a report's name may end in."""

SHOWS_MORE = (".xlsx", ".pptx", ".html")
"""The endings of reports that show periods, findings and comments."""


def write_report(
    output: Path,
    overall: Ranking,
    groups: Mapping[str, Ranking],
    *,
    by: str | None,
    title: str,
    tags: Path | None = None,
    span: Span | None = None,
    labels: Mapping[str, str] | None = None,
    trend: Trend | None = None,
    findings: Findings | None = None,
    adjusted: AdjustedEffects | None = None,
    benchmarks: BenchmarkReport | None = None,
    cells: SegmentCells | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> None:
    """Write a ranking into a file, which appears whole or not at all.

    Parameters
    ----------
    output
        ``.json`` holds what ``whyscore rank --json`` prints, and the manifest; ``.csv`` a row for each cause
        or bucket, of all responses and then of each group; ``.xlsx`` the same and more in sheets; ``.html``
        a page that needs no network; ``.pptx`` slides for a meeting.
    overall, groups
        The ranking of all responses, and of each value of a segment.
    by
        The segment; None where there are no groups.
    title
        What the report is called.
    tags
        The tags file behind the ranking, from which comments are shown.
    span
        The days that are ranked, and comments shown of; None for all.
    labels
        Labels of the codes; ids are made readable without it.
    trend, findings, adjusted, benchmarks, cells
        What else to show.
    manifest
        What the ranking was computed from (`model.manifest`), for ``.json``.

    Raises
    ------
    InputError
        If the ending is another one, the file cannot be written, it is the tags file itself, or that file
        cannot be understood.
    """
    output = Path(output)
    kind = output.suffix.lower()
    check_output(output, tags)
    quotes = None
    if tags is not None and kind in SHOWS_MORE:
        scale = scale_named(overall.scale)
        quotes = Quotes(scale).read(answered_within(read_tags(tags, scale=scale), span))
    report = Report(
        title=whole_text(title),
        overall=overall,
        groups=groups,
        by=by,
        labels=labels or {},
        quotes=quotes,
        trend=trend,
        findings=findings,
        adjusted=adjusted,
        benchmarks=benchmarks,
        cells=cells,
        manifest=manifest,
    )
    content = _renderer(kind)(report)
    # What UTF-8 cannot hold, such as half an emoji in a segment's value, becomes a question mark.
    write_whole(output, content if isinstance(content, bytes) else content.encode("utf-8", errors="replace"))


def check_output(output: Path, tags: Path | None = None) -> None:
    """Raise `InputError` where a report cannot be of that name, before anything long is begun.

    Parameters
    ----------
    output
        The report.
    tags
        The tags file, which it must not overwrite.
    """
    if output.suffix.lower() not in ENDINGS:
        raise InputError("a report is written as .json, .csv, .xlsx, .pptx or .html", file=output)
    if tags is not None and output.exists() and tags.exists() and output.samefile(tags):
        raise InputError("the report would overwrite the tags", file=output)
    if not output.absolute().parent.is_dir():
        raise InputError("the report cannot be written: there is no such folder", file=output)


def ranking_document(
    overall: Ranking,
    groups: Mapping[str, Ranking],
    by: str | None,
    adjusted: AdjustedEffects | None = None,
    benchmarks: BenchmarkReport | None = None,
    cells: SegmentCells | None = None,
) -> dict[str, Any]:
    """Give a ranking as plain JSON values.

    Parameters
    ----------
    overall
        The ranking of all responses.
    groups, by
        Those of a segment's values and its name; ``by`` and ``groups`` are there where it was ranked by one.
    adjusted, benchmarks, cells
        The adjusted effects, the metrics beside benchmarks, and the causes in each value of the segment,
        shrunk; each is there where it was asked for.
    """
    document = overall.to_dict()
    if by is not None:
        document |= {"by": by, "groups": {value: ranking.to_dict() for value, ranking in groups.items()}}
    more = {"cells": cells, "benchmarks": benchmarks, "adjusted": adjusted}
    document |= {name: part.to_dict() for name, part in more.items() if part is not None}
    parts = [name for name in ("cells", "adjusted") if name in document]
    said = said_by_model_alone(overall, parts)
    if said is not None:
        document["by_model_alone"] = {"figures": [*parts, *ALWAYS_BY_MODEL_ALONE], "explanation": said}
    return document


def _renderer(kind: str) -> Callable[[Report], str | bytes]:
    """Give what writes reports of that ending; what it needs is imported here, since it is slow."""
    if kind == ".xlsx":
        from serving.export_workbook import write_workbook

        return write_workbook
    if kind == ".pptx":
        from serving.export_slides import write_slides

        return write_slides
    if kind == ".html":
        from serving.report_page import render_page

        return render_page
    return write_csv if kind == ".csv" else _write_json


def _write_json(report: Report) -> str:
    document = ranking_document(
        report.overall, report.groups, report.by, report.adjusted, report.benchmarks, report.cells
    )
    document |= {} if report.manifest is None else {"manifest": dict(report.manifest)}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
