"""Endpoints that give what the store holds: responses, root causes, findings, segments, the taxonomy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from data.annotations import Polarity
from data.store_pages import Order
from data.tags import Status
from model.mentions import MAX_SEGMENT_VALUES
from serving.entity_tags import NOT_MODIFIED, OfStore
from serving.paging import Cursor, Limit, next_page
from serving.periods import DERIVED, period_bounds
from serving.problems import declared
from serving.queries import SegmentFilter, Since, Text, Until
from serving.ranking import RankingFilter, split_segment
from serving.schemas import (
    FindingsReply,
    ResponsesReply,
    RootCausesReply,
    SegmentsReply,
    TaxonomyReply,
)
from serving.state import ServiceState, State

router = APIRouter()

Code = Annotated[
    Text | None,
    Query(description="Responses with this reason code or one below it.", examples=["billing"]),
]
PolarityFilter = Annotated[
    Polarity | Literal["non_positive"] | None,
    Query(description="Responses that mention it so; non_positive is what counts as a cause."),
]
StatusFilter = Annotated[Status | None, Query(description="Responses of this status.")]
Sort = Annotated[Order, Query(description="Newest first, or the lowest scores first.")]
By = Annotated[
    str | None, Query(description="Rank within each value of this segment too.", examples=["region"])
]


@router.get(
    "/v1/responses",
    operation_id="listResponses",
    summary="The comments behind a cause",
    response_model=ResponsesReply,
    response_model_exclude_unset=True,
    responses=declared(404, 422, 503) | NOT_MODIFIED,
    dependencies=[OfStore],
)
def list_responses(
    request: Request,
    reply: Response,
    state: State,
    code: Code = None,
    polarity: PolarityFilter = None,
    segment: SegmentFilter = None,
    status: StatusFilter = None,
    since: Since = None,
    until: Until = None,
    order: Sort = "newest",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Give a page of the responses that meet every condition that is set, with their tags."""
    pair = None
    if segment is not None:
        pair = split_segment(segment, lambda name: name in DERIVED or state.store.has_segment(name))
        if pair[0] in DERIVED and not state.store.has_segment(pair[0]):
            first, after = period_bounds(*pair)
            since, until, pair = max(since or first, first), min(until or after, after), None
    page = state.store.comments(
        code=code,
        polarity=polarity,
        segment=pair,
        status=status,
        since=since,
        until=until,
        order=order,
        limit=limit,
        after=cursor,
    )
    return {
        "responses": [row.to_record() for row in page.rows],
        **next_page(request, reply, page.cursor),
    }


@router.get(
    "/v1/root-causes",
    operation_id="rankRootCauses",
    summary="Ranked root causes",
    response_model=RootCausesReply,
    responses=declared(404, 422, 503) | NOT_MODIFIED,
    dependencies=[OfStore],
)
def rank_root_causes(
    state: State, by: By = None, segment: SegmentFilter = None, since: Since = None, until: Until = None
) -> dict[str, Any]:
    """Rank the root causes of all stored responses that meet the filter.

    With `by`, also within each value of a segment; `month` and `week` are made from `responded_at`.
    Points lost are associated with a cause; they do not say what a change to it would bring.
    """
    return state.ranking.rank(RankingFilter(segment, since, until), by, state.taxonomy)


@router.get(
    "/v1/findings",
    operation_id="listFindings",
    summary="What stands out",
    response_model=FindingsReply,
    responses=declared(422, 503) | NOT_MODIFIED,
    dependencies=[OfStore],
)
def list_findings(state: State) -> dict[str, Any]:
    """List hotspots and changes among all stored responses.

    A hotspot is a segment's value in which a cause goes with more points lost than elsewhere; a change
    is a spike, step or trend over the weeks. Both are held to a false discovery rate.
    """
    return state.ranking.findings(state.taxonomy)


@router.get(
    "/v1/segments",
    operation_id="listSegments",
    summary="What responses can be grouped by",
    response_model=SegmentsReply,
    responses=declared(422, 503) | NOT_MODIFIED,
    dependencies=[OfStore],
)
def list_segments(state: State) -> dict[str, Any]:
    """List the segments of the stored responses with their values, `month` and `week` among them."""
    return {"segments": _segments(state)}


def _segments(state: ServiceState) -> list[dict[str, Any]]:
    derived = state.ranking.derived_segments()
    found = {**state.store.segments(), **derived}
    return [
        {
            "name": name,
            "values": values[:MAX_SEGMENT_VALUES],
            "n_values": len(values),
            "derived": name in derived,
        }
        for name, values in sorted(found.items())
    ]


@router.get(
    "/v1/taxonomy",
    operation_id="getTaxonomy",
    summary="The reason codes",
    response_model=TaxonomyReply,
    responses=declared(422, 503) | NOT_MODIFIED,
    dependencies=[OfStore],
)
def get_taxonomy(state: State) -> dict[str, Any]:
    """Give the reason codes that the model knows."""
    taxonomy = state.tagger.taxonomy
    codes = [code.model_dump() | {"label": code.name} for code in taxonomy.codes]
    return {
        "name": taxonomy.name,
        "version": taxonomy.version,
        "codes": codes,
        "active": list(taxonomy.active),
    }
