"""Endpoints of webhooks: the events of survey tools that come in, and who is told of ours."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from data.webhook_outbox import Delivery, DeliveryState
from serving.connectors.receiving import note, receive
from serving.connectors.signatures import standard_secret
from serving.customer_loop import Loop
from serving.idempotency import PARAMETER
from serving.loop_schemas import (
    DeliveriesReply,
    DeliveryRecord,
    DroppedReply,
    ReceiptReply,
    SourceReply,
    SubscriptionReply,
    SubscriptionRequest,
    SubscriptionsReply,
)
from serving.openapi import body_of
from serving.paging import Cursor, Limit, next_page
from serving.problems import UnsupportedMediaError, declared
from serving.queries import Text
from serving.state import State as Service
from serving.uploads import JSON, UploadDependency
from serving.webhook_delivery import checked_url

router = APIRouter()

_ANY_JSON = {
    "requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object"}}}},
}


SourceName = Annotated[Text, Path(max_length=63, description="The source's name in the connectors' file.")]


@router.get(
    "/v1/webhooks/{source}",
    operation_id="checkWebhook",
    summary="Whether a survey tool may send here",
    response_model=SourceReply,
    responses=declared(404, 422),
)
def check_webhook(loop: Loop, source: SourceName) -> dict[str, Any]:
    """Tell that events of a source are taken here: some tools ask, with HEAD, before they send."""
    return {"source": source, "kind": loop.connectors.kind_of(source)}


@router.post(
    "/v1/webhooks/{source}",
    operation_id="receiveWebhook",
    summary="Take a survey tool's event",
    response_model=ReceiptReply,
    responses=declared(401, 404, 413, 415, 422, 503, 507),
    openapi_extra=_ANY_JSON,
)
def receive_webhook(
    request: Request,
    service: Service,
    loop: Loop,
    source: SourceName,
    upload: UploadDependency,
) -> dict[str, Any]:
    """Tag and store what an event of a survey tool holds; when this answers, it is on disk.

    The body is as the tool sends it, and signed as the tool signs. The same event again changes nothing,
    and an older one never replaces a newer one. An event that only names a response is kept, and the
    response is fetched as soon as may be, again and again until it is there.
    """
    if upload.media_type != JSON and not upload.media_type.endswith("+json"):
        raise UnsupportedMediaError(f"the Content-Type must be {JSON}, or one that ends in +json")
    body = upload.path.read_bytes()
    loop.connectors.accept(
        source, body, request.headers
    )  # before anything else is told, such as of the model
    named = note(source, body, request.headers, loop.connectors, loop.notices, loop.now())
    if named is not None:
        return asdict(named)
    return asdict(
        receive(source, body, request.headers, loop.connectors, service.tagger, service.store, service.scale)
    )


@router.get(
    "/v1/webhook-subscriptions",
    operation_id="listWebhookSubscriptions",
    summary="Who is told",
    response_model=SubscriptionsReply,
    responses=declared(503),
)
def list_webhook_subscriptions(loop: Loop) -> dict[str, Any]:
    """List the subscriptions; their secrets are not shown again."""
    return {"subscriptions": [asdict(one) for one in loop.outbox.subscriptions()]}


@router.post(
    "/v1/webhook-subscriptions",
    operation_id="createWebhookSubscription",
    summary="Be told of events",
    response_model=SubscriptionReply,
    responses=declared(413, 415, 422, 503, 507),
    openapi_extra=body_of(SubscriptionRequest),
)
def create_webhook_subscription(service: Service, loop: Loop, upload: UploadDependency) -> dict[str, Any]:
    """Subscribe an address to types of events; the answer holds the secret of the signatures, this once."""
    upload.require([JSON])
    request = upload.read(SubscriptionRequest)
    checked_url(request.url, allow_private=service.settings.webhook_allow_private)
    secret = standard_secret(secrets.token_bytes(32))
    made = loop.outbox.subscribe(request.url, request.events, secret, request.description, loop.now())
    return asdict(made) | {"secret": secret}


@router.delete(
    "/v1/webhook-subscriptions/{subscription_id}",
    operation_id="deleteWebhookSubscription",
    summary="Be told no more",
    response_model=DroppedReply,
    responses=declared(404, 422, 503, 507),
)
def delete_webhook_subscription(
    loop: Loop, subscription_id: Annotated[Text, Path(max_length=64, description="The subscription's name.")]
) -> dict[str, Any]:
    """Drop a subscription, and what was on its way there."""
    loop.outbox.unsubscribe(subscription_id)
    return {"subscription_id": subscription_id}


@router.get(
    "/v1/webhook-deliveries",
    operation_id="listWebhookDeliveries",
    summary="What was sent",
    response_model=DeliveriesReply,
    responses=declared(422, 503),
)
def list_webhook_deliveries(
    request: Request,
    reply: Response,
    loop: Loop,
    state: Annotated[DeliveryState | None, Query(description="Deliveries in this state.")] = None,
    subscription_id: Annotated[Text | None, Query(description="Deliveries to this subscription.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Give a page of deliveries, newest first; dead ones wait for a redelivery by hand."""
    found, after = loop.outbox.deliveries(state, subscription_id, limit, cursor)
    return {"deliveries": [asdict(one) for one in found]} | next_page(request, reply, after)


@router.post(
    "/v1/webhook-deliveries/{delivery_id}/redelivery",
    operation_id="redeliverWebhook",
    summary="Send it again",
    response_model=DeliveryRecord,
    responses=declared(404, 409, 422, 503, 507),
    openapi_extra={"parameters": [PARAMETER]},
)
def redeliver_webhook(
    loop: Loop, delivery_id: Annotated[Text, Path(max_length=64, description="The delivery's name.")]
) -> Delivery:
    """Send a message again, with all its tries before it; it keeps its ``webhook-id``."""
    return loop.outbox.redeliver(delivery_id, loop.now())
