"""Endpoints of models: the registry's versions, the champion and the way back, and what serves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from data.cursors import cursor_of, position_of
from data.errors import InputError, NotFoundError
from data.store import StoreError
from model.registry import registry_exists
from model.versions import (
    NoEarlierChampionError,
    RegisteredVersion,
    current_champion,
    list_versions,
    promote,
    rollback,
)
from serving import metrics
from serving.customer_loop import announce_promotion
from serving.idempotency import PARAMETER
from serving.openapi import body_of
from serving.paging import Cursor, Limit, next_page
from serving.problems import declared, log
from serving.schemas import TagReply, TagRequest
from serving.schemas_models import ServingReply, ShadowReply
from serving.schemas_service import ChampionReply, ModelsReply, ModelVersion
from serving.state import ServiceState, State
from serving.tag_requests import tag_together

router = APIRouter()

Version = Annotated[int, Path(ge=1, le=2**31 - 1, description="The version.")]


@router.get(
    "/v1/models",
    operation_id="listModels",
    summary="The versions of the model",
    response_model=ModelsReply,
    responses=declared(422, 503),
)
def list_models(
    request: Request, reply: Response, state: State, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Give a page of the versions in the registry with the figures of their training, newest first."""
    versions = _versions(state)
    if cursor is not None:
        (text,) = position_of(cursor, "models", 1)
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise InputError("the cursor is not one that a page of this list gave", column="cursor")
        versions = [one for one in versions if one.version < int(text)]
    shown = versions[:limit]
    following = cursor_of("models", str(shown[-1].version)) if len(versions) > limit else None
    return {"models": [_record(one, state) for one in shown], **next_page(request, reply, following)}


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


@router.get(
    "/v1/models/{version}",
    operation_id="getModel",
    summary="A version of the model",
    response_model=ModelVersion,
    responses=declared(404, 422, 503),
)
def get_model(state: State, version: Version) -> dict[str, Any]:
    """Give a version with the figures of its training."""
    for one in _versions(state):
        if one.version == version:
            return _record(one, state)
    raise _none(state, version)


@router.post(
    "/v1/models/{version}/promote",
    operation_id="promoteModel",
    summary="Make a version the champion",
    response_model=ChampionReply,
    responses=declared(404, 409, 422, 503, 507),
    openapi_extra={"parameters": [PARAMETER]},
)
def promote_model(state: State, version: Version) -> dict[str, Any]:
    """Make a version the champion, and remember the one before."""
    if not registry_exists(state.settings):
        raise _none(state, version)
    return _told(state, version, promote(version, state.settings))


@router.post(
    "/v1/models/rollback",
    operation_id="rollBackModel",
    summary="Go back to the champion before",
    response_model=ChampionReply,
    responses=declared(409, 422, 503, 507),
    openapi_extra={"parameters": [PARAMETER]},
)
def roll_back_model(state: State) -> dict[str, Any]:
    """Make the champion before the present one the champion again."""
    if not registry_exists(state.settings):
        raise NoEarlierChampionError("there is no earlier champion to go back to")
    before = current_champion(state.settings)
    return _told(state, rollback(state.settings), before)


def _told(state: ServiceState, champion: int, before: int | None) -> dict[str, Any]:
    """Tell subscribers of webhooks of the new champion, and give the answer; it stands either way."""
    name = state.settings.model_name
    try:
        announce_promotion(state.store, f"{name}/{champion}", None if before is None else f"{name}/{before}")
    except StoreError as error:
        log.error("nobody could be told of the promotion: %s", error.message)
    return {"champion": champion, "before": before}


@router.post(
    "/v1/models/{version}/tag",
    operation_id="tagWithVersion",
    summary="Tag with one version",
    response_model=TagReply,
    response_model_exclude_unset=True,
    responses=declared(404, 413, 415, 422, 429, 503, 507),
    openapi_extra=body_of(TagRequest),
)
async def tag_with_version(request: Request, version: Version) -> Response:
    """Tag up to 1,000 responses with one version of the model, whichever serves; nothing is stored."""
    return await tag_together(request, str(version))


@router.get("/metrics", include_in_schema=False)
def get_metrics() -> Response:
    """Give the figures for Prometheus."""
    return Response(metrics.exposition(), headers={"Content-Type": metrics.MEDIA_TYPE})


def _versions(state: ServiceState) -> list[RegisteredVersion]:
    return list_versions(state.settings) if registry_exists(state.settings) else []


def _none(state: ServiceState, version: int) -> NotFoundError:
    return NotFoundError(f"the registry has no version {version} of {state.settings.model_name}")


def _record(one: RegisteredVersion, state: ServiceState) -> dict[str, Any]:
    created = datetime.fromtimestamp(one.created_ms / 1000, UTC)
    return {
        "version": one.version,
        "name": f"{state.settings.model_name}/{one.version}",
        "champion": one.champion,
        "created_at": created.isoformat(timespec="seconds"),
        "run_id": one.run_id,
        "metrics": {name: value for name, value in one.metrics.items() if abs(value) < float("inf")},
        "params": dict(one.params),
    }
