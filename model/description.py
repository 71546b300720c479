"""What a model folder says of itself: labels, thresholds, origin - everything but the weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.annotations import POLARITIES
from data.errors import ModelError
from data.taxonomy import Taxonomy, read_taxonomy

DESCRIPTION = "reason_codes.json"
TAXONOMY = "taxonomy.yaml"
FORMAT = 1


@dataclass(frozen=True)
class ModelDescription:
    """The settings of a classifier.

    Attributes
    ----------
    codes
        In the order of the outputs.
    encoder, encoder_sha256
        What was fine-tuned.
    width, max_tokens, pad_id
        Of the encoder and its tokenizer.
    prefix
        What the encoder reads before every comment, such as ``query: ``.
    thresholds
        For each code, one for each polarity.
    training
        Facts about how it was made, for people.
    """

    codes: tuple[str, ...]
    encoder: str
    encoder_sha256: str
    width: int
    max_tokens: int
    pad_id: int
    thresholds: tuple[tuple[float, ...], ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    prefix: str = ""

    def with_thresholds(self, thresholds: NDArray[np.float64]) -> ModelDescription:
        """Give the description with other thresholds, shape (n_codes, n_polarities)."""
        rows = tuple(tuple(round(float(value), 6) for value in row) for row in thresholds)
        return dataclasses.replace(self, thresholds=rows)

    def threshold_array(self) -> NDArray[np.float64]:
        """Give the thresholds, shape (n_codes, n_polarities); 0.5 where none were tuned."""
        if not self.thresholds:
            return np.full((len(self.codes), len(POLARITIES)), 0.5)
        return np.asarray(self.thresholds, np.float64)

    def write(self, folder: Path) -> None:
        """Write the description into a model folder."""
        content = {"format": FORMAT, "polarities": list(POLARITIES), **dataclasses.asdict(self)}
        (folder / DESCRIPTION).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_description(folder: Path) -> ModelDescription:
    """Read the description of a model folder.

    Raises
    ------
    ModelError
        If there is none, or it is of a format that this version does not know.
    """
    try:
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT or content.pop("polarities") != list(POLARITIES):
            raise ModelError("the model is of a format that this version does not know", file=folder)
        content["codes"] = tuple(content["codes"])
        content["thresholds"] = tuple(tuple(row) for row in content["thresholds"])
        return ModelDescription(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("the folder holds no reason-code model that can be read", file=folder) from error


def read_model_taxonomy(folder: Path) -> Taxonomy:
    """Read the taxonomy that a model folder carries; raises `ModelError` where it has none."""
    if not (folder / TAXONOMY).is_file():
        raise ModelError("the model folder has no taxonomy", file=folder)
    return read_taxonomy(folder / TAXONOMY)
