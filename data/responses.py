"""Responses: a score, maybe a comment, and the segments they belong to."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from data.cells import (
    check_date_format,
    parse_comment,
    parse_number,
    parse_text,
    parse_time,
    restore,
    tidy_name,
    whole_text,
)
from data.columns import FIELDS, check_fields, match_columns
from data.errors import InputError
from data.qualtrics import PREVIEW, QualtricsHeader
from data.scale import NPS, Scale
from data.tables import Row, read_rows, table_format

__all__ = [
    "FIELDS",
    "Response",
    "latest",
    "match_columns",
    "parse_number",
    "parse_response",
    "read_responses",
]

RESERVED = ("status", "tags", "model", "taxonomy_version", "error", "abstained")
"""What a tags file says beside a response's own fields."""

Value = TypeVar("Value")
STATES = ("tagged", "uncoded", "no_comment", "error")
GREATEST_WEIGHT = 1e15
"""Far above any customer's value; its square still fits a float, so that variances do."""
# People write "n/a" or "none", and that stays; in CSV these cannot be told from a missing text.
_MISSING_MARKS = {"NA", "NaN", "nan", "NULL", "<NA>", "#N/A"}


@dataclass(frozen=True, slots=True)
class Response:
    """One answer to a survey.

    Attributes
    ----------
    response_id
        Names the response; a later one with the same id replaces an earlier one.
    score
        On the declared scale; None where the question was left out.
    comment
        The verbatim; None where there is none.
    responded_at
        In UTC; a time without an offset is taken as UTC.
    respondent_id
        Who answered, where known; their answers are not independent.
    weight
        What the answer counts for, >= 0: a survey weight or a customer's value.
    segments
        Every other column, as text; blanks are left out. A column whose name a tags file uses
        otherwise (``model``, ``status``, ...) is called ``segment_model`` and so on.
    """

    response_id: str
    score: float | None = None
    comment: str | None = None
    responded_at: datetime | None = None
    respondent_id: str | None = None
    weight: float = 1.0
    segments: Mapping[str, str] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Give the response as plain JSON values that UTF-8 can hold, segments beside the fields."""
        fixed: dict[str, Any] = {
            "response_id": whole_text(self.response_id),
            "score": _whole(self.score),
            "comment": None if self.comment is None else whole_text(self.comment),
            "responded_at": None if self.responded_at is None else self.responded_at.isoformat(),
            "respondent_id": None if self.respondent_id is None else whole_text(self.respondent_id),
            "weight": _whole(self.weight),
        }
        segments = {whole_text(name): whole_text(value) for name, value in self.segments.items()}
        return fixed | {name: value for name, value in segments.items() if name not in fixed}


def _whole(value: float | None) -> float | int | None:
    if value is None or math.isnan(value):
        return None
    return int(value) if float(value).is_integer() else value


def read_responses(
    path: str | Path,
    *,
    scale: Scale = NPS,
    columns: Mapping[str, str] | None = None,
    date_format: str | None = None,
    required: Iterable[str] = ("comment",),
    left_out: Counter[str] | None = None,
) -> Iterator[Response]:
    """Yield the responses of a file, one at a time, each checked.

    Parameters
    ----------
    path
        Any format of `data.tables.read_rows`.
    scale
        The declared answer scale; a score outside it is an error.
    columns
        Field name to the file's column name, where they differ.
    date_format
        As `datetime.strptime` takes it; ISO 8601 where None.
    required
        Fields whose column must be there.
    left_out
        Counts the rows that are no answers by why they are none: Qualtrics' survey previews.

    Raises
    ------
    InputError
        Names file, row and column of the first cell that cannot be understood.
    """
    check_fields(columns or {})
    if date_format is not None:
        check_date_format(date_format)
    form = table_format(path)
    ragged = form in (".jsonl", ".ndjson")  # each line may have keys of its own
    seen: Counter[str] = Counter()
    wanted, missing = dict(columns or {}), set(required)
    unmet = set(wanted)
    names: dict[str, str] = {}
    header: set[str] | None = None
    for raw in _answers(path, left_out):
        if raw.header is not None:
            wanted = {name: raw.header.column(column) for name, column in (columns or {}).items()}
        row = _own_fields(raw, guarded=form in (".csv", ".tsv", ".xlsx"))
        if header is None or (ragged and row.cells.keys() != header):
            held = {tidy_name(name) for name in row.cells} if ragged else set()
            mapped = {k: v for k, v in wanted.items() if tidy_name(v) in held} if ragged else wanted
            matched = match_columns(row.cells, mapped, path, () if ragged else missing)
            names = {k: v for k, v in matched.items() if k in mapped or k not in wanted}
            header = set(row.cells)
            missing -= names.keys()
            unmet -= mapped.keys()
        if form in (".csv", ".tsv"):
            row = _without_missing_mark(row, names.get("comment"))
        row = _of_qualtrics(row, raw.header, names, date_format)
        yield parse_response(row, names, path, scale=scale, date_format=date_format, seen=seen)
    if ragged and header is not None and (missing or unmet):
        name = min(missing | unmet)
        raise InputError("no line has this key", file=path, column=wanted.get(name, name))


def _answers(path: str | Path, left_out: Counter[str] | None) -> Iterator[Row]:
    """Yield the rows that are answers, and count the others by why they are none."""
    for row in read_rows(path):
        if row.header is None or not row.header.is_preview(row.cells):
            yield row
        elif left_out is not None:
            left_out[PREVIEW] += 1


def _of_qualtrics(
    row: Row, header: QualtricsHeader | None, names: Mapping[str, str], date_format: str | None
) -> Row:
    """Give a row of Qualtrics without who answered, its time with the file's zone; any other as it is."""
    if header is None:
        return row
    cells = header.without_personal(row.cells, tuple(names.values()))
    if date_format is None:
        cells = header.in_zone(names.get("responded_at"), cells)
    return Row(row.number, cells)


def _without_missing_mark(row: Row, column: str | None) -> Row:
    """Blank a comment that is the bare mark by which R or a database writes a missing text."""
    if column is None or str(row.cells.get(column)).strip() not in _MISSING_MARKS:
        return row
    return Row(row.number, {**row.cells, column: None})


def _own_fields(row: Row, *, guarded: bool) -> Row:
    """Give a row of a tags file without the tags, so that it can be tagged anew; any other as it is."""
    if row.cells.get("status") not in STATES or "tags" not in row.cells:
        return row
    own = {name: cell for name, cell in row.cells.items() if name not in RESERVED}
    return restored(Row(row.number, own)) if guarded else Row(row.number, own)


def restored(row: Row) -> Row:
    """Give a row as it was before `data.cells.defuse` kept a spreadsheet from running it."""
    return Row(row.number, {str(restore(name)): restore(cell) for name, cell in row.cells.items()})


def parse_response(
    row: Row,
    names: Mapping[str, str],
    path: str | Path,
    *,
    scale: Scale = NPS,
    date_format: str | None = None,
    seen: Counter[str] | None = None,
) -> Response:
    """Read one row as a response.

    Parameters
    ----------
    row
        Its number and cells.
    names
        Field to column, from `match_columns`.
    seen
        Counts equal rows without an id, so that two people who answered alike stay two.

    Raises
    ------
    InputError
        Names file, row and column of what cannot be understood.
    """

    def wrong(name: str, message: str) -> InputError:
        return InputError(message, file=path, row=row.number, column=names.get(name, name))

    def read(name: str, parse: Callable[[Any], Value], message: str) -> Value:
        try:
            return parse(row.cells.get(names[name]) if name in names else None)
        except ValueError:  # which quotes the cell: a comment, where the columns are mixed up
            raise wrong(name, message) from None

    low, high = scale.low, scale.high
    score = read(
        "score", parse_number, f"the score is not a plain number from {low} to {high}, such as {high}"
    )
    if score is not None and not low <= score <= high:
        raise wrong("score", f"{score:g} is outside the {scale.metric} scale {low}-{high}")
    weight = read("weight", parse_number, "the weight is not a plain number, such as 1234.5")
    if weight is not None and not 0 <= weight <= GREATEST_WEIGHT:
        bound = "below 0" if weight < 0 else f"above {GREATEST_WEIGHT:g}"
        raise wrong("weight", f"the weight {weight:g} is {bound}")
    date_form = f"in the format {date_format}" if date_format else "an ISO 8601 date or time"
    response = Response(
        response_id=read("response_id", parse_text, "the id is not a text") or "",
        score=score,
        comment=read("comment", parse_comment, "the comment is not a text"),
        responded_at=read(
            "responded_at",
            partial(parse_time, date_format=date_format),
            f"not {date_form}; declare another with --date-format",
        ),
        respondent_id=read("respondent_id", parse_text, "the id is not a text"),
        weight=1.0 if weight is None else weight,
        segments=_segments(row, set(names.values()), path),
    )
    return response if response.response_id else _with_stable_id(response, seen)


def _segments(row: Row, mapped: set[str], path: str | Path) -> dict[str, str]:
    segments: dict[str, str] = {}
    for column, cell in row.cells.items():
        if column in mapped:
            continue
        name, value = tidy_name(column), parse_text(cell)
        if value is None or not name:
            continue
        name = f"segment_{name}" if name in (*FIELDS, *RESERVED) else name
        if name in segments:
            raise InputError("two columns have this name", file=path, row=row.number, column=name)
        segments[name] = value
    return segments


def _with_stable_id(response: Response, seen: Counter[str] | None) -> Response:
    canonical = json.dumps(response.to_record(), sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:20]
    times = 0 if seen is None else seen[digest]
    if seen is not None:
        seen[digest] += 1
    return replace(response, response_id=f"row-{digest}" if times == 0 else f"row-{digest}-{times + 1}")


def latest(responses: Iterable[Response]) -> list[Response]:
    """Give the responses with each id once: the last row of an id wins, at the place of its first."""
    kept: dict[str, Response] = {}
    for response in responses:
        kept[response.response_id] = response
    return list(kept.values())
