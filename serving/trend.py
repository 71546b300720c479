"""The metric and its causes over time: a ranking for each week, or for each month where weeks are many."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.mentions import ScoredResponses
from model.periods import MONTH, WEEK
from model.provenance import Provenance
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
    versions
        What tagged each period's comments, where known.
    """

    period: str
    rankings: Mapping[str, Ranking]
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        responses: ScoredResponses,
        codes: Sequence[str] | None = None,
        provenance: Provenance | None = None,
    ) -> Trend | None:
        """Rank the responses of each period; None where fewer than two have any.

        Parameters
        ----------
        responses
            All scored responses, with the segments that `model.periods.with_periods` adds.
        codes
            Codes to list even where nobody mentions them.
        provenance
            What tagged the responses.
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
            rankings = {value: one for value, one in ranked.items() if one.metric.n}
            return cls(period, rankings, _versions(responses, period, rankings, provenance))
        return None

    def is_mixed(self, value: str) -> bool:
        """Tell whether two models tagged a period: then there is no figure for a cause in it."""
        return len(self.versions.get(value, ())) > 1

    def of_cause(self, code: str) -> list[tuple[str, RootCause]]:
        """Give a cause's row in each period that has one, those left out that two models tagged."""
        return [
            (value, row)
            for value, ranking in self.rankings.items()
            if not self.is_mixed(value)
            for row in ranking.rows
            if row.code == code
        ]

    def notes(self) -> list[str]:
        """Say where what tags the responses changes; nothing where one model tagged all of them."""
        mixed = [value for value in self.rankings if self.is_mixed(value)]
        notes = []
        if mixed:
            some = f"{', '.join(mixed[:5])}{' and others' if len(mixed) > 5 else ''}"
            notes.append(f"Two models tagged the {self.period} of {some}, so causes have no figure there.")
        told: tuple[str, ...] = ()
        for value in self.rankings:
            found = self.versions.get(value, ())
            if told and found and found != told:
                notes.append(
                    f"From {value} on the tags are by {' and '.join(found)}, before by {' and '.join(told)}: "
                    "a change there may be the model's."
                )
            told = found or told
        return notes


def _versions(
    responses: ScoredResponses, period: str, values: Iterable[str], known: Provenance | None
) -> dict[str, tuple[str, ...]]:
    if known is None:
        return {}
    held = responses.segments[period]
    parts = {value: np.asarray(held == value, dtype=np.bool_) for value in values}
    return {value: tuple(map(str, known.versions_in(part))) for value, part in parts.items()}
