"""Endpoints of follow-ups: what is to be done, what was, and whether it helped."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from data.api_keys import ApiKey
from data.follow_up_pages import FollowUpFilter
from data.follow_up_pairs import read_pairs
from data.follow_ups import Kind, State
from model.follow_up_effect import follow_up_effect
from serving.customer_loop import CustomerLoop, Loop
from serving.idempotency import PARAMETER
from serving.loop_schemas import (
    AssignmentRequest,
    FollowUpRecord,
    FollowUpReply,
    FollowUpReport,
    FollowUpsReply,
    NoteRequest,
    TransitionRequest,
)
from serving.openapi import body_of
from serving.paging import Cursor, Limit, next_page
from serving.problems import declared
from serving.queries import Text
from serving.state import State as Service
from serving.uploads import JSON, UploadDependency

router = APIRouter()

Key = Annotated[Text, Path(max_length=64, description="The follow-up's name.")]


@router.get(
    "/v1/follow-ups",
    operation_id="listFollowUps",
    summary="What is to be done",
    response_model=FollowUpsReply,
    responses=declared(422, 503),
)
def list_follow_ups(
    request: Request,
    reply: Response,
    loop: Loop,
    state: Annotated[State | None, Query(description="Follow-ups in this state.")] = None,
    kind: Annotated[Kind | None, Query(description="Follow-ups of this kind.")] = None,
    owner: Annotated[Text | None, Query(description="Follow-ups of this owner.")] = None,
    response_id: Annotated[Text | None, Query(description="Follow-ups about this response.")] = None,
    overdue: Annotated[bool, Query(description="Only those past their deadline and not done.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Give a page of the follow-ups that meet every condition that is set, newest first."""
    wanted = FollowUpFilter(state, kind, owner, response_id, overdue)
    page = loop.follow_ups.page(wanted, limit, cursor, loop.now())
    return {"follow_ups": [row.to_record() for row in page.rows]} | next_page(request, reply, page.cursor)


@router.get(
    "/v1/follow-up-report",
    operation_id="getFollowUpReport",
    summary="Did the next score rise",
    response_model=FollowUpReport,
    responses=declared(503),
)
def get_follow_up_report(service: Service) -> dict[str, Any]:
    """Compare the next scores of detractors who were followed up with those who were not.

    An association: nobody drew lots, and low scores tend to rise by themselves.
    """
    found = read_pairs(service.store, service.scale)
    effect = follow_up_effect(
        [pair.before for pair in found.pairs],
        [pair.after for pair in found.pairs],
        [pair.followed for pair in found.pairs],
    )
    return effect.to_dict() | {"too_late": found.too_late}


@router.get(
    "/v1/follow-ups/{follow_up_id}",
    operation_id="getFollowUp",
    summary="One follow-up and its history",
    response_model=FollowUpReply,
    responses=declared(404, 422, 503),
)
def get_follow_up(loop: Loop, follow_up_id: Key) -> dict[str, Any]:
    """Give a follow-up with everything that was done."""
    found, events = loop.follow_ups.get(follow_up_id)
    history = [
        {
            "number": event.number,
            "at": datetime.fromisoformat(event.at),
            "actor": event.entry.actor,
            "action": event.entry.action,
            "detail": event.entry.detail,
            "text": event.entry.text,
        }
        for event in events
    ]
    return {"follow_up": found.to_record(), "history": history}


@router.post(
    "/v1/follow-ups/{follow_up_id}/transitions",
    operation_id="moveFollowUp",
    summary="Bring it to another state",
    response_model=FollowUpRecord,
    responses=declared(404, 409, 413, 415, 422, 503, 507),
    openapi_extra=body_of(TransitionRequest) | {"parameters": [PARAMETER]},
)
def move_follow_up(loop: Loop, asked: Request, follow_up_id: Key, upload: UploadDependency) -> dict[str, Any]:
    """Acknowledge, resolve, close or reopen a follow-up.

    What is reopened gets a new deadline by the rule that opened it.
    """
    upload.require([JSON])
    request = upload.read(TransitionRequest)
    now = loop.now()
    moved = loop.follow_ups.move(
        follow_up_id,
        request.state,
        _actor(asked, request.actor),
        now,
        outcome=request.outcome,
        text=request.note,
        due_at=_new_deadline(loop, follow_up_id, now) if request.state == "reopened" else None,
    )
    return moved.to_record()


@router.post(
    "/v1/follow-ups/{follow_up_id}/assignment",
    operation_id="assignFollowUp",
    summary="Give it to somebody",
    response_model=FollowUpRecord,
    responses=declared(404, 409, 413, 415, 422, 503, 507),
    openapi_extra=body_of(AssignmentRequest) | {"parameters": [PARAMETER]},
)
def assign_follow_up(
    loop: Loop, asked: Request, follow_up_id: Key, upload: UploadDependency
) -> dict[str, Any]:
    """Give a follow-up another owner."""
    upload.require([JSON])
    request = upload.read(AssignmentRequest)
    return loop.follow_ups.assign(
        follow_up_id, request.owner, _actor(asked, request.actor), loop.now()
    ).to_record()


@router.post(
    "/v1/follow-ups/{follow_up_id}/notes",
    operation_id="noteFollowUp",
    summary="Add a note",
    response_model=FollowUpRecord,
    responses=declared(404, 409, 413, 415, 422, 503, 507),
    openapi_extra=body_of(NoteRequest) | {"parameters": [PARAMETER]},
)
def note_follow_up(loop: Loop, asked: Request, follow_up_id: Key, upload: UploadDependency) -> dict[str, Any]:
    """Add a note to a follow-up's history."""
    upload.require([JSON])
    request = upload.read(NoteRequest)
    return loop.follow_ups.note(
        follow_up_id, request.text, _actor(asked, request.actor), loop.now()
    ).to_record()


def _actor(request: Request, named: str) -> str:
    """Give whom the trail names: who the request says, and the API key that it came with."""
    key: ApiKey | None = request.scope.get("state", {}).get("api_key")
    return named if key is None else f"{named} (key {key.name}, {key.key_id})"


def _new_deadline(loop: CustomerLoop, follow_up_id: str, now: datetime) -> datetime | None:
    found, _ = loop.follow_ups.get(follow_up_id)
    return loop.rules.deadline(found.rule, now)
