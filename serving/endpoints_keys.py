"""Endpoints of API keys, and of the sessions that browsers get for one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from data.api_keys import SESSION_LENGTH, ApiKey, ApiKeys, secret_hash_of
from data.rates import parse_rate
from serving.guard import COOKIE, SESSION_SCOPES, Gate, Refusal, forbidden, is_own_page
from serving.key_schemas import (
    KeyRequest,
    KeysReply,
    NewKeyReply,
    RotationRequest,
    SessionReply,
    SessionRequest,
)
from serving.openapi import body_of
from serving.problems import declared
from serving.uploads import JSON, UploadDependency

router = APIRouter()

KeyId = Annotated[str, Path(max_length=64, description="The key's id.")]


def _gate(request: Request) -> Gate:
    return cast(Gate, request.app.state.gate)


GateDependency = Annotated[Gate, Depends(_gate)]


@router.get(
    "/v1/keys",
    operation_id="listKeys",
    summary="The API keys",
    response_model=KeysReply,
    responses=declared(503),
)
def list_keys(gate: GateDependency) -> dict[str, Any]:
    """List all API keys, without their secrets."""
    return {"keys": [record_of(key) for key in gate.watch.keys.all()]}


@router.post(
    "/v1/keys",
    operation_id="createKey",
    summary="Make an API key",
    response_model=NewKeyReply,
    responses=declared(413, 415, 422, 503, 507),
    openapi_extra=body_of(KeyRequest),
)
def create_key(gate: GateDependency, upload: UploadDependency) -> dict[str, Any]:
    """Make an API key; the answer shows it this once. With the first one the API closes to all others."""
    upload.require([JSON])
    request = upload.read(KeyRequest)
    days = request.expires_in_days
    if request.rate is not None:
        parse_rate(request.rate)
    key, text = gate.watch.keys.create(
        request.name,
        request.scopes,
        expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
        rate=request.rate,
    )
    gate.watch.read()
    return record_of(key) | {"key": text}


@router.post(
    "/v1/keys/{key_id}/rotate",
    operation_id="rotateKey",
    summary="Give an API key another secret",
    response_model=NewKeyReply,
    responses=declared(404, 413, 415, 422, 503, 507),
    openapi_extra=body_of(RotationRequest),
)
def rotate_key(gate: GateDependency, upload: UploadDependency, key_id: KeyId) -> dict[str, Any]:
    """Give an API key another secret, which the answer shows; the one before stays good for a while."""
    upload.require([JSON])
    grace = timedelta(hours=upload.read(RotationRequest).grace_hours)
    key, text = gate.watch.keys.rotate(key_id, grace)
    gate.watch.read()
    return record_of(key) | {"key": text}


@router.delete(
    "/v1/keys/{key_id}",
    operation_id="revokeKey",
    summary="Revoke an API key",
    response_model=KeysReply,
    responses=declared(404, 422, 503, 507),
)
def revoke_key(gate: GateDependency, key_id: KeyId) -> dict[str, Any]:
    """End an API key and its sessions for good, and give it as the one key of the list."""
    key = gate.watch.keys.revoke(key_id)
    gate.watch.read()
    return {"keys": [record_of(key)]}


@router.post(
    "/v1/session",
    operation_id="beginSession",
    summary="Begin a browser's session",
    response_model=SessionReply,
    responses=declared(401, 403, 413, 415, 422, 429, 503, 507),
    openapi_extra=body_of(SessionRequest),
)
async def begin_session(request: Request, gate: GateDependency, upload: UploadDependency) -> Response:
    """Show a key once, and get a cookie for it that ends after a week, or with the key."""
    upload.require([JSON])
    shown = upload.read(SessionRequest).key
    try:
        _check_page(request)
        key = await gate.identify(request.scope, shown, None)
    except Refusal as refusal:
        return refusal.response()
    keys: ApiKeys = gate.watch.keys
    session = await run_in_threadpool(keys.begin_session, key, secret_hash_of(shown))
    answer = _session_reply(True, [scope for scope in SESSION_SCOPES if key.allows(scope)])
    answer.set_cookie(
        COOKIE,
        session,
        max_age=int(SESSION_LENGTH.total_seconds()),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    await gate.watch.refresh(now=True)
    return answer


@router.delete(
    "/v1/session",
    operation_id="endSession",
    summary="End the browser's session",
    response_model=SessionReply,
    responses=declared(403, 429, 503, 507),
)
async def end_session(request: Request, gate: GateDependency) -> Response:
    """End the session of the request's cookie; without one there is nothing to do."""
    session = request.cookies.get(COOKIE)
    answer = _session_reply(False, [])
    if session is not None:
        try:
            _check_page(request)
        except Refusal as refusal:
            return refusal.response()
        await run_in_threadpool(gate.watch.keys.end_session, session)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        await gate.watch.refresh(now=True)
    return answer


def record_of(key: ApiKey) -> dict[str, Any]:
    """Give a key as plain JSON values, without any hash."""
    ended = "revoked" if key.revoked_at is not None else "expired"
    moments = ("created_at", "expires_at", "revoked_at", "previous_until", "last_used_at")
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "status": "good" if key.is_good(datetime.now(UTC)) else ended,
        "rate": key.rate,
    } | {name: _iso(getattr(key, name)) for name in moments}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _check_page(request: Request) -> None:
    """Raise `Refusal` where a browser says that another page sent the request; programs say nothing."""
    browser = "sec-fetch-site" in request.headers or "origin" in request.headers
    if browser and not is_own_page(request.headers):
        raise forbidden("a session begins and ends on this server's own page alone")


def _session_reply(active: bool, scopes: Sequence[str]) -> JSONResponse:
    return JSONResponse({"active": active, "scopes": scopes})
