"""The XLSX report: the ranking, its groups, its periods and the comments behind it, a sheet each."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from data.cells import defuse, whole_text
from serving.export_table import columns_of, rows_of
from serving.report_content import Report

LONGEST_CELL, LONGEST_NAME = 32_767, 31
"""Characters that a cell and a sheet's name may hold."""

_WIDE = {"code": 30, "cause": 30, "comment": 90, "evidence": 40, "note": 120, "value": 18, "segment": 14}
_COUNTS = {"tier", "rank", "rank_low", "rank_high", "mentions", "respondents", "praised", "responses"}


def write_workbook(report: Report) -> bytes:
    """Give the report as a workbook; no cell holds a formula."""
    book = Workbook(write_only=True)
    _add(book, "Summary", ("figure", "value"), _summary(report))
    plain = columns_of(report, cells=False)
    _add(book, "Causes", plain[2:], (row[2:] for row in rows_of(report, cells=False)))
    if report.by is not None and report.groups:
        rows = rows_of(report, report.groups, report.by, cells=True)
        _add(book, f"By {report.by}", columns_of(report, cells=True), rows)
    if report.trend is not None:
        whole = {name: one for name, one in report.trend.rankings.items() if not report.trend.is_mixed(name)}
        _add(book, "Over time", plain, rows_of(report, whole, report.trend.period, cells=False))
    if report.quotes:
        _add(book, "Comments", ("cause", "code", "score", "date", "comment", "evidence"), _comments(report))
    _add(book, "How to read it", ("note",), ([note] for note in report.notes()))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _summary(report: Report) -> Iterable[Sequence[Any]]:
    ranking, metric = report.overall, report.overall.metric
    yield "report", report.title
    yield metric.name, metric.value
    yield f"{report.level} interval, low", metric.low
    yield f"{report.level} interval, high", metric.high
    yield "scored responses", ranking.n_scored
    yield "responses without a score", ranking.n_unscored
    yield "comments", ranking.n_commented
    if metric.detractor_share is not None:
        yield "share of detractors", metric.detractor_share
        yield "share of passives", metric.passive_share
        yield "share of promoters", metric.promoter_share
    for code in dict.fromkeys(row.code for row in report.ranked()):
        for sentence in report.said_of(code):
            yield "stands out", sentence
    for sentence in report.doubted():
        yield "doubtful", sentence
    if report.findings is not None and report.findings.refused:
        yield "not compared", report.findings.refused
    if report.model_alone:
        yield "not corrected", report.model_alone


def _comments(report: Report) -> Iterable[Sequence[Any]]:
    for code in [*(row.code for row in report.ranked()), "uncoded"]:
        for quote in report.quotes.of(code) if report.quotes else ():
            response = quote.response.response
            moment = response.responded_at
            evidence = " \u2026 ".join(quote.comment[part.start : part.end] for part in quote.evidence)
            day = None if moment is None else moment.date()
            yield report.label(code), code, response.score, day, quote.comment, evidence


def _add(book: Workbook, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Add a sheet with a header that stays in view and can be filtered by."""
    sheet = book.create_sheet(_sheet_name(name, [other.title.lower() for other in book.worksheets]))
    sheet.freeze_panes = "A2"
    for place, column in enumerate(columns, start=1):
        width = _WIDE.get(column, 34 if column == "figure" else 13)
        sheet.column_dimensions[get_column_letter(place)].width = width
    header = [WriteOnlyCell(sheet, column) for column in columns]
    for cell in header:
        cell.font, cell.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
    sheet.append(header)
    count = 1
    for row in rows:
        sheet.append([_cell(sheet, column, value) for column, value in zip(columns, row, strict=True)])
        count += 1
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{count}"


def _cell(sheet: WriteOnlyWorksheet, column: str, value: Any) -> Cell:
    """Give a cell; a text stays a text, whatever it starts with."""
    if isinstance(value, str):
        text = ILLEGAL_CHARACTERS_RE.sub("\ufffd", whole_text(value))[: LONGEST_CELL - 1]
        cell = WriteOnlyCell(sheet, None)
        cell.value = str(defuse(text))
        cell.data_type = "s"
        cell.alignment = Alignment(wrap_text=column in ("comment", "note", "evidence"), vertical="top")
        return cell
    cell = WriteOnlyCell(sheet, value)
    cell.alignment = Alignment(vertical="top")
    if isinstance(value, float):
        cell.number_format = "0.0%" if column.startswith("prevalence") else "0.00"
    elif isinstance(value, int) and column in _COUNTS:
        cell.number_format = "#,##0"
    return cell


def _sheet_name(name: str, taken: Sequence[str]) -> str:
    """Give a name that a sheet may have: no sign that Excel forbids, short, and not yet taken."""
    tidy = re.sub(r"[\[\]:*?/\\\x00-\x1f]", " ", whole_text(name)).strip("' ") or "Sheet"
    found, number = tidy[:LONGEST_NAME], 1
    while found.lower() in taken:
        number += 1
        found = f"{tidy[: LONGEST_NAME - 4]} {number}"
    return found
