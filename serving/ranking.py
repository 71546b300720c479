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
from model.provenance import Version
from model.root_causes import rank_by_segment, rank_root_causes
from model.segment_cells import segment_cells
from serving.periods import DERIVED

KEPT = 64
"""Rankings kept: a page asks for a handful of them again and again."""

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
class _Snapshot:
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
    """

    version: int
    responses: ScoredResponses
    moments: NDArray[np.datetime64]
    unscored: tuple[tuple[datetime | None, Mapping[str, str]], ...]
    models: Mapping[str, int]
    versions: tuple[str, ...]
    derived: tuple[str, ...]


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
        self._snapshot: _Snapshot | None = None
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

    def _current(self) -> _Snapshot:
        version = self._store.version()
        with self._lock:  # one thread reads the store; the others wait for what it finds
            if self._snapshot is None or self._snapshot.version < version:
                self._snapshot = _take(self._store, self._scale)
                self._kept.clear()
            return self._snapshot


def _take(store: Store, scale: Scale) -> _Snapshot:
    version = store.version()  # before reading: what is written meanwhile makes it stale, never wrong
    moments: dict[str, datetime] = {}
    unscored: list[tuple[datetime | None, Mapping[str, str]]] = []
    models: Counter[str] = Counter()
    versions: set[Version] = set()

    def rows() -> Iterator[TaggedResponse]:
        for row in with_periods(store.tagged(texts=False)):
            response, moment = row.response, row.response.responded_at
            models[row.model or "unknown"] += 1
            if moment is not None:
                moments[response.response_id] = moment.replace(tzinfo=None)
            if response.score is None:
                unscored.append((moment, response.segments))
            elif row.status != "no_comment":  # which every model reads alike
                versions.add(Version(row.model, row.taxonomy_version))
            yield row

    try:
        responses = ScoredResponses.from_tagged(rows(), scale)
    except InputError as error:
        raise StoreError(
            f"the store holds other scores ({error.message}); set WHYSCORE_SCALE to the scale of its scores"
        ) from error
    when = [moments.get(name) for name in responses.response_ids]
    derived = tuple(name for name in DERIVED if name in responses.segments and not store.has_segment(name))
    return _Snapshot(
        version=version,
        responses=responses,
        moments=np.array(when, dtype="datetime64[us]"),
        unscored=tuple(unscored),
        models=dict(models),
        versions=tuple(sorted(map(str, versions))),
        derived=derived,
    )


def _values(now: _Snapshot, name: str) -> list[str]:
    unscored = (segments.get(name, "") for _, segments in now.unscored)
    return sorted({*now.responses.segments[name], *unscored})


def _rank(now: _Snapshot, wanted: RankingFilter, by: str | None, taxonomy: Taxonomy | None) -> dict[str, Any]:
    if by is not None and by not in now.responses.segments:
        raise _no_segment(by, "by")
    responses = _filtered(now, wanted, by)
    codes = [] if taxonomy is None else list(taxonomy.active)
    reply = rank_root_causes(responses, codes=codes).to_dict()
    listed = [row["code"] for row in (*reply["rows"], *reply["parents"])]
    groups = cells = None
    if by is not None:
        groups = {value: ranking.to_dict() for value, ranking in rank_by_segment(responses, by).items()}
        cells = segment_cells(responses, by).to_dict()
    return reply | {
        "labels": _labels(listed, taxonomy) | BUCKET_LABELS,
        "models": dict(now.models),
        "versions": list(now.versions),
        "by": by,
        "groups": groups,
        "cells": cells,
    }


def _find(now: _Snapshot, taxonomy: Taxonomy | None) -> dict[str, Any]:
    found = find_all(now.responses, versions=now.versions)
    codes = sorted({one.code for one in (*found.hotspots, *found.changes, *found.doubtful)})
    return found.to_dict() | {"labels": _labels(codes, taxonomy)}


def _labels(codes: Iterable[str], taxonomy: Taxonomy | None) -> dict[str, str]:
    label = (lambda code: ReasonCode(id=code).name) if taxonomy is None else taxonomy.label
    return {code: label(code) for code in codes}


def _named(taxonomy: Taxonomy | None) -> tuple[str, int] | None:
    return None if taxonomy is None else (taxonomy.name, taxonomy.version)


def _filtered(now: _Snapshot, wanted: RankingFilter, by: str | None) -> ScoredResponses:
    """Give the responses that meet a filter, and the counts of those that do without a score."""
    if wanted == RankingFilter():
        return now.responses
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
    raise _no_segment(text[: places[0]], "segment")


def _no_segment(name: str, parameter: str) -> NotFoundError:
    return NotFoundError(f"there is no segment '{name}'; GET /v1/segments lists them", column=parameter)
