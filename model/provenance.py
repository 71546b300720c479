"""When each response was given and which model read it: what a comparison over time must know besides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.scale import Scale
from data.tags import TaggedResponse
from model.mentions import ScoredResponses
from model.periods import Span, day_of

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Version(NamedTuple):
    """What tagged a response: a model such as ``reason-codes/7``, and its taxonomy's version."""

    model: str | None
    taxonomy: int | None

    def __str__(self) -> str:
        """Give it in words."""
        name = self.model or "an unnamed model"
        return name if self.taxonomy is None else f"{name} (taxonomy {self.taxonomy})"


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where each of n scored responses comes from.

    Attributes
    ----------
    day
        The day's number since 1 January of year 1 (`datetime.date.toordinal`), in UTC; 0 where a response
        has no time. Shape (n,).
    version
        The position in `versions` of what tagged it; -1 where there is no comment, which every model
        reads alike. Shape (n,).
    versions
        What tagged the responses.
    """

    day: Ints
    version: Ints
    versions: tuple[Version, ...]

    @property
    def undated(self) -> int:
        """Scored responses without a time."""
        return int((self.day == 0).sum())

    def days(self) -> tuple[date, date] | None:
        """Give the first and the last day with a response; None where no response has a time."""
        dated = self.day[self.day > 0]
        if not dated.size:
            return None
        return date.fromordinal(int(dated.min())), date.fromordinal(int(dated.max()))

    def within(self, span: Span) -> Bools:
        """Tell which responses lie in a span of days, shape (n,)."""
        inside: Bools = (self.day >= span.first.toordinal()) & (self.day <= span.last.toordinal())
        return inside

    def versions_in(self, mask: Bools) -> list[Version]:
        """Give what tagged the comments of some responses, `mask` of shape (n,)."""
        return [self.versions[place] for place in np.unique(self.version[mask]).tolist() if place >= 0]

    def names(self) -> list[str]:
        """Give what tagged the comments of all scored responses, in words."""
        return [str(version) for version in self.versions_in(np.ones(self.version.size, dtype=np.bool_))]


def read_scored(
    rows: Iterable[TaggedResponse], scale: Scale, *, file: str | Path | None = None
) -> tuple[ScoredResponses, Provenance]:
    """Build scored responses as `ScoredResponses.from_tagged` does, and note where each comes from.

    Parameters
    ----------
    rows
        In the order of their file; may be a stream.
    scale
        The declared scale.
    file
        Where they come from, for error messages.

    Raises
    ------
    InputError
        As `ScoredResponses.from_tagged`, and where no row has a score.
    """
    responses, provenance = scored_with_origin(rows, scale, file=file)
    if not responses.n:
        raise InputError("no row has a score", file=file, column="score")
    return responses, provenance


def scored_with_origin(
    rows: Iterable[TaggedResponse], scale: Scale, *, file: str | Path | None = None
) -> tuple[ScoredResponses, Provenance]:
    """Do what `read_scored` does, also where no row has a score."""
    origin: dict[str, tuple[int, int]] = {}
    versions: dict[Version, int] = {}

    def noted() -> Iterator[TaggedResponse]:
        for row in rows:
            moment = row.response.responded_at
            version = Version(row.model, row.taxonomy_version)
            place = -1 if row.status == "no_comment" else versions.setdefault(version, len(versions))
            origin[row.response.response_id] = (0 if moment is None else day_of(moment).toordinal(), place)
            yield row

    responses = ScoredResponses.from_tagged(noted(), scale, file=file)
    found = np.array([origin[name] for name in responses.response_ids], dtype=np.int64).reshape(-1, 2)
    return responses, Provenance(found[:, 0], found[:, 1], tuple(versions))
