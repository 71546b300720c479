"""The comments behind causes: the best few of each code, found in one pass over the tagged responses."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from data.scale import Scale
from data.tags import Evidence, TaggedResponse

QUOTES = 5
"""Comments kept for each cause."""

CUT = "\u2026"


@dataclass(frozen=True, order=True, slots=True)
class Quote:
    """A comment behind a cause; those that lost the most points to it, then the likeliest, come first."""

    lost: float
    probability: float
    place: int  # minus its row, so that the earlier one is the greater
    response: TaggedResponse = field(compare=False)
    evidence: tuple[Evidence, ...] = field(compare=False)

    @property
    def comment(self) -> str:
        """The verbatim."""
        return self.response.response.comment or ""


@dataclass(slots=True)
class Quotes:
    """The best quotes of each code, and the dates of all responses.

    Attributes
    ----------
    scale
        Of the scores.
    first, last
        The dates of the first and of the last response; None without dates.
    """

    scale: Scale
    first: datetime | None = None
    last: datetime | None = None
    _kept: dict[str, list[Quote]] = field(default_factory=dict)
    _held: Counter[str] = field(default_factory=Counter)

    def read(self, rows: Iterable[TaggedResponse]) -> Quotes:
        """Go through tagged responses; a later row replaces an earlier one of its id."""
        for number, row in enumerate(rows):
            moment, key = row.response.responded_at, row.response.response_id
            if moment is not None:
                self.first = moment if self.first is None else min(self.first, moment)
                self.last = moment if self.last is None else max(self.last, moment)
            if key in self._held:
                self._drop(key)
            self._offer(row, number)
        return self

    def of(self, code: str) -> list[Quote]:
        """Give the quotes of a code (or of ``uncoded``), best first."""
        return sorted(self._kept.get(code, []), reverse=True)

    def __bool__(self) -> bool:
        return any(self._kept.values())

    def _drop(self, key: str) -> None:
        for code, kept in self._kept.items():
            self._kept[code] = [quote for quote in kept if quote.response.response.response_id != key]
            heapq.heapify(self._kept[code])
        del self._held[key]

    def _offer(self, row: TaggedResponse, number: int) -> None:
        response = row.response
        if response.score is None or not response.comment or row.status == "error" or response.weight <= 0:
            return
        loss = float(self.scale.loss([response.score])[0])
        causes = sorted({tag.code for tag in row.tags if tag.polarity != "positive"})
        if not loss:
            return
        for code in causes or ["uncoded"]:
            tags = [tag for tag in row.tags if tag.code == code and tag.polarity != "positive"]
            likely = max((tag.probability for tag in tags), default=0.0)
            evidence = tuple(part for tag in tags for part in tag.evidence)
            self._hold(code, Quote(loss / max(1, len(causes)), likely, -number, row, evidence))

    def _hold(self, code: str, quote: Quote) -> None:
        kept = self._kept.setdefault(code, [])
        self._held[quote.response.response.response_id] += 1
        if len(kept) < QUOTES:
            heapq.heappush(kept, quote)
            return
        gone = heapq.heappushpop(kept, quote).response.response.response_id
        self._held[gone] -= 1
        if not self._held[gone]:
            del self._held[gone]


def marked(comment: str, evidence: Sequence[Evidence]) -> list[tuple[str, bool]]:
    """Cut a comment into parts, each with whether it is evidence; joined they are the comment.

    Parameters
    ----------
    comment
        The verbatim.
    evidence
        Its offsets; they may overlap or lie outside, where they are cut to fit.
    """
    parts: list[tuple[str, bool]] = []
    done = 0
    for start, end in sorted((max(0, part.start), min(len(comment), part.end)) for part in evidence):
        start = max(start, done)
        if start < end:
            parts += [(comment[done:start], False), (comment[start:end], True)]
            done = end
    return [part for part in [*parts, (comment[done:], False)] if part[0]]


def excerpt(quote: Quote, length: int) -> str:
    """Give a comment on one line, cut between words to about ``length`` characters that hold its evidence."""
    comment = quote.comment
    start = min((part.start for part in quote.evidence), default=0)
    start = max(0, min(start, len(comment)))
    before = len(" ".join(comment[:start].split()))
    text = " ".join(comment.split())
    if len(text) <= length:
        return text
    first = 0 if before < length // 2 else max(0, text.rfind(" ", 0, max(1, before - length // 4)) + 1)
    last = len(text) if len(text) - first <= length else text.rfind(" ", first + length // 2, first + length)
    last = first + length if last < 0 else last
    return f"{CUT if first else ''}{text[first:last]}{CUT if last < len(text) else ''}"
