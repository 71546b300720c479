"""The thread that delivers webhooks and notices deadlines; any number of processes may have one.

Subscriptions do not wait for each other. A small pool of threads serves several side by side, each of them
one delivery after another; whoever was served longest ago comes first. One whose address fails is left alone
until the message that failed is due again: the others that wait for it would most likely fail too.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from serving.customer_loop import CustomerLoop
from serving.turning_thread import TurningThread
from serving.webhook_delivery import DEADLINE_SECONDS, TIMEOUT_SECONDS, Courier

BATCH = 10
"""Deliveries of one subscription that are taken at once."""

AT_ONCE = 8
"""Subscriptions that are served side by side: they mostly wait for the network."""

TURN_SECONDS = 2.0
"""How long a turn waits for those that it serves; at worst, others wait as long."""

LEASE = timedelta(seconds=4 * TIMEOUT_SECONDS * BATCH)
"""Longer than a batch can take; what a killed process held is sent again after it."""

LONGEST_REST = timedelta(minutes=5)
"""How long a failure holds up other messages at most: a receiver may refuse one message alone, for hours."""

KEEP = timedelta(days=30)
"""How long messages that arrived are kept."""


class WebhookWorker(TurningThread):
    """Delivers what is due, again and again, until it is told to stop.

    Parameters
    ----------
    loop
        Where messages and deadlines are.
    courier
        Takes messages out.
    """

    def __init__(self, loop: CustomerLoop, courier: Courier) -> None:
        super().__init__("webhooks", patience=DEADLINE_SECONDS)
        self._loop, self._courier = loop, courier
        self._pruned = loop.now()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="whyscore-webhooks")
        self._under_way: dict[str, Future[tuple[int, datetime | None]]] = {}
        self._served: dict[str, None] = {}  # subscriptions, the last to be served last
        self._resting: dict[str, datetime] = {}  # subscriptions that failed, and until when

    def turn(self) -> int:
        """Do what is due now; give how many deliveries were tried.

        It waits until one subscription is done with, and not for long: those that take longer go on, and are
        counted in a later turn.
        """
        loop = self._loop
        now = loop.now()
        loop.follow_ups.mark_overdue(now)
        if now - self._pruned > timedelta(hours=1):
            self._pruned = now
            loop.outbox.prune(now - KEEP)
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        self._start([name for name in loop.outbox.waiting(now) if name not in self._resting])
        wait(self._under_way.values(), TURN_SECONDS, FIRST_COMPLETED)
        total = 0
        for name in [name for name, serving in self._under_way.items() if serving.done()]:
            tried, until = self._under_way.pop(name).result()
            total += tried
            if until is not None:
                self._resting[name] = until
        return total

    def _start(self, waiting: list[str]) -> None:
        """Serve the subscriptions that wait, as far as there are threads; first those that had none yet."""
        since = {name: place for place, name in enumerate(self._served, start=1)}
        idle = [name for name in waiting if name not in self._under_way]
        idle.sort(key=lambda name: since.get(name, 0))
        for name in idle[: AT_ONCE - len(self._under_way)]:
            self._served.pop(name, None)
            self._served[name] = None
            self._under_way[name] = self._pool.submit(self._serve, name)

    def _serve(self, subscription_id: str) -> tuple[int, datetime | None]:
        """Make some deliveries of a subscription, until one fails or they take long.

        It gives how many and, after a failure, until when the subscription is left alone.
        """
        loop, tried, enough, until = self._loop, 0, False, None
        end = time.monotonic() + DEADLINE_SECONDS
        parcels = loop.outbox.take(loop.now(), LEASE, BATCH, subscription_id)
        for parcel in parcels:
            if enough or self._ended.is_set():
                break
            status, failure = self._courier.deliver(parcel, loop.now())
            tried, enough = tried + 1, time.monotonic() > end
            if failure is None and status is not None:
                loop.outbox.arrived(parcel, status, loop.now())
            else:
                now = loop.now()
                due = loop.outbox.failed(parcel, status, failure or "", now)
                until = None if due is None else min(due, now + LONGEST_REST)
                enough = True
        loop.outbox.give_back(parcels[tried:])
        return tried, until

    def let_go(self) -> None:
        """End after the deliveries that are under way, and close the courier's connections."""
        self._pool.shutdown(cancel_futures=True)
        self._courier.close()
