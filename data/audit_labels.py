"""The files in which people label an audit: written without the model's tags, read back with care."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.annotations import Annotation, ever_known, parse_annotation
from data.audits import NOT_DRAWN, Audit, AuditedResponse, AuditLog, AuditMark, read_log
from data.cells import defuse, parse_text, whole_text
from data.errors import InputError, NotFoundError
from data.files import create_text, writing
from data.responses import restored
from data.tables import Row, read_rows, table_format
from data.taxonomy import Taxonomy
from data.text import text_hash

COLUMNS = ("audit", "response_id", "comment", "codes", "annotator")
"""The columns of a spreadsheet to label; ``codes`` and ``annotator`` are left for people to fill."""

NONE_APPLIES = "none"
"""What people write into ``codes`` where no code applies; a blank says: not labelled yet."""

_TOKEN = re.compile(r"audit-([0-9a-f]{12})-(\d{1,9})")
_CODE = re.compile(r"(.+?)\s*(?::\s*(\w+)|\((\w+)\))?")
_LINES, _SHEETS = (".jsonl", ".ndjson"), (".csv", ".tsv", ".xlsx")


def write_sample(log: AuditLog, comments: Sequence[str], path: str | Path) -> None:
    """Write drawn responses for people to label: their comments, and nothing that the model says of them.

    JSON lines are annotations whose ``codes`` are null until they are labelled. A CSV is for a
    spreadsheet: texts that it would run as formulas are defused.

    Parameters
    ----------
    log
        What was drawn.
    comments
        Of each item of the log, in its order.
    path
        Its ending chooses the format: .jsonl or .csv.

    Raises
    ------
    InputError
        If the ending is another one, or the file cannot be written.
    """
    path, form = Path(path), table_format(path)
    if form not in (".jsonl", ".csv"):
        raise InputError("an audit sample is written as .jsonl, or as .csv for a spreadsheet", file=path)
    with writing(path), create_text(path) as file:
        if form == ".jsonl":
            for record in _records(log, comments):
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            return
        file.write("\ufeff")  # or Excel takes the file for one of its own code page
        sheet = csv.writer(file, lineterminator="\r\n")
        sheet.writerow(COLUMNS)
        for item, comment in zip(log.items, comments, strict=True):
            token = f"audit-{log.design.id}-{item.item}"
            cells = (token, whole_text(item.response_id), whole_text(comment), "", "")
            sheet.writerow([defuse(cell) for cell in cells])


def _records(log: AuditLog, comments: Sequence[str]) -> Iterator[dict[str, Any]]:
    for item, comment in zip(log.items, comments, strict=True):
        mark = AuditMark.of(log.design, item.item, item.inclusion_probability, item.stratum)
        yield {
            "response_id": whole_text(item.response_id),
            "comment": whole_text(comment),
            "taxonomy_version": log.design.taxonomy_version,
            "codes": None,
            "audit": mark.to_record(),
        }


@dataclass(frozen=True)
class ImportedAudit:
    """A labelled audit, and what is not labelled.

    Attributes
    ----------
    unlabelled
        Drawn rows without labels, whose place the labelled ones of their stratum take.
    """

    audit: Audit
    unlabelled: int


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A row of a labelled file: `annotation` is None where nobody labelled it."""

    item: int
    annotation: Annotation | None
    row: int
    file: Path


def audit_id_of(path: str | Path) -> str:
    """Give the id of the audit that a labelled file is of; raises `InputError` where it has none."""
    path = _checked(Path(path))
    for row in read_rows(path):
        return _mark_of(row, path)[0]
    raise InputError("the file holds no rows", file=path)


def import_labels(
    paths: Sequence[str | Path], taxonomy: Taxonomy, home: Path, *, reweight: bool = False
) -> ImportedAudit:
    """Read labelled files of one audit, and check them against its log.

    Every drawn row must be labelled, since those that people skip are seldom like the others. With
    `reweight` the labelled rows of a stratum stand for all that were drawn in it: right where what was
    left out was left out at random, such as the end of the file, which is in random order.

    Parameters
    ----------
    paths
        Files that `write_sample` wrote, with labels; parts of one file, or copies that several people
        labelled in part.
    taxonomy
        What the labels must be of.
    home
        Where the log of the draw lies.
    reweight
        Take an audit that is not labelled in full.

    Raises
    ------
    NotFoundError
        If a file or the log is not there.
    InputError
        Names file and row of what no audit drew, was changed since, is labelled twice or with an
        unknown code; or says how many rows are not labelled.
    """
    log = read_log(audit_id_of(paths[0]), home)
    version = log.design.taxonomy_version
    if version is not None and version != taxonomy.version:
        raise InputError(
            f"the audit was drawn under version {version} of the taxonomy, and this is version "
            f"{taxonomy.version}; label and import it with version {version}"
        )
    labelled: dict[int, Annotation] = {}
    for row in _labelled_rows([Path(path) for path in paths], log, taxonomy):
        if row.annotation is None:
            continue
        if row.item in labelled:
            raise InputError(
                "the response is labelled twice; keep one of them", file=row.file, row=row.row, column="codes"
            )
        labelled[row.item] = row.annotation
    return _weighted(log, labelled, reweight, Path(paths[0]))


def _labelled_rows(paths: Iterable[Path], log: AuditLog, taxonomy: Taxonomy) -> Iterator[_Labelled]:
    items = {item.item: item for item in log.items}
    ever = ever_known(taxonomy)
    for path in paths:
        sheet = table_format(_checked(path)) in _SHEETS
        for raw in read_rows(path):
            row = restored(raw) if sheet else raw
            audit_id, number, chance = _mark_of(row, path)
            if audit_id != log.design.id:
                raise _wrong(path, row, "audit", f"the row is of another audit, not of '{log.design.id}'")
            item = items.get(number)
            if item is None:
                raise _wrong(path, row, "audit", f"the audit drew no item {number}")
            cell = row.cells.get("comment")
            comment = cell if isinstance(cell, str) else parse_text(cell) or ""
            if text_hash(comment) != item.text_hash:
                raise _wrong(
                    path,
                    row,
                    "comment",
                    "this is not the comment that was drawn; were the rows sorted or edited in part?",
                )
            if chance is not None and chance != item.inclusion_probability:
                raise _wrong(path, row, "audit", "the inclusion probability is not the one that was drawn")
            codes = _codes_of(row, path)
            record = {
                "response_id": item.response_id,
                "comment": comment,
                "taxonomy_version": taxonomy.version,
                "annotator": parse_text(row.cells.get("annotator")),
                "codes": codes,
            }
            found = None if codes is None else parse_annotation(Row(row.number, record), taxonomy, path, ever)
            yield _Labelled(number, found, row.number, path)


def _weighted(log: AuditLog, labelled: dict[int, Annotation], reweight: bool, path: Path) -> ImportedAudit:
    """Give the labelled rows with their probabilities, or say what is missing."""
    drawn = Counter(item.stratum for item in log.items)
    held = Counter(item.stratum for item in log.items if item.item in labelled)
    missing = len(log.items) - len(labelled)
    if not labelled:
        raise InputError("no row is labelled yet", file=path, column="codes")
    if missing and not reweight:
        raise InputError(
            f"{len(labelled):,} of {len(log.items):,} drawn rows are labelled and {missing:,} are not; label "
            f"all of them ('{NONE_APPLIES}' where no code applies), or say --reweight, which lets the "
            f"labelled rows of each stratum stand for the others",
            file=path,
            column="codes",
        )
    if len(held) < len(drawn):
        least = min(item.item for item in log.items if not held[item.stratum])
        raise InputError(
            f"{len(drawn) - len(held)} of {len(drawn)} strata have no labelled row, so nothing can stand for "
            f"them; label at least one of each, such as item {least}",
            file=path,
            column="codes",
        )
    rows = []
    for item in log.items:
        if item.item in labelled:
            rate = held[item.stratum] / drawn[item.stratum]
            chance = item.inclusion_probability * rate
            rows.append(AuditedResponse(labelled[item.item], item.item, chance, item.stratum, rate))
    return ImportedAudit(Audit(log.design, tuple(rows)), missing)


def _checked(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError("there is no such file", file=path)
    if table_format(path) not in (*_LINES, *_SHEETS):
        raise InputError("a labelled file is .jsonl, .csv, .tsv or .xlsx", file=path)
    return path


def _wrong(path: Path, row: Row, column: str, message: str) -> InputError:
    return InputError(message, file=path, row=row.number, column=column)


def _mark_of(row: Row, path: Path) -> tuple[str, int, float | None]:
    """Give the audit's id, the item's number and, where the row says it, the inclusion probability."""
    value = row.cells.get("audit")
    if isinstance(value, str):
        token = _TOKEN.fullmatch(value.strip())
        if token:
            return token[1], int(token[2]), None
    mark = AuditMark.parse(value) if isinstance(value, dict) else None
    if mark is None:
        raise _wrong(path, row, "audit", NOT_DRAWN)
    return mark.id, mark.item, mark.inclusion_probability


def _codes_of(row: Row, path: Path) -> list[Any] | None:
    """Give the labels of a row as annotations have them; None where it is not labelled."""
    value = row.cells.get("codes")
    if value is None or isinstance(value, list):
        return value
    text = str(value).strip()
    if not text:
        return None
    if text.casefold() == NONE_APPLIES:
        return []
    labels = []
    for part in re.split(r"[;,\n]", text):
        found = _CODE.fullmatch(part.strip())
        if found is None:
            continue
        code, polarity = found[1], found[2] or found[3]
        if code.casefold() == NONE_APPLIES:
            raise _wrong(path, row, "codes", f"'{NONE_APPLIES}' stands beside a code; keep one of them")
        labels.append({"code": code} | ({"polarity": polarity.lower()} if polarity else {}))
    return labels or None
