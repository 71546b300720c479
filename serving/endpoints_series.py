"""Endpoints that give the metric, trends and hotspots of what the store holds."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from model.periods import Unit
from serving.entity_tags import NOT_MODIFIED, OfStore
from serving.problems import declared
from serving.queries import SegmentFilter, Since, Text, Until
from serving.ranking import RankingFilter
from serving.schemas_service import HotspotsReply, MetricReply, TrendsReply
from serving.series import follow_causes, hotspots_of, measure_metric
from serving.state import State

router = APIRouter()

By = Annotated[Text | None, Query(description="Measure each value of this segment too.", examples=["region"])]
Period = Annotated[Unit | None, Query(description="Measure each day, week or month too.")]
TrendUnit = Annotated[Unit, Query(description="Follow by day, week or month.")]
Codes = Annotated[
    list[Text],
    Query(
        alias="code",
        max_length=100,
        description="Follow these codes, parents or buckets; all that many mention where none.",
    ),
]
Rate = Annotated[float, Query(gt=0, lt=1, description="The false discovery rate.")]


@router.get(
    "/v1/nps",
    operation_id="measureMetric",
    summary="The metric",
    response_model=MetricReply,
    responses=declared(404, 422, 503) | NOT_MODIFIED,
    dependencies=[OfStore],
)
def measure_nps(
    state: State,
    by: By = None,
    period: Period = None,
    segment: SegmentFilter = None,
    since: Since = None,
    until: Until = None,
) -> dict[str, Any]:
    """Give the metric of the declared scale (NPS, CSAT or CES) with its interval, by period and segment."""
    wanted = RankingFilter(segment, since, until)
    return state.ranking.made(
        ("metric", wanted, by, period), lambda now: measure_metric(now, wanted, by, period)
    )


@router.get(
    "/v1/trends",
    operation_id="followCauses",
    summary="Causes over time",
    response_model=TrendsReply,
    responses=declared(404, 422, 503) | NOT_MODIFIED,
    dependencies=[OfStore],
)
def follow(
    state: State,
    by: TrendUnit = "week",
    code: Codes = [],  # noqa: B006 - FastAPI copies it
    segment: SegmentFilter = None,
    since: Since = None,
    until: Until = None,
) -> dict[str, Any]:
    """Follow the points lost to causes by day, week or month, with an interval for each point."""
    wanted, codes, taxonomy = RankingFilter(segment, since, until), tuple(dict.fromkeys(code)), state.taxonomy
    named = None if taxonomy is None else (taxonomy.name, taxonomy.version)
    return state.ranking.made(
        ("trends", wanted, by, codes, named), lambda now: follow_causes(now, wanted, by, codes, taxonomy)
    )


@router.get(
    "/v1/hotspots",
    operation_id="listHotspots",
    summary="Where a cause loses more",
    response_model=HotspotsReply,
    responses=declared(404, 422, 503) | NOT_MODIFIED,
    dependencies=[OfStore],
)
def list_hotspots(
    state: State,
    q: Rate = 0.10,
    segment: SegmentFilter = None,
    since: Since = None,
    until: Until = None,
) -> dict[str, Any]:
    """List the segment values in which a cause goes with more points lost than elsewhere, beyond chance."""
    wanted, taxonomy = RankingFilter(segment, since, until), state.taxonomy
    named = None if taxonomy is None else (taxonomy.name, taxonomy.version)
    return state.ranking.made(
        ("hotspots", wanted, q, named), lambda now: hotspots_of(now, wanted, q, taxonomy)
    )
