"""Annotations: what people said a comment is about, and what they could not have said yet."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from data.cells import is_blank, parse_text, whole_text
from data.errors import InputError, NotFoundError
from data.files import create_text, writing
from data.tables import Row, read_rows, table_format
from data.taxonomy import Taxonomy

Polarity = Literal["negative", "neutral", "positive"]
POLARITIES: tuple[Polarity, ...] = ("negative", "neutral", "positive")
_LABEL_FIELDS = ("code", "polarity", "evidence")


@dataclass(frozen=True, slots=True)
class CodeLabel:
    """One code that a comment mentions, how, and (optionally) the words that say so."""

    code: str
    polarity: Polarity = "negative"
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One reviewed comment.

    Attributes
    ----------
    response_id
        As in the responses; where the file has none, a stable hash of the comment.
    labels
        The codes that apply; empty says: reviewed, none applies.
    taxonomy_version
        The version that the annotator worked with: codes younger than it are unknown here.
    """

    response_id: str
    comment: str
    labels: tuple[CodeLabel, ...]
    taxonomy_version: int
    annotator: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Give the annotation as its line of JSON holds it, in values that UTF-8 can hold."""
        codes = [
            {"code": label.code, "polarity": label.polarity}
            | ({} if label.evidence is None else {"evidence": whole_text(label.evidence)})
            for label in self.labels
        ]
        record: dict[str, Any] = {
            "response_id": whole_text(self.response_id),
            "comment": whole_text(self.comment),
            "taxonomy_version": self.taxonomy_version,
        }
        if self.annotator is not None:
            record["annotator"] = whole_text(self.annotator)
        return record | {"codes": codes}


@dataclass(frozen=True, slots=True)
class Target:
    """An annotation in the terms of the present taxonomy.

    Attributes
    ----------
    labels
        (code, polarity) pairs that apply.
    unknown
        Codes that the annotator could not have chosen: neither present nor absent.
    """

    labels: frozenset[tuple[str, Polarity]]
    unknown: frozenset[str]


def read_annotations(path: str | Path, taxonomy: Taxonomy) -> Iterator[Annotation]:
    """Yield the annotations of a JSON-lines file, each checked against the taxonomy.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        Names file, row and field of what is wrong, such as a code that the taxonomy never had.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("there is no such file", file=path)
    if table_format(path) not in (".jsonl", ".ndjson"):
        raise InputError("annotations are JSON lines; the file's ending must be .jsonl", file=path)
    ever = ever_known(taxonomy)
    for row in read_rows(path):
        yield parse_annotation(row, taxonomy, path, ever)


def ever_known(taxonomy: Taxonomy) -> frozenset[str]:
    """Give every code id that the taxonomy has or had."""
    return frozenset(taxonomy.ids).union(
        *(
            (*m.sources, *(code for code in (m.add, m.deprecate, *m.targets) if code))
            for m in taxonomy.migrations
        )
    )


def parse_annotation(row: Row, taxonomy: Taxonomy, path: str | Path, ever: frozenset[str]) -> Annotation:
    """Read one annotation.

    Parameters
    ----------
    ever
        From `ever_known`: it tells a code of another version from a mistyped one.

    Raises
    ------
    InputError
        Names file, row and field.
    """

    def wrong(column: str, message: str) -> InputError:
        return InputError(message, file=path, row=row.number, column=column)

    record = row.cells
    comment = record.get("comment")
    if not isinstance(comment, str) or is_blank(comment):
        raise wrong("comment", "an annotation needs the text of its comment")
    version = record.get("taxonomy_version", taxonomy.version)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise wrong("taxonomy_version", "the version is not a whole number from 1")
    if version > taxonomy.version:
        raise wrong(
            "taxonomy_version", f"version {version} is newer than the taxonomy's own, {taxonomy.version}"
        )
    codes = record.get("codes")
    if not isinstance(codes, list):
        raise wrong("codes", "'codes' is not a list; an empty list says that none applies")
    known = taxonomy.known_at(version)

    def label_of(entry: Any) -> CodeLabel:
        label = _parse_label(entry, comment, wrong)
        if label.code not in ever:
            close = difflib.get_close_matches(label.code[:100], taxonomy.ids, n=1)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            raise wrong("codes", f"the taxonomy has no code '{label.code[:100]}'{hint}")
        if label.code not in known:
            raise wrong("codes", f"the taxonomy had no code '{label.code}' in version {version}")
        return label

    return Annotation(
        response_id=parse_text(record.get("response_id")) or comment_id(comment),
        comment=comment,
        labels=tuple(label_of(entry) for entry in codes),
        taxonomy_version=version,
        annotator=parse_text(record.get("annotator")),
    )


def comment_id(comment: str) -> str:
    """Give the id of a response that is known by its comment alone."""
    return f"comment-{hashlib.sha256(comment.encode('utf-8', 'surrogatepass')).hexdigest()[:20]}"


def _parse_label(entry: Any, comment: str, wrong: Callable[[str, str], InputError]) -> CodeLabel:
    if isinstance(entry, str):
        entry = {"code": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("code"), str):
        raise wrong("codes", 'each entry is an object like {"code": "a.b", "polarity": "negative"}')
    code, odd = entry["code"][:100], next((name for name in entry if name not in _LABEL_FIELDS), None)
    if odd is not None:
        # A mistyped "polarity" would otherwise make praise a complaint.
        raise wrong("codes", f"'{odd[:40]}' of '{code}' is not one of {', '.join(_LABEL_FIELDS)}")
    polarity = entry.get("polarity", "negative")
    if polarity not in POLARITIES:
        raise wrong("codes", f"the polarity of '{code}' is not one of {', '.join(POLARITIES)}")
    evidence = entry.get("evidence")
    if evidence is not None and (not isinstance(evidence, str) or not evidence or evidence not in comment):
        raise wrong("codes", f"the evidence of '{code}' is not a part of the comment")
    return CodeLabel(entry["code"], cast(Polarity, polarity), evidence)


def write_annotations(annotations: Iterable[Annotation], path: str | Path) -> None:
    """Write annotations as JSON lines that `read_annotations` reads back equal; gzipped for ``.gz``."""
    path = Path(path)
    with writing(path), create_text(path) as file:
        for annotation in annotations:
            file.write(json.dumps(annotation.to_record(), ensure_ascii=False) + "\n")


def to_target(annotation: Annotation, taxonomy: Taxonomy) -> Target:
    """Carry an annotation forward to the present taxonomy.

    A code added after the annotation is unknown there. Merged and moved codes become their
    successors. Of a code that was split: where it applied, which part did is unknown; where it did
    not, none of its parts does. Deprecated codes are dropped.
    """
    labels: set[tuple[str, Polarity]] = {(label.code, label.polarity) for label in annotation.labels}
    unknown: set[str] = set()
    for migration in taxonomy.migrations:
        if migration.version <= annotation.taxonomy_version:
            continue
        targets = migration.targets
        if migration.add is not None:
            unknown.add(migration.add)
        elif migration.merge is not None or migration.move is not None:
            sources = set(migration.sources)
            hit = {polarity for code, polarity in labels if code in sources}
            labels = {pair for pair in labels if pair[0] not in sources}
            labels |= {(targets[0], polarity) for polarity in hit}
            if sources & unknown:  # where another of its codes applied, the label wins in the end
                unknown.add(targets[0])
        elif migration.split is not None:
            if any(code == migration.split for code, _ in labels) or migration.split in unknown:
                unknown |= set(targets)
            labels = {pair for pair in labels if pair[0] != migration.split}
        elif migration.deprecate is not None:
            labels = {pair for pair in labels if pair[0] != migration.deprecate}
            unknown.discard(migration.deprecate)
    active = set(taxonomy.active)
    kept = frozenset(pair for pair in labels if pair[0] in active)
    return Target(kept, frozenset(unknown & active) - {code for code, _ in kept})
