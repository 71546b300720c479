"""The starter corpus: survey comments of many invented companies, each with a taxonomy of its own.

Each domain is a pair of files in the public formats: ``<domain>.yaml`` and ``<domain>.jsonl``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from data.annotations import Target, read_annotations, to_target
from data.taxonomy import Taxonomy, read_taxonomy

FOLDER = Path(str(files("data.starter")))


@dataclass(frozen=True)
class CorpusDomain:
    """One taxonomy, and comments labelled with all of its codes.

    Attributes
    ----------
    name
        Of the domain.
    taxonomy
        Its reason codes.
    comments, targets
        Texts, and what applies to each.
    """

    name: str
    taxonomy: Taxonomy
    comments: tuple[str, ...]
    targets: tuple[Target, ...]


def read_domain(name: str, taxonomy: Path, annotations: Path) -> CorpusDomain:
    """Read one domain; raises `InputError` as the readers of the two formats do."""
    codes = read_taxonomy(taxonomy)
    rows = [row for row in read_annotations(annotations, codes) if row.comment.strip()]
    return CorpusDomain(
        name, codes, tuple(row.comment for row in rows), tuple(to_target(row, codes) for row in rows)
    )


def read_corpus() -> list[CorpusDomain]:
    """Read all domains by name. The shipped sample is none of them: what it shows must be unseen."""
    return [
        read_domain(path.stem, path, path.with_suffix(".jsonl")) for path in sorted(FOLDER.glob("*.yaml"))
    ]
