"""uvicorn's HTTP protocol with a clock: it waits for ever for a first request, and for a begun one's rest."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADER_SECONDS = 10.0
"""For a request's headers to arrive in full; then the connection is closed."""


class TimedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # which of two, uvicorn chooses
    """Closes a connection whose request does not begin, or whose headers do not end, in time."""

    header_seconds = HEADER_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for a first request, but not for ever."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, error: Exception | None) -> None:
        """Let go."""
        self._unwatch()
        super().connection_lost(error)

    @property
    def _waiting(self) -> bool:
        return self.cycle is None or bool(self.cycle.response_complete)

    def _watch(self) -> None:
        if not self._waiting:
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.header_seconds, self._close)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._deadline = None
        if self._waiting:
            self.transport.close()
