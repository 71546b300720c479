"""How each code's scores become tags: its own calibration and thresholds, to be taken from model to model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from model.calibration import Calibration, Rows
from model.description import ModelDescription
from model.new_code_decisions import NewCodeDecision
from model.operating_points import BALANCED, POINT_NAMES, Expectation, OperatingPoint, PointName


@dataclass(frozen=True)
class CodeDecisions:
    """Calibration, thresholds and operating points, code by code.

    Attributes
    ----------
    codes
        In the order of the rows.
    thresholds
        Of the balanced point, for each code one for each polarity.
    calibration
        None leaves every probability as it is.
    points
        By name; empty where there was nothing to choose them on.
    """

    codes: tuple[str, ...]
    thresholds: Rows
    calibration: Calibration | None
    points: dict[PointName, OperatingPoint]

    @classmethod
    def of(cls, description: ModelDescription) -> CodeDecisions:
        """Give those of a model."""
        thresholds = tuple(tuple(row) for row in description.threshold_array().tolist())
        return cls(description.codes, thresholds, description.calibration, description.operating_points)

    def rows(self, rows: Sequence[int]) -> CodeDecisions:
        """Give those of some codes, in that order."""
        codes = tuple(self.codes[row] for row in rows)
        calibration = self.calibration and Calibration(
            _picked(self.calibration.scale, rows), _picked(self.calibration.shift, rows)
        )
        points = {
            name: dataclasses.replace(
                point,
                thresholds=_picked(point.thresholds, rows),
                codes={code: point.codes[code] for code in codes},
            )
            for name, point in self.points.items()
        }
        return CodeDecisions(codes, _picked(self.thresholds, rows), calibration, points)

    def followed_by(self, other: CodeDecisions) -> CodeDecisions:
        """Give these, then the others', in the points that these have.

        What is expected over all pairs stays what it is for these.
        """
        calibration = None
        if self.calibration is not None or other.calibration is not None:
            first, second = (one.calibration or _identity(one.thresholds) for one in (self, other))
            calibration = Calibration(first.scale + second.scale, first.shift + second.shift)
        points = {
            name: dataclasses.replace(
                point,
                thresholds=point.thresholds + other.points[name].thresholds,
                codes=point.codes | other.points[name].codes,
            )
            for name, point in self.points.items()
        }
        return CodeDecisions(
            self.codes + other.codes, self.thresholds + other.thresholds, calibration, points
        )

    def with_rows_of(self, former: CodeDecisions, codes: Sequence[str]) -> CodeDecisions:
        """Give these, but for some codes what was decided before; both have the same codes."""
        chosen = [code in codes for code in self.codes]
        calibration = self.calibration
        if calibration is not None and any(chosen):
            other = former.calibration or _identity(former.thresholds)
            calibration = Calibration(
                _either(chosen, other.scale, calibration.scale),
                _either(chosen, other.shift, calibration.shift),
            )
        points = {}
        for name, point in self.points.items():
            before = former.points.get(name)
            if before is not None:
                thresholds = _either(chosen, before.thresholds, point.thresholds)
                expected = point.codes | {code: before.codes[code] for code in codes}
                point = dataclasses.replace(point, thresholds=thresholds, codes=expected)
            points[name] = point
        balanced = _either(chosen, former.thresholds, self.thresholds)
        if BALANCED in points:
            balanced = points[BALANCED].thresholds
        return CodeDecisions(self.codes, balanced, calibration, points)

    def of_unread_codes(self, codes: Sequence[str], balanced: Sequence[float]) -> CodeDecisions:
        """Give decisions of other codes, known by their definitions alone.

        Their points lie as far apart as these codes' do.

        Parameters
        ----------
        codes
            Their ids.
        balanced
            For each polarity, their threshold at the balanced point.
        """
        nothing = Expectation(None, None, 0)
        points = {}
        for name in POINT_NAMES:
            row = tuple(round(float(value), 6) for value in expit(logit(balanced) + self._distance(name)))
            points[name] = OperatingPoint((row,) * len(codes), nothing, dict.fromkeys(codes, nothing))
        return CodeDecisions(tuple(codes), points[BALANCED].thresholds, None, points)

    def usual_thresholds(self) -> dict[PointName, float]:
        """Give the median threshold of each point over the codes."""
        return {name: float(np.median(point.thresholds)) for name, point in self.points.items() if self.codes}

    def with_new_codes(self, found: Mapping[int, NewCodeDecision]) -> CodeDecisions:
        """Give these, but for the codes at some places what their examples decided."""
        if not found:
            return self
        width = len(self.thresholds[0])
        scale, shift = (list(rows) for rows in dataclasses.astuple(_identity(self.thresholds)))
        for place, one in found.items():
            scale[place], shift[place] = ((round(value, 6),) * width for value in (one.scale, one.shift))
        points = {}
        for name, point in self.points.items():
            rows, codes = list(point.thresholds), dict(point.codes)
            for place, one in found.items():
                rows[place] = (round(one.thresholds[name], 6),) * width
                codes[self.codes[place]] = one.expected[name]
            points[name] = dataclasses.replace(point, thresholds=tuple(rows), codes=codes)
        calibration = Calibration(tuple(scale), tuple(shift))
        return CodeDecisions(self.codes, points[BALANCED].thresholds, calibration, points)

    def _distance(self, name: PointName) -> float:
        """Give how far a point's thresholds lie from the balanced ones, in logits: the median over codes."""
        if name not in self.points or name == BALANCED or not self.codes:
            return 0.0
        return float(np.median(logit(self.points[name].thresholds) - logit(self.thresholds)))

    def put(self, description: ModelDescription, blocks: tuple[int, ...] = ()) -> ModelDescription:
        """Give a model's description with these codes and decisions."""
        return dataclasses.replace(
            description,
            codes=self.codes,
            thresholds=self.thresholds,
            calibration=self.calibration,
            operating_points=self.points,
            blocks=blocks,
        )


def _picked(values: Rows, rows: Sequence[int]) -> Rows:
    return tuple(values[row] for row in rows)


def _either(chosen: Sequence[bool], yes: Rows, no: Rows) -> Rows:
    return tuple(a if own else b for own, a, b in zip(chosen, yes, no, strict=True))


def _identity(like: Rows) -> Calibration:
    return Calibration(tuple((1.0,) * len(row) for row in like), tuple((0.0,) * len(row) for row in like))
