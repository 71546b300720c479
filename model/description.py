"""What a model folder says of itself: labels, calibration, thresholds, origin; all but the weights."""

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
from model.calibration import Calibration
from model.operating_points import BALANCED, Expectation, OperatingPoint, PointName

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
        For each code, one for each polarity: those of the balanced operating point.
    calibration
        What makes the network's probabilities mean what they say; None leaves them as they are.
    operating_points
        By name; empty where there was nothing to choose them on, and in models of the first versions.
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
    calibration: Calibration | None = None
    operating_points: dict[PointName, OperatingPoint] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    prefix: str = ""

    def with_decisions(
        self, calibration: Calibration, points: dict[PointName, OperatingPoint]
    ) -> ModelDescription:
        """Give the description with another calibration and other operating points."""
        return dataclasses.replace(
            self,
            calibration=calibration,
            operating_points=points,
            thresholds=points[BALANCED].thresholds,
        )

    def calibrate(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give calibrated probabilities for the network's, shape (n, n_codes, n_polarities)."""
        return probabilities if self.calibration is None else self.calibration.apply(probabilities)

    def threshold_array(self, point: PointName = BALANCED) -> NDArray[np.float64]:
        """Give the thresholds of an operating point, shape (n_codes, n_polarities).

        Those of the balanced one are 0.5 where none were tuned.

        Raises
        ------
        ModelError
            If the model has no such operating point.
        """
        if point in self.operating_points:
            return self.operating_points[point].threshold_array()
        if point != BALANCED:
            raise ModelError(
                f"the model has no operating point '{point}': it was made by an older version, "
                "or without annotated comments to choose it on"
            )
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
        content["thresholds"] = _rows(content["thresholds"])
        if content.get("calibration") is not None:
            content["calibration"] = Calibration(
                **{name: _rows(values) for name, values in content["calibration"].items()}
            )
        points = content.get("operating_points", {})
        content["operating_points"] = {name: _read_point(point) for name, point in points.items()}
        return ModelDescription(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("the folder holds no reason-code model that can be read", file=folder) from error


def _rows(values: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in values)


def _read_point(content: dict[str, Any]) -> OperatingPoint:
    return OperatingPoint(
        _rows(content["thresholds"]),
        Expectation(**content["expected"]),
        {code: Expectation(**expected) for code, expected in content["codes"].items()},
    )


def read_model_taxonomy(folder: Path) -> Taxonomy:
    """Read the taxonomy that a model folder carries; raises `ModelError` where it has none."""
    if not (folder / TAXONOMY).is_file():
        raise ModelError("the model folder has no taxonomy", file=folder)
    return read_taxonomy(folder / TAXONOMY)
