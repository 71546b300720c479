"""The outbox of webhooks: messages stand here from the transaction that they tell of until they arrive.

Each message goes to each subscription at least once. Whoever delivers takes some for a while (a lease); if it
dies, the lease runs out and another takes them. What fails waits longer each time and, after so many tries,
stays as dead until someone sends it again by hand.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, delete, exists, literal, or_, select, tuple_, update

from data.cursors import cursor_of, moment_of, position_of
from data.errors import NotFoundError
from data.store import Store
from data.store_schema import UtcDateTime
from data.webhook_schema import webhook_deliveries, webhook_messages, webhook_subscriptions

EventType = Literal[
    "response.tagged", "follow_up.opened", "follow_up.overdue", "follow_up.closed", "model.promoted"
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
DeliveryState = Literal["pending", "delivered", "dead"]

_LIST = "deliveries"
FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Subscription:
    """Somebody who wants to be told.

    Attributes
    ----------
    subscription_id, url, description
        Its name, where messages go, and what people call it.
    events
        The types that it wants.
    active
        Whether anything is sent; an address that says 410 (gone) is not asked again.
    created_at
        When it was made.
    """

    subscription_id: str
    url: str
    events: tuple[EventType, ...]
    description: str
    active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to a subscription.

    Attributes
    ----------
    delivery_id, message_id, subscription_id, type
        Its name, and what goes where.
    state, attempts, due_at
        Where it stands, how often it was tried, and when it is next.
    last_status, last_error
        What the last try came to: an HTTP status, or the kind of failure.
    delivered_at
        When it arrived.
    """

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


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery that its holder is to make now: what to send, where, signed with what, and the lease."""

    delivery_id: str
    message_id: str
    url: str
    secret: str
    body: str
    attempts: int
    lease: str


def announce(
    connection: Connection, type_: str, events: Sequence[Mapping[str, Any]], now: datetime | None = None
) -> int:
    """Put messages into the outbox, in the transaction in which what they tell of happens.

    Parameters
    ----------
    connection
        A transaction that writes.
    type_
        One of `EVENT_TYPES`.
    events
        What each message says, as plain JSON values; never a comment.
    now
        When it happened; this moment where None.

    Returns
    -------
    int
        Deliveries; 0 where nobody wants this type, and then nothing is kept.
    """
    rows = connection.execute(
        select(webhook_subscriptions.c.subscription_id, webhook_subscriptions.c.events).where(
            webhook_subscriptions.c.active
        )
    )
    wanted_by = [row.subscription_id for row in rows if type_ in row.events]
    if not wanted_by or not events:
        return 0
    now = now or datetime.now(UTC)
    messages: list[dict[str, Any]] = []
    for event in events:
        said = {"type": type_, "timestamp": now.isoformat(), "data": dict(event)}
        body = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        about = {"response_id": event.get("response_id")}
        messages.append(
            {"message_id": _new_id("msg"), "type": type_, "body": body, "created_at": now} | about
        )
    deliveries = [
        {
            "delivery_id": _new_id("dlv"),
            "message_id": message["message_id"],
            "subscription_id": subscription,
            "state": "pending",
            "attempts": 0,
            "due_at": now,
        }
        for message in messages
        for subscription in wanted_by
    ]
    connection.execute(webhook_messages.insert(), messages)
    connection.execute(webhook_deliveries.insert(), deliveries)
    return len(deliveries)


def delay_after(attempts: int, dice: Random) -> timedelta:
    """Give how long to wait after so many failed tries: doubling, with half of it left to chance.

    References
    ----------
    Brooker, M. (2015). Exponential Backoff And Jitter. AWS Architecture Blog.
    """
    doubled = FIRST_DELAY * 2.0 ** min(attempts - 1, 32)
    return min(doubled, LONGEST_DELAY) * dice.uniform(0.5, 1.0)


class Outbox:
    """The subscriptions and deliveries of a store.

    Parameters
    ----------
    store
        Where they are.
    max_attempts
        Tries before a delivery is dead.
    dice
        For the delays.
    """

    def __init__(self, store: Store, max_attempts: int = 14, dice: Random | None = None) -> None:
        self._store, self.max_attempts, self._dice = store, max_attempts, dice or Random()

    def subscribe(
        self, url: str, events: Sequence[EventType], secret: str, description: str, now: datetime
    ) -> Subscription:
        """Add a subscription."""
        made = Subscription(_new_id("sub"), url, tuple(dict.fromkeys(events)), description, True, now)
        values = {name: getattr(made, name) for name in made.__slots__}
        with self._store.writing() as connection:
            connection.execute(
                webhook_subscriptions.insert().values(
                    **values | {"events": list(made.events), "secret": secret}
                )
            )
        return made

    def subscriptions(self) -> list[Subscription]:
        """Give all subscriptions, oldest first; their secrets stay here."""
        columns = [webhook_subscriptions.c[name] for name in Subscription.__slots__]
        order = (webhook_subscriptions.c.created_at, webhook_subscriptions.c.subscription_id)
        with self._store.reading() as connection:
            rows = connection.execute(select(*columns).order_by(*order)).all()
        return [Subscription(**{**row._mapping, "events": tuple(row.events)}) for row in rows]

    def unsubscribe(self, subscription_id: str) -> None:
        """Drop a subscription and what was on its way there; raises `NotFoundError`."""
        of_it = webhook_subscriptions.c.subscription_id == subscription_id
        with self._store.writing() as connection:
            if not connection.execute(delete(webhook_subscriptions).where(of_it)).rowcount:
                raise NotFoundError("there is no such subscription")

    def deliveries(
        self,
        state: DeliveryState | None = None,
        subscription_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Delivery], str | None]:
        """Give some deliveries, newest first, and the cursor of those after them, None after the last.

        Raises
        ------
        InputError
            If the cursor is not one that a page of deliveries gave.
        """
        told, key = webhook_messages.c.created_at, webhook_deliveries.c.delivery_id
        query = _deliveries().add_columns(told).order_by(told.desc(), key.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(webhook_deliveries.c.state == state)
        if subscription_id is not None:
            query = query.where(webhook_deliveries.c.subscription_id == subscription_id)
        if cursor is not None:
            moment, name = position_of(cursor, _LIST, 2)
            at = literal(moment_of(moment), UtcDateTime())
            query = query.where(tuple_(told, key) < tuple_(at, literal(name)))
        with self._store.reading() as connection:
            rows = connection.execute(query).all()
        found = [Delivery(*row[:-1]) for row in rows[:limit]]
        if len(rows) <= limit:
            return found, None
        return found, cursor_of(_LIST, rows[limit - 1].created_at.isoformat(), found[-1].delivery_id)

    def redeliver(self, delivery_id: str, now: datetime) -> Delivery:
        """Send a message again, with all its tries before it; raises `NotFoundError`."""
        of_it = webhook_deliveries.c.delivery_id == delivery_id
        again = {"state": "pending", "attempts": 0, "due_at": now, "lease": None, "leased_until": None}
        with self._store.writing() as connection:
            if not connection.execute(update(webhook_deliveries).where(of_it).values(**again)).rowcount:
                raise NotFoundError("there is no such delivery")
            return Delivery(**connection.execute(_deliveries().where(of_it)).one()._mapping)

    def waiting(self, now: datetime) -> list[str]:
        """Name the subscriptions for which something is due that nobody has taken."""
        its = webhook_deliveries.c.subscription_id == webhook_subscriptions.c.subscription_id
        due = exists(select(1).where(its, *_due(now)))
        query = select(webhook_subscriptions.c.subscription_id).where(webhook_subscriptions.c.active, due)
        with self._store.reading() as connection:
            return list(connection.scalars(query.order_by(webhook_subscriptions.c.subscription_id)))

    def take(
        self, now: datetime, lease: timedelta, limit: int = 20, subscription_id: str | None = None
    ) -> list[Parcel]:
        """Take deliveries that are due, of one subscription or of all; nobody else gets them in the lease."""
        asked = select(webhook_subscriptions.c.subscription_id).where(webhook_subscriptions.c.active)
        ids = select(webhook_deliveries.c.delivery_id).where(
            *_due(now), webhook_deliveries.c.subscription_id.in_(asked)
        )
        if subscription_id is not None:
            ids = ids.where(webhook_deliveries.c.subscription_id == subscription_id)
        with self._store.reading() as connection:  # mostly there are none, and nobody need wait
            if connection.execute(ids.limit(1)).first() is None:
                return []
        with self._store.writing() as connection:
            oldest = ids.order_by(webhook_deliveries.c.due_at).limit(limit)
            taken = list(connection.scalars(oldest.with_for_update(skip_locked=True)))
            token = secrets.token_hex(8)
            of_them = webhook_deliveries.c.delivery_id.in_(taken)
            connection.execute(
                update(webhook_deliveries).where(of_them).values(lease=token, leased_until=now + lease)
            )
            rows = connection.execute(_parcels().where(of_them).order_by(webhook_deliveries.c.due_at)).all()
        return [Parcel(**row._mapping) for row in rows]

    def give_back(self, parcels: Sequence[Parcel]) -> None:
        """Let go what was taken and not tried, before the lease ends."""
        if not parcels:
            return
        mine = tuple_(webhook_deliveries.c.delivery_id, webhook_deliveries.c.lease).in_(
            [(parcel.delivery_id, parcel.lease) for parcel in parcels]
        )
        with self._store.writing() as connection:
            connection.execute(update(webhook_deliveries).where(mine).values(lease=None, leased_until=None))

    def arrived(self, parcel: Parcel, status: int, now: datetime) -> bool:
        """Note that a delivery was made; False where the lease had gone to somebody else."""
        done = {"state": "delivered", "attempts": parcel.attempts + 1, "delivered_at": now}
        return self._settle(parcel, done | {"last_status": status, "last_error": None})

    def failed(self, parcel: Parcel, status: int | None, error: str, now: datetime) -> datetime | None:
        """Note that a try failed: it waits, or is dead.

        A status of 410 (gone) ends the subscription, as the Standard Webhooks specification has it.

        Returns
        -------
        datetime or None
            When such a delivery is tried again, also where this one is dead: sooner the address most likely
            fails again. None where the lease had gone to somebody else.
        """
        attempts = parcel.attempts + 1
        again = now + delay_after(attempts, self._dice)
        values: dict[str, Any] = {"attempts": attempts, "last_status": status, "last_error": error}
        if status == 410 or attempts >= self.max_attempts:
            values["state"] = "dead"
        else:
            values["due_at"] = again
        return again if self._settle(parcel, values, gone=status == 410) else None

    def _settle(self, parcel: Parcel, values: dict[str, Any], *, gone: bool = False) -> bool:
        mine = (
            webhook_deliveries.c.delivery_id == parcel.delivery_id,
            webhook_deliveries.c.lease == parcel.lease,
        )
        values |= {"lease": None, "leased_until": None}
        with self._store.writing() as connection:
            held = connection.execute(update(webhook_deliveries).where(*mine).values(**values)).rowcount == 1
            if held and gone:
                its = select(webhook_deliveries.c.subscription_id).where(
                    webhook_deliveries.c.delivery_id == parcel.delivery_id
                )
                of_it = webhook_subscriptions.c.subscription_id == its.scalar_subquery()
                connection.execute(update(webhook_subscriptions).where(of_it).values(active=False))
        return held

    def prune(self, before: datetime) -> int:
        """Drop messages from before a moment, unless one of their deliveries is pending or dead."""
        kept = exists(
            select(1).where(
                webhook_deliveries.c.message_id == webhook_messages.c.message_id,
                webhook_deliveries.c.state != "delivered",
            )
        )
        with self._store.writing() as connection:
            old = delete(webhook_messages).where(webhook_messages.c.created_at < before, ~kept)
            return connection.execute(old).rowcount


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    until = webhook_deliveries.c.leased_until
    free = or_(until.is_(None), until <= now)
    return (webhook_deliveries.c.state == "pending", webhook_deliveries.c.due_at <= now, free)


def _deliveries() -> Any:
    columns = [
        (webhook_messages if name == "type" else webhook_deliveries).c[name] for name in Delivery.__slots__
    ]
    joined = webhook_deliveries.c.message_id == webhook_messages.c.message_id
    return select(*columns).join(webhook_messages, joined)


def _parcels() -> Any:
    return (
        select(
            webhook_deliveries.c.delivery_id,
            webhook_deliveries.c.message_id,
            webhook_subscriptions.c.url,
            webhook_subscriptions.c.secret,
            webhook_messages.c.body,
            webhook_deliveries.c.attempts,
            webhook_deliveries.c.lease,
        )
        .join(webhook_messages, webhook_deliveries.c.message_id == webhook_messages.c.message_id)
        .join(
            webhook_subscriptions,
            webhook_deliveries.c.subscription_id == webhook_subscriptions.c.subscription_id,
        )
    )


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"
