"""Webhooks: who is told of what happens, and what has arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from whyscore_client import service_models as s
from whyscore_client.calls import Call, get, new_key, reply_as, segment, send_json
from whyscore_client.sending import AsyncSends, Sends


class WebhookMethods(Sends):
    """What a client does with webhooks."""

    def list_webhook_subscriptions(self) -> s.Subscriptions:
        """List who is told of what; secrets are not shown again."""
        reply: s.Subscriptions = self._send(get("/v1/webhook-subscriptions", s.Subscriptions))
        return reply

    def create_webhook_subscription(
        self, url: str, events: Sequence[s.EventType], description: str = ""
    ) -> s.NewSubscription:
        """Have an address told of events; the reply holds the secret of the signatures, this once."""
        body = {"url": url, "events": events, "description": description}
        call = send_json("POST", "/v1/webhook-subscriptions", body, s.NewSubscription, once=True)
        reply: s.NewSubscription = self._send(call)
        return reply

    def delete_webhook_subscription(self, subscription_id: str) -> s.DroppedSubscription:
        """Drop a subscription, and what was on its way there."""
        path = f"/v1/webhook-subscriptions/{segment(subscription_id)}"
        reply: s.DroppedSubscription = self._send(Call("DELETE", path, reply_as(s.DroppedSubscription)))
        return reply

    def list_webhook_deliveries(
        self,
        state: s.DeliveryState | None = None,
        subscription_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> s.DeliveriesPage:
        """Give a page of deliveries, the latest due first."""
        wanted = {"state": state, "subscription_id": subscription_id, "limit": limit, "cursor": cursor}
        reply: s.DeliveriesPage = self._send(get("/v1/webhook-deliveries", s.DeliveriesPage, **wanted))
        return reply

    def iter_webhook_deliveries(
        self, state: s.DeliveryState | None = None, subscription_id: str | None = None
    ) -> Iterator[s.Delivery]:
        """Yield all deliveries that meet the conditions, page by page."""
        page = self.list_webhook_deliveries(state, subscription_id)
        while True:
            yield from page.deliveries
            if page.next_cursor is None:
                return
            page = self.list_webhook_deliveries(state, subscription_id, cursor=page.next_cursor)

    def redeliver_webhook(self, delivery_id: str) -> s.Delivery:
        """Send a message again, with all its tries before it."""
        path = f"/v1/webhook-deliveries/{segment(delivery_id)}/redelivery"
        reply: s.Delivery = self._send(Call("POST", path, reply_as(s.Delivery), headers=new_key()))
        return reply


class AsyncWebhookMethods(AsyncSends):
    """What a client does with webhooks."""

    async def list_webhook_subscriptions(self) -> s.Subscriptions:
        """List who is told of what; secrets are not shown again."""
        reply: s.Subscriptions = await self._send(get("/v1/webhook-subscriptions", s.Subscriptions))
        return reply

    async def create_webhook_subscription(
        self, url: str, events: Sequence[s.EventType], description: str = ""
    ) -> s.NewSubscription:
        """Have an address told of events; the reply holds the secret of the signatures, this once."""
        body = {"url": url, "events": events, "description": description}
        call = send_json("POST", "/v1/webhook-subscriptions", body, s.NewSubscription, once=True)
        reply: s.NewSubscription = await self._send(call)
        return reply

    async def delete_webhook_subscription(self, subscription_id: str) -> s.DroppedSubscription:
        """Drop a subscription, and what was on its way there."""
        path = f"/v1/webhook-subscriptions/{segment(subscription_id)}"
        reply: s.DroppedSubscription = await self._send(Call("DELETE", path, reply_as(s.DroppedSubscription)))
        return reply

    async def list_webhook_deliveries(
        self,
        state: s.DeliveryState | None = None,
        subscription_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> s.DeliveriesPage:
        """Give a page of deliveries, the latest due first."""
        wanted = {"state": state, "subscription_id": subscription_id, "limit": limit, "cursor": cursor}
        reply: s.DeliveriesPage = await self._send(get("/v1/webhook-deliveries", s.DeliveriesPage, **wanted))
        return reply

    async def iter_webhook_deliveries(
        self, state: s.DeliveryState | None = None, subscription_id: str | None = None
    ) -> AsyncIterator[s.Delivery]:
        """Yield all deliveries that meet the conditions, page by page."""
        page = await self.list_webhook_deliveries(state, subscription_id)
        while True:
            for one in page.deliveries:
                yield one
            if page.next_cursor is None:
                return
            page = await self.list_webhook_deliveries(state, subscription_id, cursor=page.next_cursor)

    async def redeliver_webhook(self, delivery_id: str) -> s.Delivery:
        """Send a message again, with all its tries before it."""
        path = f"/v1/webhook-deliveries/{segment(delivery_id)}/redelivery"
        reply: s.Delivery = await self._send(Call("POST", path, reply_as(s.Delivery), headers=new_key()))
        return reply
