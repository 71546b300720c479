"""What a training reads: a taxonomy, and annotations in its terms."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from data.annotations import Annotation, Target, read_annotations, to_target
from data.taxonomy import Taxonomy, read_taxonomy


@dataclass(frozen=True)
class TrainingData:
    """Annotations in the terms of the present taxonomy, with their digest."""

    taxonomy: Taxonomy
    annotations: tuple[Annotation, ...]
    targets: tuple[Target, ...]
    digest: str

    @property
    def comments(self) -> list[str]:
        """The texts, in file order."""
        return [annotation.comment for annotation in self.annotations]


def load_training_data(annotations: str | Path | None, taxonomy: str | Path) -> TrainingData:
    """Read and check taxonomy and annotations; without annotations there are definitions alone.

    Raises
    ------
    InputError
        Names file, row and field.
    """
    codes = read_taxonomy(taxonomy)
    rows = tuple(read_annotations(annotations, codes)) if annotations is not None else ()
    digest = hashlib.sha256(codes.to_yaml().encode())
    for row in rows:
        digest.update(json.dumps(row.to_record(), sort_keys=True, ensure_ascii=False).encode())
    return TrainingData(codes, rows, tuple(to_target(row, codes) for row in rows), digest.hexdigest())
