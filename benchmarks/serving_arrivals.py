"""Requests that arrive on a clock, whether or not the ones before were answered, over many connections.

One protocol object for each connection and a few lines for each answer: a request costs this client less
than it costs the coroutine for each client of `serving_load`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

PATIENCE_S = 60.0
"""An answer that takes longer counts as none."""


@dataclass
class Tally:
    """What became of requests.

    Attributes
    ----------
    latencies
        Seconds from when a request was due to its answer, of those with status 200.
    statuses
        Answers by status; 0 for a connection that broke, -1 for no answer within `PATIENCE_S`.
    bare
        Answers 429 without ``Retry-After``.
    unsent
        Requests for which no connection was left: the client's own bound, not the server's.
    """

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    bare: int = 0
    unsent: int = 0

    def figures(self, seconds: float) -> dict[str, object]:
        """Give goodput, percentiles and counts over so many seconds."""
        good = np.array(self.latencies or [np.nan]) * 1000
        p50, p99 = (float(x) for x in np.percentile(good, [50, 99]))
        return {
            "goodput": len(self.latencies) / seconds,
            "p50_ms": p50,
            "p99_ms": p99,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "bare_429": self.bare,
            "unsent": self.unsent,
        }

    def failures(self) -> int:
        """Give how many requests were answered with neither 200 nor a whole 429."""
        others = sum(count for status, count in self.statuses.items() if status not in (200, 429))
        return others + self.bare


class Bodies:
    """Bodies of ``/v1/tag`` with one comment each, no two alike: equal ones would be read once for all."""

    def __init__(self, comments: Sequence[str], seed: int = 0) -> None:
        marked = [json.dumps({"responses": [{"comment": f"{text} ~~"}]}).encode() for text in comments]
        self._parts = [tuple(body.split(b"~~")) for body in marked]
        self._random, self._number = random.Random(seed), 0

    def next(self) -> bytes:
        """Give another one."""
        self._number += 1
        before, after = self._parts[self._random.randrange(len(self._parts))]
        return b"%s%d%s" % (before, self._number, after)


class _Link(asyncio.Protocol):
    """A connection: sends a request at a time, and tells of its answer."""

    def __init__(self, told: Callable[[_Link, int, bool], None]) -> None:
        self._told, self._buffer, self._transport = told, b"", None
        self.due = self.began = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        self.busy, self.due = True, due
        self._transport.write(request)  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        self._buffer = data if not self._buffer else self._buffer + data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer, self.busy = b"", False
        self._told(self, int(head[9:12]), b"\r\nretry-after:" in head)

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        if self.busy:
            self.busy = False
            self._told(self, 0, False)

    @property
    def open(self) -> bool:
        return self._transport is not None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()  # type: ignore[attr-defined]


class Arrivals:
    """Sends requests to a server on this machine, and tallies the answers.

    Parameters
    ----------
    port, path, bodies
        Where to, and what.
    connections
        At most so many are open.
    """

    def __init__(self, port: int, path: str, bodies: Bodies, connections: int) -> None:
        self._port, self._bodies, self._most = port, bodies, connections
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self._free: list[_Link] = []
        self._all: set[_Link] = set()
        self._opening = 0
        self._closed_loop_until = 0.0
        self.tally = Tally()
        self.most_open = 0

    def _request(self) -> bytes:
        body = self._bodies.next()
        return b"%s%d\r\n\r\n%s" % (self._head, len(body), body)

    def _told(self, link: _Link, status: int, retry_after: bool) -> None:
        now = time.perf_counter()
        self.tally.statuses[status] += 1
        if status == 200:
            self.tally.latencies.append(now - link.due)
        elif status == 429 and not retry_after:
            self.tally.bare += 1
        if not link.open:
            self._all.discard(link)
        elif now < self._closed_loop_until:
            link.send(self._request(), now)
        else:
            self._free.append(link)

    async def _open(self, due: float) -> None:
        self._opening += 1
        try:
            loop = asyncio.get_running_loop()
            _, link = await loop.create_connection(lambda: _Link(self._told), "127.0.0.1", self._port)
        except OSError:
            self.tally.statuses[0] += 1
            return
        finally:
            self._opening -= 1
        self._all.add(link)
        self.most_open = max(self.most_open, len(self._all))
        link.send(self._request(), due)

    def _arrive(self, due: float, opening: set[asyncio.Task[None]]) -> None:
        while self._free:
            link = self._free.pop()
            if link.open:
                link.send(self._request(), due)
                return
            self._all.discard(link)
        if len(self._all) + self._opening >= self._most:
            self.tally.unsent += 1
            return
        task = asyncio.create_task(self._open(due))
        opening.add(task)
        task.add_done_callback(opening.discard)

    def take(self) -> Tally:
        """Give what was tallied since the last time."""
        self.tally, before = Tally(), self.tally
        return before

    async def closed_loop(self, clients: int, seconds: float, warm_up: float) -> dict[str, object]:
        """Let clients send the next request as soon as the last is answered; give the figures."""
        self._closed_loop_until = time.perf_counter() + warm_up + seconds
        await asyncio.gather(*(self._open(time.perf_counter()) for _ in range(clients)))
        await asyncio.sleep(warm_up)
        self.take()
        began = time.perf_counter()
        await asyncio.sleep(seconds)
        figures = self.take().figures(time.perf_counter() - began)
        self._closed_loop_until = 0.0
        await self.drain()
        self.take()
        return {"clients": clients, **figures}

    async def at_rate(self, rate: float, seconds: float, seed: int = 0) -> None:
        """Let requests arrive at random, so many a second on average, for so long."""
        chance, opening = random.Random(seed), set[asyncio.Task[None]]()
        end = time.perf_counter() + seconds
        due = time.perf_counter() + chance.expovariate(rate)
        while due < end:
            now = time.perf_counter()
            while due <= now:
                self._arrive(due, opening)
                due += chance.expovariate(rate)
            await asyncio.sleep(max(0.001, min(due, end) - now))

    async def drain(self) -> None:
        """Wait for the answers that are out, at most `PATIENCE_S`, and close the connections."""
        end = time.perf_counter() + PATIENCE_S
        while (self._opening or any(link.busy for link in self._all)) and time.perf_counter() < end:
            await asyncio.sleep(0.05)
        for link in [link for link in self._all if link.busy]:
            link.busy = False
            self.tally.statuses[-1] += 1
        for link in self._all:
            link.close()
        self._all.clear()
        self._free.clear()
