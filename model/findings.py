"""Findings: what stands out among root causes, by segment and over the weeks, beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from model.changes import FEWEST_WEEKS, MOST_WEEKS, Change, Weeks, find_changes
from model.contributions import ELIGIBLE, Contributions
from model.hotspots import MOST_VALUES, Hotspot, find_hotspots, segments_to_search
from model.mentions import LIKELY, ScoredResponses

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
        As `find_hotspots` and `find_changes` give them, less the doubtful ones.
    doubtful
        What these gave besides, and did not give again where only tags count that are likelier right than
        wrong: a difference that hangs on where the model draws the line.
    notes
        Sentences: what the figures mean, what was not searched and why.
    refused
        Why no change over time was looked for, where two models or taxonomy versions tagged the responses;
        else None. It is among the notes too.
    """

    q: float
    hotspots: tuple[Hotspot, ...]
    changes: tuple[Change, ...]
    doubtful: tuple[Hotspot | Change, ...]
    notes: tuple[str, ...]
    refused: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "q": self.q,
            "hotspots": [spot.to_dict() for spot in self.hotspots],
            "changes": [change.to_dict() for change in self.changes],
            "doubtful": [found.to_dict() for found in self.doubtful],
            "notes": list(self.notes),
            "refused": self.refused,
        }


def find_all(responses: ScoredResponses, q: float = 0.10, *, versions: Sequence[str] = ()) -> Findings:
    """Find hotspots and changes.

    What is found among all tags must be found again among the likely ones alone (`ScoredResponses.likely`),
    at the same false discovery rate, or it is doubtful. The second search only takes away, so that no more
    is flagged by chance than the first one allows.

    Parameters
    ----------
    responses
        All scored responses, as `find_changes` takes them.
    q
        The false discovery rate, between 0 and 1.
    versions
        What tagged the responses, where known. If there are several, no change over the weeks is looked
        for: a change of the model would look like a change of customers.
    """
    refused = refusal(versions)
    hotspots = find_hotspots(responses, q=q)
    changes = [] if refused else find_changes(responses, q=q)
    again_spots, again_changes = hotspots, changes
    if responses.doubtful.any() and (hotspots or changes):
        likely = responses.likely()
        again_spots = find_hotspots(likely, q=q) if hotspots else []
        again_changes = find_changes(likely, q=q) if changes else []
    places = {(spot.code, spot.segment, spot.value) for spot in again_spots}
    held_spots = [spot for spot in hotspots if (spot.code, spot.segment, spot.value) in places]
    held_changes = [one for one in changes if any(_alike(one, other) for other in again_changes)]
    found: list[Hotspot | Change] = [*hotspots, *changes]
    held: list[Hotspot | Change] = [*held_spots, *held_changes]
    doubtful = tuple(one for one in found if one not in held)
    notes = _notes(responses, bool(hotspots or changes), q, refused is None)
    if doubtful:
        notes.insert(0, _doubt(len(doubtful)))
    if refused:
        notes.append(refused)
    return Findings(q, tuple(held_spots), tuple(held_changes), doubtful, tuple(notes), refused)


def refusal(versions: Sequence[str]) -> str | None:
    """Say why changes over time are not looked for; None where one version tagged all responses.

    Parameters
    ----------
    versions
        What tagged the responses, in any order, repeated or not.
    """
    known = sorted(set(versions))
    if len(known) < 2:
        return None
    return (
        f"The tags are by {', '.join(known[:-1])} and {known[-1]}: a change of the model would look like a "
        "change of customers, so no change over time was looked for, and a hotspot may be the model's where "
        "segments differ in it."
    )


def _alike(one: Change, other: Change) -> bool:
    """Tell whether two changes of a code go the same way, and have a week in common."""
    if (one.code, one.direction) != (other.code, other.direction):
        return False
    endless = date.max.isoformat()
    return one.start_week <= (other.end_week or endless) and other.start_week <= (one.end_week or endless)


def _doubt(count: int) -> str:
    which = "One difference is" if count == 1 else f"{count} differences are"
    return (
        f"{which} not flagged but doubtful: found among all tags, and not among those that are likelier "
        f"right than wrong (a probability of {LIKELY:g} or more). Read the comments before believing it."
    )


def _notes(responses: ScoredResponses, any_found: bool, q: float, over_time: bool) -> list[str]:
    weeks, (searched, left_out) = Weeks.of(responses), segments_to_search(responses)
    notes = []
    if any_found:
        notes += [
            "Points lost are associated with a cause: nothing here says what brought a difference about.",
            "They are by the model's codes, not corrected for its errors.",
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
    return notes + (_time_notes(weeks) if over_time else [])


def _time_notes(weeks: Weeks) -> list[str]:
    notes = []
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
