"""The measuring sets in the product's own terms: a taxonomy and annotations, and how a text is held out."""

from __future__ import annotations

import ast
import csv
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402  # after the project's folder is on the path

from data.annotations import Annotation, CodeLabel, Polarity, write_annotations  # noqa: E402
from data.text import normalise  # noqa: E402

DATA = Path(os.environ.get("WHYSCORE_BENCH_DATA", ROOT.parent / "shared" / "data"))
HELD_OUT = 0.15
_POLARITY: dict[str, Polarity] = {"-1": "negative", "0": "neutral", "1": "positive"}


@dataclass(frozen=True)
class Converted:
    """Files in the product's formats: a taxonomy, and annotations to train on and to measure on."""

    taxonomy: Path
    train: Path
    held_out: Path

    def digest(self) -> str:
        """Give the first 16 hexadecimal digits of the SHA-256 of the files' contents."""
        contents = b"\0".join(path.read_bytes() for path in (self.taxonomy, self.train, self.held_out))
        return hashlib.sha256(contents).hexdigest()[:16]


@dataclass(frozen=True)
class MeasuringSet:
    """A measuring set before it is split.

    Attributes
    ----------
    taxonomy
        As its YAML holds it.
    annotations
        In the order of the source.
    groups
        For each annotation, who was reviewed; empty where the source does not say.
    """

    taxonomy: dict[str, Any]
    annotations: list[Annotation]
    groups: tuple[str, ...] = ()


def held_out(text: str, share: float = HELD_OUT) -> bool:
    """Tell whether a text is held out: by its normalised form's hash, salted apart from the product's own."""
    digest = hashlib.sha256(f"benchmark:{normalise(text)}".encode("utf-8", "replace")).hexdigest()
    return int(digest[:13], 16) / 16**13 < share


@cache
def load(name: str) -> MeasuringSet:
    """Read ``fabsa`` or ``nhs_fft``; exits with a sentence where the set is not there."""
    return {"fabsa": _fabsa, "nhs_fft": _nhs}[name](DATA / name)


def load_banking() -> tuple[MeasuringSet, MeasuringSet]:
    """Read the official training and test part of BANKING77: each intent is a code, one for a query."""
    train, test = (list(read_csv(DATA / "banking77" / f"{part}.csv")) for part in ("train", "test"))
    intents = {row["category"]: None for row in (*train, *test)}
    codes = [{"id": slug(intent), "definition": _intent_words(intent)} for intent in sorted(intents)]
    taxonomy: dict[str, Any] = {"name": "banking77", "version": 1, "codes": codes}
    parts = (
        [
            Annotation(f"{part}-{number}", row["text"], (CodeLabel(slug(row["category"])),), 1)
            for number, row in enumerate(rows)
        ]
        for part, rows in (("train", train), ("test", test))
    )
    first, second = (MeasuringSet(taxonomy, annotations) for annotations in parts)
    return first, second


def _intent_words(intent: str) -> str:
    words = intent.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def write(
    folder: Path, taxonomy: dict[str, Any], train: Iterable[Annotation], held: Iterable[Annotation]
) -> Converted:
    """Write a taxonomy and the two parts into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Converted(folder / "taxonomy.yaml", folder / "train.jsonl", folder / "held_out.jsonl")
    files.taxonomy.write_text(yaml.safe_dump(taxonomy, sort_keys=False, allow_unicode=True), encoding="utf-8")
    write_annotations(train, files.train)
    write_annotations(held, files.held_out)
    return files


def read_csv(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file."""
    if not path.is_file():
        raise SystemExit(f"{path}: the measuring set is not here; set WHYSCORE_BENCH_DATA")
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _fabsa(folder: Path) -> MeasuringSet:
    guide = (folder / "annotation_guidelines.txt").read_text(encoding="utf-8")
    found = re.findall(
        r"Theme: (\S+) (.*?)● Examples: (.*?)(?=\d+\. Theme:|Sentiment Labels:)", guide, re.DOTALL
    )
    codes = [
        {
            "id": theme,
            "definition": " ".join(definition.split()),
            "examples": [e.strip() for e in re.findall(r"“(.*?)”", examples, re.DOTALL)],
        }
        for theme, definition, examples in found
    ]
    annotations, organisations = [], []
    for row in read_csv(folder / "train.csv"):
        labels = []
        for label in sorted(set(ast.literal_eval(row["labels"]))):
            code, polarity = label.rsplit(".", 1)
            labels.append(CodeLabel(code, _POLARITY[polarity]))
        annotations.append(Annotation(row["id"], row["text"], tuple(labels), 1))
        organisations.append(row["org_index"])
    taxonomy = {"name": "fabsa", "version": 1, "codes": codes}
    return MeasuringSet(taxonomy, annotations, tuple(organisations))


NHS_NOT_THEMES = ("Not assigned", "Labelling not possible")


def _nhs(folder: Path) -> MeasuringSet:
    rows = [
        row
        for row in read_csv(folder / "train.csv")
        if row["FFT answer"].strip() and row["Labelling not possible"] not in ("1", "1.0")
    ]
    columns = list(rows[0])
    themes = [c for c in columns[columns.index("Not assigned") :] if c not in NHS_NOT_THEMES]
    count = {theme: sum(row[theme] in ("1", "1.0") for row in rows) for theme in themes}
    kept = {theme: slug(theme) for theme in themes if count[theme] >= 50}
    codes = [{"id": code, "label": theme} for theme, code in kept.items()]
    annotations = [
        Annotation(
            row["Comment ID"] or f"row-{number}",
            row["FFT answer"],
            tuple(CodeLabel(code) for theme, code in kept.items() if row[theme] in ("1", "1.0")),
            1,
        )
        for number, row in enumerate(rows)
    ]
    return MeasuringSet({"name": "nhs-fft", "version": 1, "codes": codes}, annotations)


def slug(text: str) -> str:
    """Give a name as a reason-code id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
