"""The thread that delivers webhooks and notices deadlines; any number of processes may have one."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from data.errors import WhyscoreError
from serving.customer_loop import CustomerLoop
from serving.webhook_delivery import TIMEOUT_SECONDS, Courier

log = logging.getLogger("whyscore.serving")

POLL_SECONDS = 1.0
BATCH = 10
LEASE = timedelta(seconds=4 * TIMEOUT_SECONDS * BATCH)
"""Longer than a batch can take; what a killed process held is sent again after it."""

KEEP = timedelta(days=30)
"""How long messages that arrived are kept."""


class WebhookWorker(threading.Thread):
    """Delivers what is due, again and again, until it is told to stop.

    Parameters
    ----------
    loop
        Where messages and deadlines are.
    courier
        Takes messages out.
    """

    def __init__(self, loop: CustomerLoop, courier: Courier) -> None:
        super().__init__(name="whyscore-webhooks", daemon=True)
        self._loop, self._courier = loop, courier
        self._ended = threading.Event()
        self._pruned = loop.now()

    def run(self) -> None:
        """Work until `stop`; a failure is logged by its kind, and the work goes on after a while."""
        wait = 0.0
        while not self._ended.wait(wait):
            try:
                wait = 0.0 if self.turn() else POLL_SECONDS
            except WhyscoreError as error:
                log.error("webhooks: %s", error.message)
                wait = 10 * POLL_SECONDS
            except Exception as error:  # whatever it is, the next turn may go well
                log.error("webhooks: %s", type(error).__name__)
                wait = 10 * POLL_SECONDS
        self._courier.close()

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

    def stop(self) -> None:
        """End after the delivery that is under way."""
        self._ended.set()
        self.join(2 * TIMEOUT_SECONDS)
