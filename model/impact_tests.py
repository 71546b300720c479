"""Which causes go with lower scores beyond chance: the leave-one-out impacts that are below 0.

References
----------
Benjamini, Y. & Yekutieli, D. (2001). The control of the false discovery rate in multiple testing under
dependency. Annals of Statistics 29(4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scipy.special import stdtr

from model.cause_figures import CauseFigures
from model.false_discovery import q_values
from model.ranking import RootCause

IMPACT_Q = 0.10
"""The false discovery rate of what is flagged."""


def with_flags(rows: Sequence[RootCause], columns: Sequence[int], figures: CauseFigures) -> list[RootCause]:
    """Flag the impacts below 0, over the eligible ones of these rows.

    The test is that of the interval: the impact over its error by Student's t, two-sided. An impact that is
    not below 0 enters as p = 1. Codes share comments, so that impacts may depend on each other in any way:
    hence the step-up of Benjamini & Yekutieli.

    Parameters
    ----------
    rows, columns
        The causes that are tested together, and their columns in `figures`.
    figures
        What they come from.
    """
    p_values: dict[int, float] = {}
    for place, (row, column) in enumerate(zip(rows, columns, strict=True)):
        value, error = row.impact.value, row.impact.se
        if row.status != "eligible" or value is None or error is None or error <= 0:
            continue
        tail = float(stdtr(figures.impact_freedom(column), -abs(value) / error))
        p_values[place] = 2.0 * tail if value < 0 else 1.0
    found = list(rows)
    rates = q_values(list(p_values.values()), "by").tolist()
    for (place, p_value), rate in zip(p_values.items(), rates, strict=True):
        impact = replace(found[place].impact, p_value=p_value, q_value=rate, flagged=rate <= IMPACT_Q)
        found[place] = replace(found[place], impact=impact)
    return found
