"""The thread that delivers webhooks and notices deadlines; any number of processes may have one."""

from __future__ import annotations

from datetime import timedelta

from serving.customer_loop import CustomerLoop
from serving.turning_thread import TurningThread
from serving.webhook_delivery import TIMEOUT_SECONDS, Courier

BATCH = 10
LEASE = timedelta(seconds=4 * TIMEOUT_SECONDS * BATCH)
"""Longer than a batch can take; what a killed process held is sent again after it."""

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
        super().__init__("webhooks", patience=2 * TIMEOUT_SECONDS)
        self._loop, self._courier = loop, courier
        self._pruned = loop.now()

    def turn(self) -> int:
        """Do what is due now; give how many deliveries were tried."""
        loop = self._loop
        now = loop.now()
        loop.follow_ups.mark_overdue(now)
        if now - self._pruned > timedelta(hours=1):
            self._pruned = now
            loop.outbox.prune(now - KEEP)
        parcels = loop.outbox.take(now, LEASE, BATCH)
        for done, parcel in enumerate(parcels):
            if self._ended.is_set():
                return done  # the rest is somebody's again when the lease ends
            status, failure = self._courier.deliver(parcel, loop.now())
            if failure is None and status is not None:
                loop.outbox.arrived(parcel, status, loop.now())
            else:
                loop.outbox.failed(parcel, status, failure or "", loop.now())
        return len(parcels)

    def let_go(self) -> None:
        """Close the courier's connections."""
        self._courier.close()
