"""The thread that fetches what survey tools have only named; any number of processes may have one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from data.errors import InputError, ModelError
from data.scale import Scale
from data.source_notices import SourceNotices, TakenNotice
from data.store import Store
from serving.connectors.configuration import Connectors
from serving.connectors.fetching import TIMEOUT_SECONDS, Fetcher, FetchError, GoneError
from serving.connectors.receiving import keep
from serving.customer_loop import CustomerLoop
from serving.ingest import ResponseTagger
from serving.turning_thread import AFTER_FAULT_SECONDS, TurningThread

log = logging.getLogger("whyscore.serving")

BATCH = 5
LEASE = timedelta(seconds=5 * TIMEOUT_SECONDS * BATCH)
"""Longer than a batch can take; what a killed process held is fetched by another after it."""


class NoticeWorker(TurningThread):
    """Fetches, tags and stores what is due, again and again, until it is told to stop.

    Parameters
    ----------
    loop
        Where notices and connectors are.
    fetcher
        Asks the tools.
    tagger
        Gives the model; raises `ModelError` where there is none.
    store, scale
        Where responses go, and the scale of their scores.
    """

    def __init__(
        self,
        loop: CustomerLoop,
        fetcher: Fetcher,
        tagger: Callable[[], ResponseTagger],
        store: Store,
        scale: Scale,
    ) -> None:
        super().__init__("notices", patience=TIMEOUT_SECONDS)
        self._notices: SourceNotices = loop.notices
        self._connectors: Connectors = loop.connectors
        self._now: Callable[[], datetime] = loop.now
        self._fetcher, self._tagger, self._store, self._scale = fetcher, tagger, store, scale

    def turn(self) -> int:
        """See to what is due now; give how many notices that were."""
        tagger = None
        taken = self._notices.take(self._now(), LEASE, BATCH)
        for one in taken:
            if self._ended.is_set():
                break  # the rest is somebody's again when the lease ends
            try:
                tagger = tagger or self._tagger()
            except ModelError:  # nothing is wrong with the notice: it waits for a model
                self._notices.failed(one, self._now(), timedelta(seconds=AFTER_FAULT_SECONDS))
                continue
            self._see_to(one, tagger)
        return len(taken)

    def rest(self, seconds: float) -> None:
        """Wait, at most until a notice comes."""
        self._notices.came.wait(seconds)
        self._notices.came.clear()

    def wake(self) -> None:
        """End a rest as a notice does."""
        self._notices.came.set()

    def let_go(self) -> None:
        """Close the fetcher's connections."""
        self._fetcher.close()

    def _see_to(self, taken: TakenNotice, tagger: ResponseTagger) -> None:
        notice = taken.notice
        try:
            connector, address, token = self._connectors.address_of(notice)
            payload = self._fetcher.get(address, token)
            records = connector.records(payload)
            keep(notice.source, records, tagger, self._store, self._scale)
        except GoneError:
            log.info("notices: source %s no longer has a response that it named", notice.source)
        except FetchError as error:
            self._put_back(taken, error.reason, error.wait)
            return
        except InputError as error:
            self._put_back(taken, error.message, None)
            return
        self._notices.done(taken, self._now())

    def _put_back(self, taken: TakenNotice, reason: str, wait: timedelta | None) -> None:
        again = self._notices.failed(taken, self._now(), wait)
        left = "it is tried again" if again else "it is given up"
        log.warning("notices: a response of source %s: %s; %s", taken.notice.source, reason, left)
