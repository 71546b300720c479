"""Root causes of what the store holds, ranked when asked and kept until the store changes."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError, NotFoundError
from data.scale import Scale
from data.store import Store, StoreError
from data.tags import TaggedResponse
from data.taxonomy import ReasonCode, Taxonomy
from model.findings import find_all
from model.mentions import ScoredResponses
from model.periods import with_periods
from model.provenance import Provenance, Version
from model.root_causes import rank_by_segment, rank_root_causes
from model.segment_cells import segment_cells
from serving.periods import DERIVED

KEPT = 64
"""Rankings kept: a page asks for a handful of them again and again."""

_EPOCH = datetime(1970, 1, 1).toordinal()

BUCKET_LABELS = {"uncoded": "No reason code", "no_comment": "No comment"}


@dataclass(frozen=True, slots=True)
class RankingFilter:
    """Which responses a ranking is of: all that meet every condition that is set.

    Attributes
    ----------
    segment
        ``name:value``.
    since, until
        Responded at or after the first, and before the second.
    """

    segment: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The store at one version, as arrays.

    Attributes
    ----------
    moments
        When each scored response was given, shape (n,), NaT where unknown.
    unscored
        Date and segments of each response without a score.
    versions
        What tagged the comments of scored responses, in words, sorted.
    derived
        The segments among the others that were made from dates.
    provenance
        When each scored response was given, and which model read it.
    """

    version: int
    responses: ScoredResponses
    moments: NDArray[np.datetime64]
    unscored: tuple[tuple[datetime | None, Mapping[str, str]], ...]
    models: Mapping[str, int]
    versions: tuple[str, ...]
    derived: tuple[str, ...]
    provenance: Provenance


class StoredRanking:
    """Ranks the root causes of the responses in a store.

    Arrays and rankings are kept until the store's version changes. It may be used from many threads.

    Parameters
    ----------
    store
        The responses.
    scale
        The declared scale of their scores.
    """

    def __init__(self, store: Store, scale: Scale) -> None:
        self._store, self._scale = store, scale
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._kept: OrderedDict[tuple[object, ...], dict[str, Any]] = OrderedDict()

    def rank(
        self, wanted: RankingFilter, by: str | None = None, taxonomy: Taxonomy | None = None
    ) -> dict[str, Any]:
        """Rank the root causes of some responses and, on request, of each value of a segment.

        Parameters
        ----------
        wanted
            Which responses.
        by
            The segment to group by.
        taxonomy
            Lists codes that nobody mentions, and labels all; ids are made readable without it.

        Returns
        -------
        dict
            As `serving.schemas.RootCausesReply` describes it.

        Raises
        ------
        NotFoundError
            If there is no such segment.
        InputError
            If the filter cannot be understood, or the segment has too many values to rank by.
        """
        now = self._current()
        key = ("ranking", now.version, wanted, by, _named(taxonomy))
        return self._kept_or_made(key, lambda: _rank(now, wanted, by, taxonomy))

    def findings(self, taxonomy: Taxonomy | None = None) -> dict[str, Any]:
        """Find hotspots and changes among all responses.

        Parameters
        ----------
        taxonomy
            Labels the codes; ids are made readable without it.

        Returns
        -------
        dict
            As `serving.schemas.FindingsReply` describes it.
        """
        now = self._current()
        return self._kept_or_made(("findings", now.version, _named(taxonomy)), lambda: _find(now, taxonomy))

    def made(self, key: tuple[object, ...], make: Callable[[Snapshot], dict[str, Any]]) -> dict[str, Any]:
        """Give what is made from all responses, once for each key until the store changes."""
        now = self._current()
        return self._kept_or_made((now.version, *key), lambda: make(now))

    def derived_segments(self) -> dict[str, list[str]]:
        """Give the values of `DERIVED` segments among all responses, sorted."""
        now = self._current()
        return {name: [value for value in _values(now, name) if value] for name in now.derived}

    def _kept_or_made(self, key: tuple[object, ...], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()  # outside the lock: a long one holds up nobody else
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made

    def _current(self) -> Snapshot:
        version = self._store.version()
        with self._lock:  # one thread reads the store; the others wait for what it finds
            if self._snapshot is None or self._snapshot.version < version:
                self._snapshot = _take(self._store, self._scale)
                self._kept.clear()
            return self._snapshot


def _take(store: Store, scale: Scale) -> Snapshot:
    version = store.version()  # before reading: what is written meanwhile makes it stale, never wrong
    moments: dict[str, datetime] = {}
    unscored: list[tuple[datetime | None, Mapping[str, str]]] = []
    models: Counter[str] = Counter()
    versions: dict[Version, int] = {}
    of_scored: set[Version] = set()
    readers: dict[str, int] = {}

    def rows() -> Iterator[TaggedResponse]:
        for row in with_periods(store.tagged(texts=False)):
            response, moment = row.response, row.response.responded_at
            models[row.model or "unknown"] += 1
            if row.status != "no_comment":
                version = Version(row.model, row.taxonomy_version)
                readers[response.response_id] = versions.setdefault(version, len(versions))
            if moment is not None:
                moments[response.response_id] = moment.replace(tzinfo=None)
            if response.score is None:
                unscored.append((moment, response.segments))
            elif row.status != "no_comment":  # which every model reads alike
                of_scored.add(Version(row.model, row.taxonomy_version))
            yield row

    try:
        responses = ScoredResponses.from_tagged(rows(), scale)
    except InputError as error:
        raise StoreError(
            f"the store holds other scores ({error.message}); set WHYSCORE_SCALE to the scale of its scores"
        ) from error
    when = np.array([moments.get(name) for name in responses.response_ids], dtype="datetime64[us]")
    day = np.where(np.isnat(when), 0, when.astype("datetime64[D]").astype(np.int64) + _EPOCH)
    reader = np.array([readers.get(name, -1) for name in responses.response_ids], dtype=np.int64)
    provenance = Provenance(day, reader, tuple(versions))
    derived = tuple(name for name in DERIVED if name in responses.segments and not store.has_segment(name))
    return Snapshot(
        version=version,
        responses=responses,
        moments=when,
        unscored=tuple(unscored),
        models=dict(models),
        versions=tuple(sorted(map(str, of_scored))),
        derived=derived,
        provenance=provenance,
    )


def _values(now: Snapshot, name: str) -> list[str]:
    unscored = (segments.get(name, "") for _, segments in now.unscored)
    return sorted({*now.responses.segments[name], *unscored})


def _rank(now: Snapshot, wanted: RankingFilter, by: str | None, taxonomy: Taxonomy | None) -> dict[str, Any]:
    if by is not None and by not in now.responses.segments:
        raise no_segment(by, "by")
    responses = _filtered(now, wanted, by)
    codes = [] if taxonomy is None else list(taxonomy.active)
    reply = rank_root_causes(responses, codes=codes).to_dict()
    listed = [row["code"] for row in (*reply["rows"], *reply["parents"])]
    groups = cells = None
    if by is not None:
        groups = {value: ranking.to_dict() for value, ranking in rank_by_segment(responses, by).items()}
        cells = segment_cells(responses, by).to_dict()
    return reply | {
        "labels": labels_of(listed, taxonomy) | BUCKET_LABELS,
        "models": dict(now.models),
        "versions": list(now.versions),
        **_dates(now, wanted),
        "by": by,
        "groups": groups,
        "cells": cells,
    }


def _find(now: Snapshot, taxonomy: Taxonomy | None) -> dict[str, Any]:
    found = find_all(now.responses, versions=now.versions)
    codes = sorted({one.code for one in (*found.hotspots, *found.changes, *found.doubtful)})
    return found.to_dict() | {"versions": list(now.versions), "labels": labels_of(codes, taxonomy)}


def labels_of(codes: Iterable[str], taxonomy: Taxonomy | None) -> dict[str, str]:
    """Give the label of each code, parent or bucket; ids are made readable without a taxonomy."""
    label = (lambda code: ReasonCode(id=code).name) if taxonomy is None else taxonomy.label
    return {code: label(code) for code in codes}


def _named(taxonomy: Taxonomy | None) -> tuple[str, int] | None:
    return None if taxonomy is None else (taxonomy.name, taxonomy.version)


def selected(
    now: Snapshot, wanted: RankingFilter
) -> tuple[NDArray[np.bool_], list[tuple[datetime | None, Mapping[str, str]]]]:
    """Give which scored responses meet a filter, shape (n,), and those without a score that do."""
    mask = np.ones(now.responses.n, dtype=np.bool_)
    left_out = list(now.unscored)
    if wanted.segment is not None:
        name, value = split_segment(wanted.segment, now.responses.segments.__contains__)
        mask &= np.asarray(now.responses.segments[name] == value, dtype=np.bool_)
        left_out = [row for row in left_out if row[1].get(name, "") == value]
    for bound, sign in ((wanted.since, 1), (wanted.until, -1)):
        if bound is not None:
            limit = np.datetime64(bound.astimezone(UTC).replace(tzinfo=None), "us")
            mask &= now.moments >= limit if sign > 0 else now.moments < limit
            left_out = [row for row in left_out if row[0] is not None and (row[0] >= bound) == (sign > 0)]
    return mask, left_out


def _dates(now: Snapshot, wanted: RankingFilter) -> dict[str, str | None]:
    """Give when the first and the last response that meets a filter was given."""
    mask, left_out = selected(now, wanted)
    given = now.moments[mask & ~np.isnat(now.moments)]
    moments = [moment for moment, _ in left_out if moment is not None]
    if given.size:
        moments += [bound.astype(datetime).replace(tzinfo=UTC) for bound in (given.min(), given.max())]
    if not moments:
        return {"from": None, "to": None}
    return {"from": min(moments).isoformat(), "to": max(moments).isoformat()}


def _filtered(now: Snapshot, wanted: RankingFilter, by: str | None) -> ScoredResponses:
    """Give the responses that meet a filter, and the counts of those that do without a score."""
    if wanted == RankingFilter():
        return now.responses
    mask, left_out = selected(now, wanted)
    found = now.responses.subset(mask, unscored=len(left_out))
    if by is None:
        return found
    return replace(found, unscored_by={by: dict(Counter(segments.get(by, "") for _, segments in left_out))})


def split_segment(text: str, known: Callable[[str], bool]) -> tuple[str, str]:
    """Split ``name:value`` where the name is a known segment; names may hold colons.

    Raises
    ------
    InputError
        If there is no colon.
    NotFoundError
        If no part before a colon is a known segment.
    """
    places = [place for place, char in enumerate(text) if char == ":"]
    if not places:
        raise InputError("a segment is given as name:value", column="segment")
    for place in places:
        if known(text[:place]):
            return text[:place], text[place + 1 :]
    raise no_segment(text[: places[0]], "segment")


def no_segment(name: str, parameter: str) -> NotFoundError:
    """Give the error of a segment that is not there."""
    return NotFoundError(f"there is no segment '{name}'; GET /v1/segments lists them", column=parameter)
