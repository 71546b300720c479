"""Endpoints about the models of the running service; `/metrics` for whoever watches it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response

from serving import metrics
from serving.endpoints_tagging import tag_request
from serving.openapi import body_of
from serving.problems import declared
from serving.schemas import TagReply, TagRequest
from serving.schemas_models import ServingReply, ShadowReply
from serving.state import State
from serving.uploads import UploadDependency

router = APIRouter()

Version = Annotated[int, Path(ge=1, le=999_999_999, description="A version in the registry.")]


@router.get(
    "/v1/models/serving",
    operation_id="getServingModel",
    summary="The model that serves",
    response_model=ServingReply,
    responses=declared(),
)
def get_serving_model(state: State) -> dict[str, Any]:
    """Tell which model tags, since when, and what keeps a newer one from it."""
    return state.models.status()


@router.get(
    "/v1/models/shadow",
    operation_id="getShadowReport",
    summary="Where a challenger differs",
    response_model=ShadowReply,
    responses=declared(),
)
def get_shadow_report(state: State) -> dict[str, Any]:
    """Tell how far the challenger agrees with the champion, code by code, on this worker's comments."""
    return state.models.shadow.report()


@router.post(
    "/v1/models/{version}/tag",
    operation_id="tagWithVersion",
    summary="Tag with one version",
    response_model=TagReply,
    response_model_exclude_unset=True,
    responses=declared(404, 413, 415, 422, 503, 507),
    openapi_extra=body_of(TagRequest),
)
def tag_with_version(state: State, upload: UploadDependency, version: Version) -> dict[str, Any]:
    """Tag up to 1,000 responses with one version of the model, whichever serves; nothing is stored."""
    return tag_request(state, upload, str(version))


@router.get("/metrics", include_in_schema=False)
def get_metrics() -> Response:
    """Give the figures for Prometheus."""
    return Response(metrics.exposition(), headers={"Content-Type": metrics.MEDIA_TYPE})
