"""Adjusted effects (section C of the definition): what a code goes with, the other codes held equal.

``A_t = 100 * pi_t * beta_t``: beta comes from least squares of ``y = 1 - loss`` on all eligible codes, the
segments and the month; pi is the share of responses that mention the code. It is a second opinion beside the
leave-one-out impact: where the two differ in sign, the scores of a code's comments come from what else they
mention, or from who writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cause_regression import CauseRegression, Estimate
from model.control_columns import ControlColumns
from model.mentions import ScoredResponses
from model.ranking import Ranking

Bools = NDArray[np.bool_]

MOST_CELLS = 20_000_000
"""Responses times columns of the regression, such as 250,000 times 80; it takes up to 1 GB. Of more responses
a random sample of respondents is used: at that size the widest intervals span about 0.3 points."""

_OF_ALL = ("promoters_not_tagged", "all_in_one_class")


@dataclass(frozen=True)
class AdjustedEffect:
    """The adjusted effect of an eligible code, in points.

    Attributes
    ----------
    code
        The code's id.
    value, se, low, high
        Below 0 where the code goes with lower scores, all else in the regression equal; None where
        undefined, and `reason` says why.
    impact
        The leave-one-out impact beside which it stands.
    disagrees
        Whether the two differ in sign; None where either is missing.
    reason
        ``promoters_not_tagged``, ``all_in_one_class``, ``mentioned_by_all``, ``too_few``, ``collinear``,
        or None.
    """

    code: str
    value: float | None
    se: float | None
    low: float | None
    high: float | None
    impact: float | None
    disagrees: bool | None
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class AdjustedEffects:
    """The adjusted effects of all eligible codes, in the order of their ranking.

    Attributes
    ----------
    rows
        One for each eligible code.
    n, respondents
        Responses (of weight above 0) in the regression and the people behind them; 0 without one.
    controls
        The segments in it.
    level
        The confidence level.
    notes
        Sentences that belong beside the figures.
    """

    rows: tuple[AdjustedEffect, ...]
    n: int
    respondents: int
    controls: tuple[str, ...]
    level: float
    notes: tuple[str, ...]

    def of(self, code: str) -> AdjustedEffect | None:
        """Give the row of a code; None where it is not eligible."""
        return next((row for row in self.rows if row.code == code), None)

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "rows": [row.to_dict() for row in self.rows],
            "n": self.n,
            "respondents": self.respondents,
            "controls": list(self.controls),
            "level": self.level,
            "notes": list(self.notes),
        }


def adjusted_effects(
    responses: ScoredResponses,
    ranking: Ranking,
    *,
    controls: Sequence[str] | None = None,
    most_cells: int = MOST_CELLS,
    seed: int = 0,
) -> AdjustedEffects:
    """Estimate the adjusted effect of every eligible code of a ranking.

    See `model.cause_regression` for the regression and its intervals.

    Parameters
    ----------
    responses
        All scored responses.
    ranking
        Their ranking: it tells the eligible codes, their order, their leave-one-out impacts, whether
        promoters were tagged, and the confidence level.
    controls
        Segments to hold equal; by default as `ControlColumns.of` chooses them.
    most_cells
        Responses times columns above which a random sample of respondents is used.
    seed
        Of that sample.
    """
    eligible = [row for row in ranking.rows if row.status == "eligible"]
    codes = [row.code for row in eligible]
    whole = next((row.impact.reason for row in eligible if row.impact.reason in _OF_ALL), None)
    if not eligible or whole is not None:
        return _collected(ranking, [Estimate(reason=whole)] * len(codes), 0, 0, (), [])
    counted = responses.subset(responses.weight > 0)
    columns = ControlColumns.of(counted, len(codes), controls)
    sample = _sample(counted, most_cells // (len(codes) + columns.width), seed)
    notes = [f"'{name}' was left out of the regression: it has too many values." for name in columns.left_out]
    if sample is not None:
        notes.append(f"A random sample of {int(sample.sum()):,} of {counted.n:,} responses was used.")
        counted, columns = counted.subset(sample), columns.subset(sample)
    fit = CauseRegression.of(counted, codes, columns)
    found = [fit.estimate(column, ranking.level) for column in range(len(codes))]
    return _collected(ranking, found, counted.n, fit.by_person.size, columns.names, notes)


def _sample(responses: ScoredResponses, most: int, seed: int) -> Bools | None:
    """Draw respondents where there are more responses than wanted; None where there are not."""
    if responses.n <= most:
        return None
    people, person = np.unique(responses.respondent, return_inverse=True)
    drawn: Bools = np.random.default_rng(seed).random(people.size) < most / responses.n
    return drawn[person]


def _collected(
    ranking: Ranking,
    found: Sequence[Estimate],
    n: int,
    respondents: int,
    controls: Sequence[str],
    notes: Sequence[str],
) -> AdjustedEffects:
    """Put the estimates beside the ranking's impacts."""
    eligible = [row for row in ranking.rows if row.status == "eligible"]
    rows = []
    for cause, one in zip(eligible, found, strict=True):
        impact = cause.impact.value
        differ = None if one.value is None or impact is None else one.value * impact < 0
        rows.append(
            AdjustedEffect(cause.code, one.value, one.se, one.low, one.high, impact, differ, one.reason)
        )
    said = ["The adjusted effects hold the other causes, the segments and the month equal; they do not sum."]
    if any(row.disagrees for row in rows):
        said.append(
            "Where the adjusted effect and the impact differ in sign, the scores of a cause's comments come "
            "with what else they mention or with who writes them: look before you conclude."
        )
    return AdjustedEffects(tuple(rows), n, respondents, tuple(controls), ranking.level, (*said, *notes))
