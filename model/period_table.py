"""Points lost by period and cause, each with the interval that a ranking of the period alone would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.group_sums import counts_by, sums_by, sums_by_pair
from model.hierarchy import Hierarchy
from model.loss_shares import LossShares, column_names
from model.mentions import ScoredResponses
from model.points_lost import ROUNDING, mean_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PeriodTable:
    """Points lost in each of p periods to each of the k columns of `column_names`.

    Attributes
    ----------
    means, low, high, errors
        Points lost, their intervals and standard errors, shape (p, k) each; NaN where there is no response,
        and all but the means where there is one respondent.
    mentions
        Responses that mention the column, shape (p, k).
    people
        Distinct people who do, over all periods, shape (k,).
    """

    means: Floats
    low: Floats
    high: Floats
    errors: Floats
    mentions: Ints
    people: Ints

    @classmethod
    def of(
        cls, responses: ScoredResponses, hierarchy: Hierarchy, period: Ints, periods: int, level: float
    ) -> PeriodTable:
        """Sum the contributions by period.

        Parameters
        ----------
        responses
            n scored responses.
        hierarchy
            Holds their codes.
        period
            The period of each response, shape (n,); -1 for those to leave out.
        periods
            The number of periods, p.
        level
            The confidence level of the intervals, between 0 and 1.
        """
        k = len(column_names(hierarchy))
        counted = (period >= 0) & (responses.weight > 0)
        people, person = np.unique(responses.respondent, return_inverse=True)
        shares = LossShares.of_responses(responses, hierarchy)
        held = counted[shares.rows]
        row, column = shares.rows[held], shares.columns[held]
        lost = responses.weight[row] * responses.loss[row] * shares.share[held]
        means, errors, effective, behind = _means(
            period[counted],
            person[counted],
            responses.weight[counted],
            (period[row], person[row], column, lost),
            (periods, k),
        )
        bounds = [
            mean_interval(
                means[at],
                errors[at],
                respondents=int(behind[at]),
                effective_n=float(effective[at]),
                worst=100.0 * responses.scale.worst_loss,
                level=level,
            )
            for at in range(periods)
        ]
        low, high = (np.stack(side) for side in zip(*bounds, strict=True))
        distinct = np.unique(column * people.size + person[row]) // people.size
        return cls(
            means=means,
            low=low,
            high=high,
            errors=errors,
            mentions=counts_by(period[row] * k + column, periods * k).reshape(periods, k),
            people=counts_by(distinct, k),
        )


def _means(
    period: Ints,
    person: Ints,
    weight: Floats,
    lost: tuple[Ints, Ints, Ints, Floats],
    shape: tuple[int, int],
) -> tuple[Floats, Floats, Floats, Ints]:
    """Give means and standard errors in points, clustered by person (Liang & Zeger 1986).

    Parameters
    ----------
    period, person, weight
        Of each response.
    lost
        Of each mention: its period, person, column and weighted contribution.
    shape
        Periods and columns, (p, k).

    Returns
    -------
    tuple of ndarrays of shape (p, k), (p, k), (p,) and (p,)
        Means, errors, Kish's effective number of people, and people.
    """
    periods, k = shape
    people = int(person.max(initial=-1)) + 1
    cells, cell = np.unique(period * people + person, return_inverse=True)
    of_cell, by_cell = cells // people, sums_by(cell, weight, cells.size)
    at, who, column, value = lost
    owner, columns, summed = sums_by_pair(
        np.searchsorted(cells, at * people + who), column, value[:, None], k
    )
    where, added = of_cell[owner] * k + columns, summed[:, 0]

    def table(values: Floats) -> Floats:
        return sums_by(where, values, periods * k).reshape(periods, k)

    totals, squares, crossed = table(added), table(added**2), table(added * by_cell[owner])
    whole, square = (sums_by(of_cell, by_cell**power, periods)[:, None] for power in (1, 2))
    behind = counts_by(of_cell, periods)
    known = np.where(whole > 0, whole, np.nan)
    mean = totals / known
    variance = squares - 2.0 * mean * crossed + mean**2 * square
    variance[variance <= ROUNDING * (squares + mean**2 * square)] = 0.0
    factor = np.where(behind > 1, behind / np.maximum(1, behind - 1), np.nan)[:, None]
    effective = (known**2 / np.where(square > 0, square, np.nan))[:, 0]
    return 100.0 * mean, 100.0 * np.sqrt(variance * factor) / known, np.nan_to_num(effective), behind
