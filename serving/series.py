"""The metric and causes of what the store holds over time and by segment."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from data.errors import InputError
from data.taxonomy import Taxonomy
from model.hotspots import find_hotspots
from model.mentions import MAX_SEGMENT_VALUES, ScoredResponses
from model.metric import LossSums, measure
from model.periods import Unit
from model.provenance import Provenance
from model.trends import find_periods, find_trends
from serving.ranking import RankingFilter, Snapshot, labels_of, no_segment, selected

LEVEL = 0.95
_EMPTY = "No scored response has a time, so there is nothing to follow."


def measure_metric(
    now: Snapshot, wanted: RankingFilter, by: str | None = None, period: Unit | None = None
) -> dict[str, Any]:
    """Measure the metric of some responses, of each value of a segment, and of each period.

    Returns
    -------
    dict
        As `serving.schemas_service.MetricReply` describes it.

    Raises
    ------
    NotFoundError
        If there is no such segment.
    InputError
        If the segment has too many values, or there are too many periods.
    """
    if by is not None and by not in now.responses.segments:
        raise no_segment(by, "by")
    mask, left_out = selected(now, wanted)
    base, origin = _part(now, mask)
    groups = None
    if by is not None:
        values = base.segments[by]
        names = sorted(set(values))
        if len(names) > MAX_SEGMENT_VALUES:
            raise InputError(f"the segment has more than {MAX_SEGMENT_VALUES:,} values", column="by")
        groups = {name: _series(*_within(base, origin, values == name), period) for name in names}
    return {
        **_series(base, origin, period),
        "scale": base.scale.name,
        "level": LEVEL,
        "n_unscored": len(left_out),
        "n_undated": origin.undated,
        "period": period,
        "by": by,
        "groups": groups,
    }


def follow_causes(
    now: Snapshot, wanted: RankingFilter, by: Unit, codes: tuple[str, ...], taxonomy: Taxonomy | None
) -> dict[str, Any]:
    """Follow the points lost to causes; gives what `serving.schemas_service.TrendsReply` describes.

    Raises
    ------
    InputError
        If a code is mentioned by too few people, or there are too many periods.
    """
    responses, origin = _part(now, selected(now, wanted)[0])
    if not (origin.day > 0).any():
        empty = {"scale": responses.scale.name, "by": by, "level": LEVEL, "periods": [], "causes": {}}
        return empty | {"notes": [_EMPTY], "labels": {}}
    try:
        found = find_trends(responses, origin, by, codes=codes, level=LEVEL)
    except InputError as error:
        error.column = "code" if codes and "code" in error.message else "by"
        raise
    return found.to_dict() | {"labels": labels_of(found.causes, taxonomy)}


def hotspots_of(now: Snapshot, wanted: RankingFilter, q: float, taxonomy: Taxonomy | None) -> dict[str, Any]:
    """Find hotspots; gives what `serving.schemas_service.HotspotsReply` describes."""
    responses, _ = _part(now, selected(now, wanted)[0])
    found = find_hotspots(responses, q=q) if (responses.weight > 0).any() else []
    return {
        "q": q,
        "hotspots": [spot.to_dict() for spot in found],
        "versions": list(now.versions),
        "labels": labels_of(sorted({spot.code for spot in found}), taxonomy),
    }


def _part(now: Snapshot, mask: Any) -> tuple[ScoredResponses, Provenance]:
    return (now.responses, now.provenance) if mask.all() else _within(now.responses, now.provenance, mask)


def _within(responses: ScoredResponses, origin: Provenance, mask: Any) -> tuple[ScoredResponses, Provenance]:
    kept = np.asarray(mask, dtype=np.bool_)
    return responses.subset(kept), Provenance(origin.day[kept], origin.version[kept], origin.versions)


def _series(responses: ScoredResponses, origin: Provenance, period: Unit | None) -> dict[str, Any]:
    kept = responses.weight > 0
    sums = LossSums.of(
        responses.scale, responses.loss[kept], responses.weight[kept], responses.respondent[kept]
    )
    periods = None
    if period is not None:
        dated = (origin.day > 0).any()
        try:
            found = find_periods(responses, origin, period, level=LEVEL) if dated else ()
        except InputError as error:
            error.column = "period"
            raise
        periods = [asdict(one) for one in found]
    return {"metric": measure(responses.scale, sums, LEVEL).to_dict(), "periods": periods}
