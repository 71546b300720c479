"""What a ranking was computed from, response by response, as keyed hashes: to tell later what has changed.

Each response has three hashes: of its comment (``text``), of what the model said of it (``tags``), and of
what it answered (``answer``: score, weight, respondent, and the value of the segment that was ranked by).
They are the first 16 hexadecimal digits of SHA-256 over a secret key, the kind, the response's id and the
value, so they tell nobody what a comment says who does not hold the key, nor which comments are equal.
Their sums over all responses, in any order, are the digests of a file.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import create_secret, writing
from data.tags import TaggedResponse

KINDS = ("text", "tags", "answer")
ANSWER_END = "\x1e"
"""Stands between what is written down of a response."""

_PART = "\x1f"
_KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True)
class DigestKey:
    """The secret key of hashes: 32 hexadecimal digits."""

    digits: str

    @property
    def name(self) -> str:
        """What names the key, and does not give it away."""
        return hashlib.sha256(f"name of {self.digits}".encode()).hexdigest()[:16]

    def hash(self, kind: str, response_id: str, value: str) -> int:
        """Give the hash of a value of a response, as a number of 64 bits."""
        text = f"{self.digits}{kind}:{len(response_id)}:{response_id}{value}"
        return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")


def read_key(path: Path) -> DigestKey:
    """Read a key's file; where there is none, make one that only its owner can read.

    Raises
    ------
    InputError
        If the file holds no key, or cannot be made.
    """
    if not path.exists():
        create_secret(path, secrets.token_hex(16) + "\n")
    digits = path.read_text(encoding="ascii", errors="replace").strip()
    if not _KEY.fullmatch(digits):
        raise InputError("the file holds no key of manifests (32 hexadecimal digits)", file=path)
    return DigestKey(digits)


@dataclass(frozen=True)
class RowDigests:
    """The responses of a ranking in short.

    Attributes
    ----------
    key
        The name of the key.
    rows
        How many responses; the latest row of each id counts.
    sums
        By kind: the sum of the hashes.
    models
        How many responses each model and version of the taxonomy read.
    """

    key: str
    rows: int
    sums: Mapping[str, int]
    models: Mapping[tuple[str | None, int | None], int]

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values, without the models."""
        return {"key": self.key, "rows": self.rows} | {kind: f"{self.sums[kind]:032x}" for kind in KINDS}


def said_of(status: str, blamed: Iterable[str], praised: Iterable[str]) -> str:
    """Write down what a model said of a response: `praised` and not blamed too."""
    return ANSWER_END.join([status, _PART.join(sorted(blamed)), _PART.join(sorted(praised))])


def answer_of(score: float | None, weight: float, respondent_id: str | None, value: str) -> str:
    """Write down what a response answered, and its value of the segment."""
    given = "" if score is None else repr(score + 0.0)
    return ANSWER_END.join([given, repr(weight + 0.0), respondent_id or "", value])


@dataclass
class RowDigester:
    """Takes the digests of tagged responses on their way into a ranking.

    Attributes
    ----------
    key
        Of the hashes.
    by
        The segment that is ranked by.
    """

    key: DigestKey
    by: str | None = None
    _rows: dict[str, tuple[tuple[int, int, int], tuple[str | None, int | None]]] = field(default_factory=dict)

    def watch(self, rows: Iterable[TaggedResponse]) -> Iterator[TaggedResponse]:
        """Yield the rows as they come; the latest of an id counts."""
        for row in rows:
            response, name = row.response, row.response.response_id
            blamed = {tag.code for tag in row.tags if tag.polarity != "positive"}
            praised = {tag.code for tag in row.tags} - blamed
            value = response.segments.get(self.by, "") if self.by else ""
            answer = answer_of(response.score, response.weight, response.respondent_id, value)
            hashes = (
                self.key.hash("text", name, response.comment or ""),
                self.key.hash("tags", name, said_of(row.status, blamed, praised)),
                self.key.hash("answer", name, answer),
            )
            self._rows[name] = hashes, (row.model, row.taxonomy_version)
            yield row

    def result(self) -> RowDigests:
        """Give the digests, once all rows have passed."""
        sums = {kind: sum(row[0][place] for row in self._rows.values()) for place, kind in enumerate(KINDS)}
        return RowDigests(
            self.key.name, len(self._rows), sums, Counter(row[1] for row in self._rows.values())
        )

    def write(self, path: Path) -> None:
        """Write the listing of all responses, as `data.tag_digests` does."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [(name, *hashes, *origin) for name, (hashes, origin) in self._rows.items()]
        cells = list(zip(*rows, strict=True)) or [()] * len(listing_schema())
        with writing(path):
            table = pa.table([list(column) for column in cells], schema=listing_schema())
            pq.write_table(table, path, compression="zstd")


def listing_schema() -> Any:
    """Give the columns of a listing of responses: an Arrow schema."""
    import pyarrow as pa

    hashes = [(kind, pa.uint64()) for kind in KINDS]
    return pa.schema(
        [("response_id", pa.string()), *hashes, ("model", pa.string()), ("taxonomy_version", pa.int64())]
    )
