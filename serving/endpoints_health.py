"""Endpoints for whoever watches over the process."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from serving.problems import declared
from serving.schemas import Health, Readiness
from serving.state import State

router = APIRouter()


@router.get(
    "/healthz", operation_id="getHealth", summary="Is it up", response_model=Health, responses=declared()
)
async def get_health() -> dict[str, str]:
    """Answer; that is all, so a restart cannot help where this answers."""
    # In the event loop: the threads may all be busy storing, which is no reason for a restart.
    return {"status": "ok"}


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Can it work",
    response_model=Readiness,
    response_model_exclude_none=True,
    responses=declared(503),
)
def get_readiness(state: State) -> dict[str, Any]:
    """Tell whether the store can be reached and a model is loaded.

    A registry that is gone leaves it ready: the model that it has goes on serving.
    """
    return {
        "status": "ready",
        "model": state.tagger.name,
        "responses": state.store.count(),
        "problems": state.models.problems() or None,
    }
