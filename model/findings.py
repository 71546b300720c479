"""Findings: what stands out among root causes, by segment and over the weeks, beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.changes import FEWEST_WEEKS, MOST_WEEKS, Change, Weeks, find_changes
from model.contributions import ELIGIBLE, Contributions
from model.hotspots import MOST_VALUES, Hotspot, find_hotspots, segments_to_search
from model.mentions import ScoredResponses

__all__ = ["Change", "Findings", "Hotspot", "find_all", "find_changes", "find_hotspots"]


@dataclass(frozen=True)
class Findings:
    """Hotspots and changes, and what must be said beside them.

    Attributes
    ----------
    q
        The false discovery rate, of the hotspots and of the changes each: of those flagged, about this share
        is expected to be chance.
    hotspots, changes
        As `find_hotspots` and `find_changes` give them.
    notes
        Sentences: what the figures mean, what was not searched and why.
    """

    q: float
    hotspots: tuple[Hotspot, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "q": self.q,
            "hotspots": [spot.to_dict() for spot in self.hotspots],
            "changes": [change.to_dict() for change in self.changes],
            "notes": list(self.notes),
        }


def find_all(responses: ScoredResponses, q: float = 0.10, *, versions: Sequence[str] = ()) -> Findings:
    """Find hotspots and changes.

    Parameters
    ----------
    responses
        All scored responses, with the segment ``week`` as `model.periods` gives it.
    q
        The false discovery rate, between 0 and 1.
    versions
        What tagged the responses, where known. If there are several, no change over the weeks is looked
        for: a change of the model would look like a change of customers.
    """
    known = sorted(set(versions))
    hotspots = find_hotspots(responses, q=q)
    changes = [] if len(known) > 1 else find_changes(responses, q=q)
    notes = _notes(responses, bool(hotspots or changes), q)
    if len(known) > 1:
        named = f"{', '.join(known[:-1])} and {known[-1]}"
        notes.append(
            f"The tags are by {named}: a change of the model would look like a change of customers, so no "
            "change over time was looked for, and a hotspot may be the model's where segments differ in it."
        )
    return Findings(q, tuple(hotspots), tuple(changes), tuple(notes))


def _notes(responses: ScoredResponses, any_found: bool, q: float) -> list[str]:
    weeks, (searched, left_out) = Weeks.of(responses), segments_to_search(responses)
    notes = []
    if any_found:
        notes += [
            "Points lost are associated with a cause: nothing here says what brought a difference about.",
            f"Of what is flagged, about {q:.0%} is expected to be chance. "
            "The largest of many were picked, so their sizes tend to be overstated; the intervals are wide "
            "enough for that.",
        ]
    if not Contributions.of(responses).codes:
        notes.append(f"No code is mentioned by {ELIGIBLE} respondents or more, so nothing was compared.")
        return notes
    if not searched:
        notes.append("There is no segment to look for hotspots in.")
    notes += [
        f"'{name}' was not searched for hotspots: it has more than {MOST_VALUES} values or is a measure."
        for name in left_out
    ]
    if weeks.first is None:
        notes.append("The responses have no dates, so no change over time was looked for.")
    elif weeks.found < FEWEST_WEEKS:
        notes.append(
            f"Changes over time are looked for from {FEWEST_WEEKS} weeks with responses on; "
            f"there are {weeks.found}."
        )
    elif weeks.undated:
        notes.append(f"{weeks.undated:,} responses have no date and are left out of changes over time.")
    if weeks.too_old:
        notes.append(
            f"{weeks.too_old:,} responses are older than {MOST_WEEKS} weeks and are left out of changes."
        )
    return notes
