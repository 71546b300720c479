"""Clients that send one comment at a time over connections that stay open, and the watch over servers.

A client of our own, since httpx spends more on a request than some of the servers do.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class LoadFigures:
    """What a number of clients got in a while.

    Attributes
    ----------
    requests_per_second
        Answered with 200.
    p50_ms, p99_ms
        Of their latency.
    statuses
        How many answers had each status; 0 for a connection that broke.
    """

    clients: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]


@dataclass
class _Tally:
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def put_under_load(
    port: int, path: str, bodies: Sequence[bytes], clients: int, seconds: float, warm_up: float
) -> LoadFigures:
    """Let clients send bodies, each its own, the next as soon as the last is answered.

    Parameters
    ----------
    port, path
        Of the server on this machine.
    bodies
        JSON, at least as many as clients.
    clients
        At once.
    seconds, warm_up
        What counts, and what comes before.
    """
    return asyncio.run(_load(port, path, bodies, clients, seconds, warm_up))


async def _load(
    port: int, path: str, bodies: Sequence[bytes], clients: int, seconds: float, warm_up: float
) -> LoadFigures:
    start = time.perf_counter() + warm_up
    tally = _Tally()
    await asyncio.gather(
        *(_client(port, path, bodies[i::clients], start, start + seconds, tally) for i in range(clients))
    )
    good = np.array(tally.latencies or [np.nan]) * 1000
    rate = len(tally.latencies) / seconds
    p50, p99 = (float(x) for x in np.percentile(good, [50, 99]))
    return LoadFigures(clients, rate, p50, p99, dict(tally.statuses))


async def _client(
    port: int, path: str, bodies: Sequence[bytes], start: float, end: float, tally: _Tally
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    turn = 0
    while (began := time.perf_counter()) < end:
        body = bodies[turn % len(bodies)]
        turn += 1
        try:
            link = link or await asyncio.open_connection("127.0.0.1", port)
            link[1].write(f"{head}{len(body)}\r\n\r\n".encode() + body)
            status = await _answer(link[0])
        except (OSError, asyncio.IncompleteReadError, ValueError):
            link, status = None, 0
        done = time.perf_counter()
        if began >= start and done <= end:
            tally.statuses[status] += 1
            if status == 200:
                tally.latencies.append(done - began)
    if link is not None:
        link[1].close()
        with suppress(OSError):
            await link[1].wait_closed()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(None, 2)[1])
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(int(length.partition(":")[2]))
    return status


@dataclass(frozen=True)
class Server:
    """A server under measurement.

    Attributes
    ----------
    name
        For the table.
    command
        Starts it on a port: ``{port}`` stands for it.
    ready, path
        Addresses: answers 200 when it can work; takes a comment.
    body
        Makes the body of one comment.
    environment
        Variables besides those of this process.
    """

    name: str
    command: Sequence[str]
    ready: str
    path: str
    body: Callable[[str], bytes]
    environment: dict[str, str] = field(default_factory=dict)


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def whyscore_server(home: Path, *more: str, **environment: str) -> Server:
    """Give the product's own server on a home folder, with further arguments and variables."""
    command = [sys.executable, "-m", "whyscore", "serve", "--port", "{port}", *more]
    variables = {"PYTHONPATH": str(ROOT), "WHYSCORE_HOME": str(home.resolve()), **environment}
    return Server("Whyscore", command, "/readyz", "/v1/tag", whyscore_body, variables)


class Running:
    """A server that was started, until the end of its ``with``."""

    def __init__(self, server: Server, port: int, log: Path, patience_s: float = 180.0) -> None:
        self.server, self.port, self.log, self.patience_s = server, port, log, patience_s
        self.cold_start_s = float("nan")

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        command = [part.replace("{port}", str(self.port)) for part in self.server.command]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | self.server.environment,
            )

    def __enter__(self) -> Running:
        began = time.perf_counter()
        self.launch()
        while not self._ready():
            if self.process.poll() is not None or time.perf_counter() - began > self.patience_s:
                self.__exit__()
                raise RuntimeError(f"{self.server.name} did not start; see {self.log}")
            time.sleep(0.01)
        self.cold_start_s = time.perf_counter() - began
        return self

    def _ready(self) -> bool:
        with suppress(OSError):
            address = f"http://127.0.0.1:{self.port}{self.server.ready}"
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        return False

    def memory_mb(self) -> float:
        """Give the resident memory of the server and all that it started, shared pages counted once each."""
        group = os.getpgid(self.process.pid)
        total = 0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with suppress(OSError, ValueError):
                    if os.getpgid(int(folder.name)) == group:
                        rollup = (folder / "smaps_rollup").read_text(encoding="utf-8")
                        kind = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
                        total += int(kind.split()[1])
        return total / 1024

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def whyscore_body(comment: str) -> bytes:
    """Give the body that ``/v1/tag`` takes."""
    return json.dumps({"responses": [{"comment": comment}]}).encode()


def mlflow_body(comment: str) -> bytes:
    """Give the body that ``/invocations`` takes."""
    return json.dumps({"dataframe_split": {"columns": ["comment"], "data": [[comment]]}}).encode()
