"""Audits: responses drawn at random with known probabilities, and what people said of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.annotations import POLARITIES, Annotation, CodeLabel
from data.cells import whole_text
from data.errors import InputError, NotFoundError
from data.files import create_text, writing
from data.tables import Row, read_rows, table_format

FaultReason = Literal[
    "other_responses", "other_comments", "other_model", "other_taxonomy_version", "seen_in_training"
]
NOT_DRAWN = (
    "no audit drew this row with a known probability, so it cannot correct anything; "
    "draw rows with: whyscore audit sample"
)
_FOLDER = "audits"


class AuditFault(NamedTuple):
    """Why an audit does not correct a ranking: a reason for programs, and a sentence."""

    reason: FaultReason
    sentence: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The responses that an audit could draw: how many, and a digest of their ids.

    The digest is a sum, so those of parts add up to that of the whole, in any order.
    """

    size: int
    digest: str

    @classmethod
    def of(cls, response_ids: Iterable[str]) -> Frame:
        """Sum over ids, each given once."""
        size, total = 0, 0
        for name in response_ids:
            size += 1
            total += int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:16], "big")
        return cls(size, f"{total % 2**128:032x}")

    def __add__(self, other: Frame) -> Frame:
        return Frame(
            self.size + other.size, f"{(int(self.digest, 16) + int(other.digest, 16)) % 2**128:032x}"
        )


class AuditDesign(BaseModel):
    """How an audit was drawn; every row of its files says it, so that a file stands by itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    model: str | None
    taxonomy_version: int | None
    drawn_at: datetime
    stratify: str
    seed: int
    drawn: int = Field(ge=1)
    frame_size: int = Field(ge=1)
    frame_digest: str = Field(pattern=r"^[0-9a-f]{32}$")

    @property
    def frame(self) -> Frame:
        """What it was drawn from."""
        return Frame(self.frame_size, self.frame_digest)


class DrawnItem(BaseModel):
    """One drawn response as the log holds it: no comment, but the hash of its normalised text."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    item: int = Field(ge=1)
    response_id: str
    inclusion_probability: float = Field(gt=0, le=1)
    stratum: int
    text_hash: str


class AuditLog(BaseModel):
    """What was drawn: written when it is drawn, and never given to those who label."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    design: AuditDesign
    items: tuple[DrawnItem, ...]


class AuditMark(AuditDesign):
    """The ``audit`` field of a row: the audit's design, and how this row was drawn."""

    item: int = Field(ge=1)
    inclusion_probability: float = Field(gt=0, le=1)
    stratum: int
    response_rate: float | None = Field(None, gt=0, le=1)

    @classmethod
    def of(
        cls,
        design: AuditDesign,
        item: int,
        inclusion_probability: float,
        stratum: int,
        response_rate: float | None = None,
    ) -> AuditMark:
        """Mark a drawn row; a labelled one has a response rate."""
        return cls(
            **dict(design),
            item=item,
            inclusion_probability=inclusion_probability,
            stratum=stratum,
            response_rate=response_rate,
        )

    @classmethod
    def parse(cls, value: Any) -> AuditMark | None:
        """Read the field; None where it does not say how the row was drawn."""
        try:
            return cls.model_validate(value)
        except ValidationError:
            return None

    @property
    def design(self) -> AuditDesign:
        """What all rows of the audit share."""
        return AuditDesign.model_validate(dict(self))

    def to_record(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return self.model_dump(mode="json", exclude_none=True)


@dataclass(frozen=True, slots=True)
class AuditedResponse:
    """A drawn response with people's labels.

    Attributes
    ----------
    item
        Its number in the audit.
    probability
        With which it came to be labelled: that of the draw times `response_rate`.
    stratum
        The number of its stratum.
    response_rate
        The labelled share of the drawn rows of its stratum; 1 where all were labelled.
    """

    annotation: Annotation
    item: int
    probability: float
    stratum: int
    response_rate: float = 1.0

    @property
    def causes(self) -> frozenset[str]:
        """The codes that the comment blames: those of negative or neutral polarity."""
        return frozenset(label.code for label in self.annotation.labels if label.polarity != "positive")


@dataclass(frozen=True)
class Audit:
    """A labelled audit.

    Attributes
    ----------
    design
        How it was drawn.
    rows
        The labelled responses, each once.
    fault
        Why it does not correct a certain ranking; None where nothing speaks against it.
    remarks
        Sentences that belong beside what it corrects.
    """

    design: AuditDesign
    rows: tuple[AuditedResponse, ...]
    fault: AuditFault | None = None
    remarks: tuple[str, ...] = ()

    @property
    def chances(self) -> dict[str, tuple[float, frozenset[str]]]:
        """From each response's id to its inclusion probability and the codes that people blamed."""
        return {row.annotation.response_id: (row.probability, row.causes) for row in self.rows}

    @property
    def unlabelled(self) -> int:
        """Drawn responses that nobody labelled."""
        return self.design.drawn - len(self.rows)

    @property
    def codes(self) -> frozenset[str]:
        """The codes that people blamed."""
        return frozenset().union(*(row.causes for row in self.rows))


def log_path(home: Path, audit_id: str) -> Path:
    """Give where the log of an audit lies in the home folder."""
    return home / _FOLDER / f"{audit_id}.drawn.json"


def labelled_path(home: Path, audit_id: str) -> Path:
    """Give where the labelled rows of an audit lie in the home folder, unless they are put elsewhere."""
    return home / _FOLDER / f"{audit_id}.jsonl"


def labelled_audits(home: Path) -> list[Path]:
    """Give the files with labelled rows that lie in the home folder."""
    return sorted((home / _FOLDER).glob("*.jsonl"))


def logged_audits(home: Path) -> list[str]:
    """Give the ids of the audits whose logs lie in the home folder."""
    return sorted(path.name.removesuffix(".drawn.json") for path in (home / _FOLDER).glob("*.drawn.json"))


def write_log(log: AuditLog, home: Path) -> Path:
    """Write the log of an audit into the home folder, and give its path."""
    path = log_path(home, log.design.id)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path


def read_log(audit_id: str, home: Path) -> AuditLog:
    """Read the log of an audit.

    Raises
    ------
    NotFoundError
        If the home folder has none.
    InputError
        If it cannot be understood.
    """
    path = log_path(home, audit_id)
    if not path.is_file():
        raise NotFoundError(
            f"this home folder has no log of the audit '{audit_id[:40]}'; import it where it was drawn, "
            f"or copy the log from there",
            file=path,
        )
    try:
        return AuditLog.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError("the log of the audit cannot be understood", file=path) from None


def write_audit(audit: Audit, path: str | Path) -> None:
    """Write a labelled audit as annotations, each with its ``audit`` field; `read_audit` reads it back."""
    path = Path(path)
    if table_format(path) not in (".jsonl", ".ndjson"):
        raise InputError("an audit is written as JSON lines; the file's ending must be .jsonl", file=path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with create_text(path) as file:
            for row in audit.rows:
                mark = AuditMark.of(audit.design, row.item, row.probability, row.stratum, row.response_rate)
                record = row.annotation.to_record() | {"audit": mark.to_record()}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_audit(path: str | Path) -> Audit:
    """Read a labelled audit, as ``whyscore audit import`` writes it.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If a row was not drawn by an audit, is of another audit than the first, or stands twice; names
        file and row.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("there is no such file", file=path)
    if table_format(path) not in (".jsonl", ".ndjson"):
        raise InputError(
            "an audit is JSON lines; make it of a labelled file with: whyscore audit import", file=path
        )
    design: AuditDesign | None = None
    rows: dict[str, AuditedResponse] = {}
    for row in read_rows(path):
        mark, found = _parse_audited(row, path)
        if design is not None and mark.design != design:
            raise InputError(
                "the row is of another audit than the first; import each into a file of its own",
                file=path,
                row=row.number,
                column="audit",
            )
        design = mark.design
        if found.annotation.response_id in rows:
            raise InputError("the response stands twice", file=path, row=row.number, column="response_id")
        rows[found.annotation.response_id] = found
    if design is None:
        raise InputError("the file holds no labelled rows", file=path)
    return Audit(design, tuple(rows.values()))


def _parse_audited(row: Row, path: Path) -> tuple[AuditMark, AuditedResponse]:
    cells = row.cells

    def wrong(column: str, message: str) -> InputError:
        return InputError(message, file=path, row=row.number, column=column)

    mark = AuditMark.parse(cells.get("audit"))
    if mark is None:
        raise wrong("audit", NOT_DRAWN)
    name, comment, version = (cells.get(key) for key in ("response_id", "comment", "taxonomy_version"))
    if not isinstance(name, str) or not isinstance(comment, str) or not isinstance(version, int):
        raise wrong("audit", "the row is no labelled row of an audit; import the labelled file anew")
    codes = cells.get("codes")
    if not isinstance(codes, list):
        raise wrong("codes", "the row is not labelled; make the file with: whyscore audit import")
    labels = tuple(_parse_label(entry, wrong("codes", "the codes can't be understood")) for entry in codes)
    annotator = cells.get("annotator")
    annotation = Annotation(
        whole_text(name), comment, labels, version, annotator if isinstance(annotator, str) else None
    )
    chance = mark.inclusion_probability
    return mark, AuditedResponse(annotation, mark.item, chance, mark.stratum, mark.response_rate or 1.0)


def _parse_label(entry: Any, error: InputError) -> CodeLabel:
    if not isinstance(entry, dict) or not isinstance(entry.get("code"), str):
        raise error
    polarity = entry.get("polarity", "negative")
    if polarity not in POLARITIES:
        raise error
    return CodeLabel(whole_text(entry["code"]), polarity)
