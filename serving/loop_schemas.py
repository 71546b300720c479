"""What the HTTP API takes and gives of connectors, follow-ups and webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from data.cells import whole_text
from data.follow_ups import MAX_NOTE, Kind, Outcome, State
from data.webhook_outbox import DeliveryState, EventType

Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(whole_text)]
NoteText = Annotated[str, Field(min_length=1, max_length=MAX_NOTE), AfterValidator(whole_text)]
Actor = Annotated[Name, Field(description="Who does it: a person or a program.", examples=["ana"])]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class ReceiptReply(BaseModel):
    """What became of an event; what it held is on disk."""

    received: int = Field(description="Responses that it held; 0 for an event of another kind.")
    created: int = Field(description="Responses that the store did not have.")
    updated: int = Field(description="Responses that are different now.")
    unchanged: int = Field(description="Responses that are as they were.")
    stale: int = Field(description="Responses of which the store had a later version already.")
    named: int = Field(description="Responses that it only named; they are fetched as soon as may be.")


class SourceReply(BaseModel):
    """A source whose events are taken."""

    source: str = Field(description="Its name in the connectors' file.")
    kind: str = Field(description="The survey tool.", examples=["surveymonkey"])


class FollowUpRecord(BaseModel):
    """A follow-up as it stands; a response has at most one of each kind."""

    follow_up_id: str = Field(description="Its name.", examples=["fu-2f1c0e9a7b3d4c5e6f70"])
    response_id: str = Field(description="The response that it is about.")
    kind: Kind = Field(
        description="What is to be done: contact the customer, label the comment for training, or thank."
    )
    rule: str = Field(description="The rule that opened it.")
    state: State = Field(description="Where it stands.")
    owner: str | None = Field(description="Who is to do it.")
    score: float | None = Field(description="The response's score when it was opened.")
    outcome: Outcome | None = Field(description="How it ended; null while it has not.")
    opened_at: datetime = Field(description="When it was opened.")
    due_at: datetime | None = Field(description="Until when it is to be done; null for no deadline.")
    overdue_at: datetime | None = Field(description="When it was noticed that the deadline had passed.")
    acknowledged_at: datetime | None = Field(description="When somebody first took it up.")
    resolved_at: datetime | None = Field(description="When it was done.")


class FollowUpsReply(BaseModel):
    """A page of follow-ups, newest first."""

    follow_ups: list[FollowUpRecord] = Field(description="The follow-ups.")
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")
    next: str | None = Field(description="Address of the next page; null on the last.")


class FollowUpEvent(BaseModel):
    """Something that was done."""

    number: int = Field(description="Its number in the audit trail.")
    at: datetime = Field(description="When it was done.")
    actor: str = Field(description="Who did it; ``system`` for what follows from a rule or the clock.")
    action: str = Field(description="What was done.", examples=["acknowledged"])
    detail: dict[str, str | int | float | bool | None] = Field(description="What changed.")
    text: str | None = Field(description="What the actor wrote; null where there is nothing, or no more.")


class FollowUpReply(BaseModel):
    """A follow-up with everything that was done."""

    follow_up: FollowUpRecord = Field(description="The follow-up.")
    history: list[FollowUpEvent] = Field(description="What was done, in order.")


class TransitionRequest(_Request):
    """Another state for a follow-up."""

    state: State = Field(description="The state: from `open` to `acknowledged`, `resolved` or `closed`, ...")
    actor: Actor
    outcome: Outcome | None = Field(
        None, description="How it ended; needed to resolve, and to close what was not resolved."
    )
    note: NoteText | None = Field(None, description="What is to be said about it.")


class AssignmentRequest(_Request):
    """Another owner for a follow-up."""

    owner: Name | None = Field(description="Who is to do it; null for nobody yet.")
    actor: Actor


class NoteRequest(_Request):
    """A note on a follow-up."""

    text: NoteText = Field(description="What is to be said.")
    actor: Actor


class MeanChangeRecord(BaseModel):
    """How much a group's scores changed."""

    n: int = Field(description="Customers.")
    before: float | None = Field(description="Their mean score that could be followed up.")
    after: float | None = Field(description="Their mean next score.")
    change: float | None = Field(description="The mean change, in points of the scale.")
    low: float | None = Field(description="Lower end of its interval.")
    high: float | None = Field(description="Upper end of its interval.")


class DifferenceRecord(BaseModel):
    """A difference between those followed up and the others, in points of the scale."""

    estimate: float = Field(description="The difference.")
    low: float = Field(description="Lower end of its interval.")
    high: float = Field(description="Upper end of its interval.")


class FollowUpReport(BaseModel):
    """Whether customers who were followed up score higher next time, beside those who were not."""

    level: float = Field(description="The confidence level of every interval.")
    followed: MeanChangeRecord = Field(description="Detractors to whom somebody spoke.")
    not_followed: MeanChangeRecord = Field(description="Detractors to whom nobody spoke.")
    difference: DifferenceRecord | None = Field(description="Followed less not followed; null for too few.")
    adjusted: DifferenceRecord | None = Field(description="The same with the first score held equal.")
    too_late: int = Field(
        description="Customers left out: they had answered again before anybody spoke to them."
    )
    notes: list[str] = Field(description="Sentences that belong beside the figures.")


class SubscriptionRequest(_Request):
    """A wish to be told."""

    url: str = Field(
        max_length=2000, description="Where messages go; https.", examples=["https://example.com/in"]
    )
    events: list[EventType] = Field(min_length=1, max_length=20, description="The types of event to send.")
    description: str = Field("", max_length=200, description="What people call it.")


class SubscriptionRecord(BaseModel):
    """Somebody who is told."""

    subscription_id: str = Field(description="Its name.")
    url: str = Field(description="Where messages go.")
    events: list[EventType] = Field(description="The types of event that are sent.")
    description: str = Field(description="What people call it.")
    active: bool = Field(
        description="Whether anything is sent; an address that answered 410 is asked no more."
    )
    created_at: datetime = Field(description="When it was made.")


class SubscriptionReply(SubscriptionRecord):
    """A new subscription with its secret, which is shown this once."""

    secret: str = Field(description="The key of the signatures (Standard Webhooks).")


class SubscriptionsReply(BaseModel):
    """Everybody who is told."""

    subscriptions: list[SubscriptionRecord] = Field(description="The subscriptions, oldest first.")


class DroppedReply(BaseModel):
    """A subscription that is no more."""

    subscription_id: str = Field(description="Its name.")


class DeliveryRecord(BaseModel):
    """A message on its way to a subscription."""

    delivery_id: str = Field(description="Its name.")
    message_id: str = Field(description="The message, as ``webhook-id`` has it.")
    subscription_id: str = Field(description="Where it goes.")
    type: EventType = Field(description="What it tells of.")
    state: DeliveryState = Field(
        description="Whether it is pending, delivered, or dead after too many tries."
    )
    attempts: int = Field(description="Tries so far.")
    due_at: datetime = Field(description="When it is tried next.")
    last_status: int | None = Field(description="The HTTP status of the last answer.")
    last_error: str | None = Field(description="The kind of the last failure.")
    delivered_at: datetime | None = Field(description="When it arrived.")


class DeliveriesReply(BaseModel):
    """A page of deliveries, newest first."""

    deliveries: list[DeliveryRecord] = Field(description="The deliveries.")
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")
    next: str | None = Field(description="Address of the next page; null on the last.")
