"""Annotations: what people said a comment is about, and what they could not have said yet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from data.errors import InputError, NotFoundError
from data.tables import Row, read_rows, table_format
from data.taxonomy import Taxonomy

Polarity = Literal["negative", "neutral", "positive"]
POLARITIES: tuple[Polarity, ...] = ("negative", "neutral", "positive")


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
        """Give the annotation as its line of JSON holds it."""
        codes = [
            {"code": label.code, "polarity": label.polarity}
            | ({} if label.evidence is None else {"evidence": label.evidence})
            for label in self.labels
        ]
        record: dict[str, Any] = {
            "response_id": self.response_id,
            "comment": self.comment,
            "taxonomy_version": self.taxonomy_version,
        }
        if self.annotator is not None:
            record["annotator"] = self.annotator
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
    former = {
        code for m in taxonomy.migrations for code in (*(m.merge or ()), m.split, m.move, m.deprecate) if code
    }
    return frozenset(taxonomy.ids) | former


def parse_annotation(row: Row, taxonomy: Taxonomy, path: str | Path, ever: frozenset[str]) -> Annotation:
    """Read one annotation; raises `InputError` naming file, row and field."""

    def wrong(column: str, message: str) -> InputError:
        return InputError(message, file=path, row=row.number, column=column)

    record = row.cells
    comment = record.get("comment")
    if not isinstance(comment, str) or not comment.strip():
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
    annotator = record.get("annotator")
    return Annotation(
        response_id=str(record.get("response_id") or f"line-{row.number}"),
        comment=comment,
        labels=tuple(_parse_label(entry, comment, ever, wrong) for entry in codes),
        taxonomy_version=version,
        annotator=None if annotator is None else str(annotator),
    )


def _parse_label(entry: Any, comment: str, ever: frozenset[str], wrong: Any) -> CodeLabel:
    if isinstance(entry, str):
        entry = {"code": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("code"), str):
        raise wrong("codes", 'each entry is an object like {"code": "a.b", "polarity": "negative"}')
    if entry["code"] not in ever:
        raise wrong("codes", f"the taxonomy has no code '{entry['code']}'")
    polarity = entry.get("polarity", "negative")
    if polarity not in POLARITIES:
        raise wrong("codes", f"the polarity of '{entry['code']}' is not one of {', '.join(POLARITIES)}")
    evidence = entry.get("evidence")
    if evidence is not None and (not isinstance(evidence, str) or evidence not in comment):
        raise wrong("codes", f"the evidence of '{entry['code']}' is not a part of the comment")
    return CodeLabel(entry["code"], cast(Polarity, polarity), evidence)


def write_annotations(annotations: Iterable[Annotation], path: str | Path) -> None:
    """Write annotations as JSON lines that `read_annotations` reads back equal."""
    with Path(path).open("w", encoding="utf-8") as file:
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
            sources = {code for code in (*(migration.merge or ()), migration.move) if code}
            hit = {polarity for code, polarity in labels if code in sources}
            labels = {pair for pair in labels if pair[0] not in sources}
            labels |= {(targets[0], polarity) for polarity in hit}
            if sources & unknown and not hit:
                unknown.add(targets[0])
        elif migration.split is not None:
            if any(code == migration.split for code, _ in labels) or migration.split in unknown:
                unknown |= set(targets)
            labels = {pair for pair in labels if pair[0] != migration.split}
    active = set(taxonomy.active)
    kept = frozenset(pair for pair in labels if pair[0] in active)
    return Target(kept, frozenset(unknown & active) - {code for code, _ in kept})
