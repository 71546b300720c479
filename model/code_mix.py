"""The mix of codes that a model gives to comments like those of its training: what drift is measured from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError

CODE_MIX = "code_mix.json"
UNCODED = "uncoded"
_FORMAT = 1


@dataclass(frozen=True)
class CodeMix:
    """How often each code was given.

    Attributes
    ----------
    comments
        How many comments were read.
    counts
        By code the comments that were given it; under ``uncoded`` those that were given none.
    """

    comments: int
    counts: Mapping[str, int]

    @classmethod
    def of(cls, chosen: NDArray[np.bool_], codes: tuple[str, ...]) -> CodeMix:
        """Count decisions of shape (n_comments, n_codes, n_polarities)."""
        given: NDArray[np.bool_] = np.any(chosen, axis=2)
        counts = {code: int(given[:, place].sum()) for place, code in enumerate(codes)}
        return cls(len(chosen), counts | {UNCODED: int((~given.any(axis=1)).sum())})

    def write(self, folder: Path) -> None:
        """Write it into a model folder."""
        content: dict[str, Any] = {
            "format": _FORMAT,
            "comments": self.comments,
            "counts": dict(self.counts),
        }
        (folder / CODE_MIX).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_code_mix(folder: Path) -> CodeMix | None:
    """Read the mix of a model folder; None where it has none, as in models of earlier versions.

    Raises
    ------
    ModelError
        If there is one that cannot be read.
    """
    path = folder / CODE_MIX
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        counts = {str(code): int(count) for code, count in content["counts"].items()}
        return CodeMix(int(content["comments"]), counts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("the model's mix of codes cannot be read", file=path) from error
