"""The protocols of the benchmark: what trains and what measures, as files in the formats of the product.

Every function writes into a folder and gives the files. A code that is *unknown* in an annotation is younger
than the taxonomy's version that the annotation names: version 1 lacks the code, version 2 has it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring_sets import Converted, MeasuringSet, held_out, load, load_banking, write

from data.annotations import Annotation
from data.text import normalise

ORGANISATIONS = 4
NEW_CODE = "value.discounts-promotions"
"""The code that comes late: 415 of the 7,171 reviews mention it, eighth of the twelve by frequency."""
NEW_POSITIVES, NEW_OTHERS = 25, 100
SHOTS = 10
TOGETHER = 3
"""Codes that are unseen at once."""


def grouped(folder: Path, name: str) -> Converted:
    """Hold out 15% of ``fabsa`` or ``nhs_fft``; no normalised text stands on both sides."""
    found = load(name)
    train, held = _split(found.annotations)
    return write(folder, found.taxonomy, train, held)


def organisations() -> tuple[str, ...]:
    """Give the FABSA organisations with the most reviews, largest first."""
    return tuple(group for group, _ in Counter(load("fabsa").groups).most_common(ORGANISATIONS))


def organisation_left_out(folder: Path, organisation: str) -> Converted:
    """Measure on all of one organisation, train on all of the others but the texts it shares with them."""
    found = load("fabsa")
    sides = list(zip(found.annotations, found.groups, strict=True))
    held = [annotation for annotation, group in sides if group == organisation]
    shared = {normalise(annotation.comment) for annotation in held}
    train = [a for a, group in sides if group != organisation and normalise(a.comment) not in shared]
    return write(folder, found.taxonomy, train, held)


def codes(name: str = "fabsa") -> tuple[str, ...]:
    """Give the ids of a set's codes."""
    return tuple(code["id"] for code in load(name).taxonomy["codes"])


def unseen_code(folder: Path, code: str) -> Converted:
    """Train where a FABSA code is unknown in every annotation; it has its name, definition and examples.

    Codes are unseen by `TOGETHER`, every fourth of the list with its like, so that 4 trainings do for 12
    codes: harder than one at a time, since there are fewer codes to learn from.
    """
    found = load("fabsa")
    train, held = _split(found.annotations)
    every = codes()
    groups = max(2, len(every) // TOGETHER)
    hidden = [one for place, one in enumerate(every) if place % groups == every.index(code) % groups]
    return write(folder, _younger(found, *hidden), [_before(a, *hidden) for a in train], _after(held))


def new_code(folder: Path, code: str, seed: int) -> Converted:
    """Train where one FABSA code is known in 25 annotations that have it and 100 that do not.

    It is unknown in all the others. The measuring part knows it.
    """
    found = load("fabsa")
    train, held = _split(found.annotations)
    rng = np.random.default_rng(seed)
    has = np.array([any(label.code == code for label in a.labels) for a in train])
    reviewed = {
        *rng.permutation(np.flatnonzero(has))[:NEW_POSITIVES].tolist(),
        *rng.permutation(np.flatnonzero(~has))[:NEW_OTHERS].tolist(),
    }
    mixed = [_after([a])[0] if i in reviewed else _before(a, code) for i, a in enumerate(train)]
    return write(folder, _younger(found, code), mixed, _after(held))


def before_new_code(folder: Path, code: str) -> Converted:
    """Train on the same annotations in the version of the taxonomy that lacks the code."""
    found = load("fabsa")
    train, held = _split(found.annotations)
    without = [entry for entry in found.taxonomy["codes"] if entry["id"] != code]
    taxonomy = found.taxonomy | {"codes": without}
    return write(folder, taxonomy, [_before(a, code) for a in train], [_before(a, code) for a in held])


def banking(folder: Path, shots: int | None = None, seed: int = 0) -> Converted:
    """Train on BANKING77's official training part, or on `shots` random queries of each intent.

    The measuring part is the official test part, whole.
    """
    train, test = load_banking()
    rows = train.annotations if shots is None else _draw(train.annotations, shots, seed)
    return write(folder, train.taxonomy, rows, test.annotations)


def _draw(annotations: Sequence[Annotation], shots: int, seed: int) -> list[Annotation]:
    rng = np.random.default_rng(seed)
    by_code: defaultdict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        by_code[annotation.labels[0].code].append(annotation)
    return [
        by_code[code][i]
        for code in sorted(by_code)
        for i in sorted(rng.permutation(len(by_code[code]))[:shots])
    ]


def _split(annotations: Sequence[Annotation]) -> tuple[list[Annotation], list[Annotation]]:
    train = [a for a in annotations if not held_out(a.comment)]
    return train, [a for a in annotations if held_out(a.comment)]


def _younger(found: MeasuringSet, *added: str) -> dict[str, Any]:
    """Give the taxonomy as version 2, in which codes were added."""
    return found.taxonomy | {"version": 2, "migrations": [{"version": 2, "add": code} for code in added]}


def _before(annotation: Annotation, *added: str) -> Annotation:
    """Give an annotation as it was in version 1, without those codes."""
    kept = tuple(label for label in annotation.labels if label.code not in added)
    return dataclasses.replace(annotation, labels=kept, taxonomy_version=1)


def _after(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Give annotations as made with version 2."""
    return [dataclasses.replace(annotation, taxonomy_version=2) for annotation in annotations]
