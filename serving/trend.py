"""The metric and its causes over time: a ranking for each week, or for each month where weeks are many."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.mentions import ScoredResponses
from model.periods import MONTH, WEEK
from model.ranking import Ranking, RootCause
from model.root_causes import rank_by_segment

MOST_PERIODS = 26
"""Weeks that are drawn; where there are more, months are, the latest of them."""

_NAMED = re.compile(r"\d{4}-\d{2}(-\d{2})?")  # a column that a file calls its week may hold anything


@dataclass(frozen=True, eq=False)
class Trend:
    """Rankings of consecutive periods.

    Attributes
    ----------
    period
        ``week`` or ``month``.
    rankings
        From each period with responses, such as ``2026-04-06`` or ``2026-04``, to its ranking; sorted.
    """

    period: str
    rankings: Mapping[str, Ranking]

    @classmethod
    def of(cls, responses: ScoredResponses, codes: Sequence[str] | None = None) -> Trend | None:
        """Rank the responses of each period; None where fewer than two have any.

        Parameters
        ----------
        responses
            All scored responses, with the segments that `model.periods.with_periods` adds.
        codes
            Codes to list even where nobody mentions them.
        """
        for period in (WEEK, MONTH):
            values = responses.segments.get(period, ())
            found = sorted({value for value in values if _NAMED.fullmatch(value)})
            if len(found) < 2 or (period == WEEK and len(found) > MOST_PERIODS):
                continue
            drawn = set(found[-MOST_PERIODS:])
            ranked = rank_by_segment(
                responses.subset([value in drawn for value in values]), period, codes=codes
            )
            return cls(period, {value: one for value, one in ranked.items() if one.metric.n})
        return None

    def of_cause(self, code: str) -> list[tuple[str, RootCause]]:
        """Give a cause's row in each period that has one."""
        return [
            (value, row)
            for value, ranking in self.rankings.items()
            for row in ranking.rows
            if row.code == code
        ]
