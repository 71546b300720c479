"""Endpoints of the model registry: versions, the champion, and the way back."""

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
from serving.customer_loop import announce_promotion
from serving.idempotency import PARAMETER
from serving.paging import Cursor, Limit, next_page
from serving.problems import declared, log
from serving.schemas_service import ChampionReply, ModelsReply, ModelVersion
from serving.state import ServiceState, State

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
    responses=declared(404, 409, 422, 503),
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
    responses=declared(409, 422, 503),
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
