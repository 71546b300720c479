"""What the API gives about follow-ups, webhooks, API keys, and the models that serve."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from whyscore_client.records import Page, Record

FollowUpKind = Literal["contact", "label", "thank"]
FollowUpState = Literal["open", "acknowledged", "resolved", "closed", "reopened"]
Outcome = Literal["recovered", "not_recovered", "not_reached", "no_action", "done"]
EventType = Literal[
    "response.tagged", "follow_up.opened", "follow_up.overdue", "follow_up.closed", "model.promoted"
]
DeliveryState = Literal["pending", "delivered", "dead"]
Scope = Literal["read", "tag", "write", "admin"]


class FollowUp(Record):
    """A follow-up as it stands."""

    follow_up_id: str
    response_id: str
    kind: FollowUpKind
    rule: str
    state: FollowUpState
    owner: str | None
    score: float | None
    outcome: Outcome | None
    opened_at: datetime
    due_at: datetime | None
    overdue_at: datetime | None
    acknowledged_at: datetime | None
    resolved_at: datetime | None


class FollowUpsPage(Page):
    """A page of follow-ups."""

    follow_ups: list[FollowUp]


class FollowUpEvent(Record):
    """Something that was done."""

    number: int
    at: datetime
    actor: str
    action: str
    detail: dict[str, Any]
    text: str | None


class FollowUpHistory(Record):
    """A follow-up with everything that was done."""

    follow_up: FollowUp
    history: list[FollowUpEvent]


class MeanChange(Record):
    """How much a group's scores changed."""

    n: int
    before: float | None
    after: float | None
    change: float | None
    low: float | None
    high: float | None


class Difference(Record):
    """A difference between those followed up and the others."""

    estimate: float
    low: float
    high: float


class FollowUpReport(Record):
    """Whether customers who were followed up score higher next time."""

    level: float
    followed: MeanChange
    not_followed: MeanChange
    difference: Difference | None
    adjusted: Difference | None
    too_late: int
    notes: list[str]


class Subscription(Record):
    """Somebody who is told."""

    subscription_id: str
    url: str
    events: list[EventType]
    description: str
    active: bool
    created_at: datetime


class NewSubscription(Subscription):
    """A subscription with the key of its signatures, which is shown this once."""

    secret: str


class Subscriptions(Record):
    """Everybody who is told."""

    subscriptions: list[Subscription]


class DroppedSubscription(Record):
    """A subscription that is no more."""

    subscription_id: str


class Delivery(Record):
    """A message on its way to a subscription."""

    delivery_id: str
    message_id: str
    subscription_id: str
    type: EventType
    state: DeliveryState
    attempts: int
    due_at: datetime
    last_status: int | None
    last_error: str | None
    delivered_at: datetime | None


class DeliveriesPage(Page):
    """A page of deliveries."""

    deliveries: list[Delivery]


class ApiKey(Record):
    """An API key, without its secret."""

    key_id: str
    name: str
    scopes: list[Scope]
    status: Literal["good", "revoked", "expired"]
    rate: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    previous_until: datetime | None
    last_used_at: datetime | None


class NewApiKey(ApiKey):
    """An API key with its secret, which is shown this once."""

    key: str


class ApiKeys(Record):
    """API keys."""

    keys: list[ApiKey]


class ModelVersion(Record):
    """A version of the model."""

    version: int
    name: str
    champion: bool
    created_at: datetime
    run_id: str
    metrics: dict[str, float]
    params: dict[str, str]


class ModelsPage(Page):
    """A page of the model's versions."""

    models: list[ModelVersion]


class Champion(Record):
    """A change of champion."""

    champion: int
    before: int | None


class RefusedModel(Record):
    """A model that the registry names and the service does not take."""

    model: str
    reason: str
    at: datetime
    tries: int


class ServingModel(Record):
    """The model that serves, and what keeps another from it."""

    model: str | None
    taxonomy_version: int | None
    follows: str | None
    since: datetime | None
    registry_problem: str | None
    refused: RefusedModel | None
    pinned: list[str]


class CodeAgreement(Record):
    """How two models agree on one code."""

    both: int
    only_champion: int
    only_challenger: int
    other_polarity: int
    kappa: float | None
    mean_probability_difference: float | None


class ShadowReport(Record):
    """How far a challenger agrees with the champion."""

    challenger: str | None
    champion: str | None
    share: float
    comments: int
    same_codes: int
    dropped: int
    failed: int
    codes: dict[str, CodeAgreement]
