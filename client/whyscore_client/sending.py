"""What each part of a client needs: to send a request and read its answer."""

from __future__ import annotations

from typing import TypeVar

from whyscore_client.calls import Call

Reply = TypeVar("Reply")


class Sends:
    """Sends requests, one after the other."""

    def _send(self, call: Call[Reply]) -> Reply:
        raise NotImplementedError


class AsyncSends:
    """Sends requests, and waits for none but its own."""

    async def _send(self, call: Call[Reply]) -> Reply:
        raise NotImplementedError
