"""The erasure of a respondent: from the store and, where they are named, from annotation and audit files."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.annotations import comment_id
from data.audits import AuditLog, AuditMark, labelled_audits, log_path, logged_audits, read_log
from data.cells import parse_text
from data.errors import InputError, NotFoundError
from data.files import create_text, open_text, write_whole, writing
from data.store import Store
from data.store_deletion import forget_respondent, responses_of
from data.tables import table_format


@dataclass(frozen=True, slots=True)
class ErasureCounts:
    """What was erased.

    Attributes
    ----------
    responses, tags, evidence
        Rows of the store, and the parts of comments that carried their tags.
    annotations
        Annotations in the store.
    audit_items
        Items of audits: in the logs of what was drawn, and in the labelled files of the home folder.
    file_rows
        Rows of the files that were named.
    """

    responses: int
    tags: int
    evidence: int
    annotations: int
    audit_items: int
    file_rows: int


def erase_respondent(
    respondent_id: str, store: Store, home: Path, files: Sequence[Path] = ()
) -> ErasureCounts:
    """Erase what a respondent said, and refuse it from now on.

    First it is noted that the respondent is not to be stored again; then the files are written anew,
    and last the store forgets. A call that was interrupted is finished by the same call.

    Parameters
    ----------
    respondent_id
        As in the responses, or as it came where it was masked; blanks around it are none of it.
    store
        Where the responses are.
    home
        The folder with the audits.
    files
        Annotations and labelled audits, JSON lines: their rows of the respondent's responses go.

    Raises
    ------
    NotFoundError
        If a file is not there; then nothing was erased.
    InputError
        If a file cannot be read as JSON lines or cannot be written.
    StoreError
        If the store cannot be used.
    """
    person = parse_text(respondent_id)  # as it is read when a response comes
    if person is None:
        raise InputError("the id of a respondent is not blank", column="respondent_id")
    labelled = labelled_audits(Path(home))
    known = {path.resolve() for path in labelled}
    files = [path for path in files if path.resolve() not in known]
    for path in (*files, *labelled):
        _check(path)
    # The pseudonym too, whether or not the store masks: it may have done so once, or begin to.
    people = tuple(dict.fromkeys((person, store.pseudonyms.of(person))))
    with store.writing() as connection:
        for name in people:
            store.tombstones.add(connection, name)
        responses = [row for name in people for row in responses_of(connection, name)]
    names = frozenset(row.response_id for row in responses)
    names |= {comment_id(row.comment) for row in responses if row.comment}
    file_rows = sum(_erase_lines(path, names) for path in files)
    items = sum(_erase_items(audit, home, names) for audit in logged_audits(home))
    items += sum(_erase_lines(path, names) for path in labelled)
    with store.writing() as connection:
        gone = forget_respondent(connection, people, names, store.delete_hooks)
    return ErasureCounts(*gone, audit_items=items, file_rows=file_rows)


def _check(path: Path) -> None:
    if not path.is_file():
        raise NotFoundError("there is no such file", file=path)
    if table_format(path) not in (".jsonl", ".ndjson"):
        raise InputError("annotations and audits are JSON lines; the file's ending must be .jsonl", file=path)
    for _ in _lines(path):
        pass


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise InputError("the line is not a JSON object", file=path, row=number)
            yield line, record


def _name(record: dict[str, Any]) -> str:
    comment = record.get("comment")
    name = parse_text(record.get("response_id"))
    return name or (comment_id(comment) if isinstance(comment, str) else "")


def _erase_lines(path: Path, names: frozenset[str]) -> int:
    """Write a file anew without some responses, all other lines to the letter; give how many went."""
    strata: Counter[int] = Counter()
    gone: Counter[int] = Counter()
    erased = 0
    for _, record in _lines(path):
        mark = AuditMark.parse(record.get("audit"))
        out = _name(record) in names
        erased += out
        if mark is not None:
            strata[mark.stratum] += 1
            gone[mark.stratum] += out
    if not erased:
        return 0
    partial = path.with_name(f".{os.getpid()}.partial.{path.name}")
    with writing(path):
        try:
            with create_text(partial) as file:
                file.writelines(_kept(path, names, strata, gone))
            with partial.open("rb") as whole:
                os.fsync(whole.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return erased


def _kept(path: Path, names: frozenset[str], strata: Counter[int], gone: Counter[int]) -> Iterator[str]:
    for line, record in _lines(path):
        if _name(record) in names:
            continue
        mark = AuditMark.parse(record.get("audit"))
        if mark is None or not gone[mark.stratum]:
            yield line if line.endswith("\n") else line + "\n"
            continue
        # The labelled rows that are left stand for all that were drawn in their stratum.
        left = 1 - gone[mark.stratum] / strata[mark.stratum]
        rate = (mark.response_rate or 1.0) * left
        record["audit"] = mark.model_copy(update={"response_rate": rate}).to_record()
        yield json.dumps(record, ensure_ascii=False) + "\n"


def _erase_items(audit_id: str, home: Path, names: frozenset[str]) -> int:
    log = read_log(audit_id, home)
    items = tuple(item for item in log.items if item.response_id not in names)
    if len(items) < len(log.items):
        kept = AuditLog(design=log.design, items=items)
        write_whole(log_path(home, audit_id), (kept.model_dump_json(indent=1) + "\n").encode())
    return len(log.items) - len(items)
