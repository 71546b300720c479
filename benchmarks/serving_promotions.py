"""What clients notice when the champion changes a hundred times while they ask.

Hypothesis: every answer is 200 and names a version that was the champion when it was asked for, or within
`PATIENCE_S` before; after each promotion that stays, the server serves it within `PATIENCE_S`; no model is
refused; and memory at the end is at most 5% and 10 MB above that around the tenth promotion, both the median
of ten promotions: while a model is loaded beside the old one a server holds some 60 MB more, and one look
may or may not meet that. Run: ``python benchmarks/serving_promotions.py --model
models:/reason-codes@champion``; ``--tiny`` shows in a minute or two with a small model that all of it goes
through.

The model is registered twice in a registry of the benchmark's own (``--second`` takes another one for
version 2). The server follows it with its own settings. Promotions come at random intervals, some sooner
than the server looks, through the registry's functions, every fifth over HTTP and every twentieth by the
command line. The delay of a promotion counts from when it was done to the sending of the first request that
the new version answered; one that was overtaken by the next has none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from serving_arrivals import Bodies
from serving_batch import texts
from serving_load import Running, free_port, whyscore_server
from small_model import make_small_model

from data.settings import Settings
from model.registry import find_model
from model.versions import promote

HERE = Path(__file__).resolve().parent
PATIENCE_S = 10.0
SETTLED = slice(5, 15)  # promotions whose memory the last ten are held against
MEMORY_SHARE, MEMORY_MB = 1.05, 10.0


class Watch(threading.Thread):
    """Clients in a thread of their own, each with a connection; notes who answered which request when.

    Attributes
    ----------
    answers
        When each request was sent and answered, and by which version.
    failures
        Statuses other than 200; 0 for a connection that broke.
    """

    def __init__(self, port: int, clients: int) -> None:
        super().__init__(name="clients", daemon=True)
        self._port, self._clients = port, clients
        self.answers: list[tuple[float, float, int]] = []
        self.failures: Counter[int] = Counter()
        self._latest: dict[int, float] = {}
        self._over = False

    def run(self) -> None:
        """Ask until `end`."""
        asyncio.run(self._ask_together())

    def end(self) -> None:
        """Let the clients finish."""
        self._over = True
        self.join()

    def served_since(self, version: int, moment: float) -> float | None:
        """Give when a request was sent, after a moment, that a version answered; None where none was."""
        latest = self._latest.get(version, 0.0)
        return latest if latest > moment else None

    async def _ask_together(self) -> None:
        await asyncio.gather(*(self._ask(number) for number in range(self._clients)))

    async def _ask(self, number: int) -> None:
        bodies, link = Bodies(texts(2000), number), None
        while not self._over:
            body = bodies.next()
            head = "POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            sent = time.perf_counter()
            try:
                link = link or await asyncio.open_connection("127.0.0.1", self._port)
                link[1].write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                status, answer = await _answer(link[0])
            except (OSError, asyncio.IncompleteReadError, ValueError):
                link, status = None, 0
            if status == 200:
                version = int(json.loads(answer)["model"].split("/")[1])
                self.answers.append((sent, time.perf_counter(), version))
                self._latest[version] = max(sent, self._latest.get(version, 0.0))
            else:
                self.failures[status] += 1
        if link is not None:
            link[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    return int(head.split(None, 2)[1]), await reader.readexactly(int(length.partition(":")[2]))


def two_versions(home: Path, first: Path, second: Path) -> Settings:
    """Make a registry with two versions, the first of them the champion."""
    from training.registration import register_model

    settings = Settings(home=home)
    for folder in (first, second):
        register_model(folder, settings, {}, {}, {})
    promote(1, settings)
    return settings


def promote_through(way: str, version: int, settings: Settings, port: int) -> None:
    """Make a version the champion: through the registry, over HTTP, or by the command line."""
    if way == "registry":
        promote(version, settings)
    elif way == "http":
        address = f"http://127.0.0.1:{port}/v1/models/{version}/promote"
        request = urllib.request.Request(address, b"", {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
    else:
        command = [sys.executable, "-m", "whyscore", "models", "promote", str(version)]
        there = {"WHYSCORE_HOME": str(settings.home), "PYTHONPATH": str(HERE.parent)}
        subprocess.run(command, env=os.environ | there, check=True, capture_output=True)


def alternate(
    running: Running, watch: Watch, settings: Settings, count: int, pause_s: float, ways: Sequence[str]
) -> list[dict[str, Any]]:
    """Promote the other version again and again; give what was noted of each promotion."""
    dice, done = random.Random(0), []
    for number in range(count):
        version, way = 2 - number % 2, ways[number % len(ways)]
        began = time.perf_counter()
        promote_through(way, version, settings, running.port)
        made = time.perf_counter()
        # Some promotions are overtaken by the next before the server has looked.
        hasty = dice.random() < 0.2 and number + 1 < count
        end, served = made + (dice.uniform(0, 2) if hasty else PATIENCE_S), None
        while served is None and time.perf_counter() < end:
            time.sleep(0.005)
            served = watch.served_since(version, made)
        time.sleep(dice.expovariate(1 / pause_s))
        done.append(
            {
                "version": version,
                "way": way,
                "began": began,
                "made": made,
                "delay_s": None if served is None else served - made,
                "overtaken": served is None and hasty,
                "memory_mb": running.memory_mb(),  # at the end of the pause: the old model was let go
            }
        )
    return done


def strangers(answers: Sequence[tuple[float, float, int]], done: Sequence[dict[str, Any]]) -> int:
    """Count answers by a version that had not been the champion within `PATIENCE_S` of the request."""
    starts = [float("-inf"), *(row["began"] for row in done)]
    ends = [*(row["made"] for row in done), float("inf")]
    reigns = list(zip([1, *(row["version"] for row in done)], starts, ends, strict=True))
    wrong = 0
    for sent, got, version in answers:
        fits = (v == version and start <= got and end + PATIENCE_S >= sent for v, start, end in reigns)
        wrong += not any(fits)
    return wrong


def judge(watch: Watch, done: list[dict[str, Any]], log: str) -> dict[str, Any]:
    """Give the summary, with what of the hypothesis does not hold, each in a sentence."""
    delays = [row["delay_s"] for row in done if row["delay_s"] is not None]
    p50, p95 = (float(x) for x in np.percentile(delays or [np.nan], [50, 95]))
    memory = [row["memory_mb"] for row in done]
    settled, end = float(np.median(memory[SETTLED] or memory)), float(np.median(memory[-10:]))
    odd = strangers(watch.answers, done)
    late = sum(row["delay_s"] is None and not row["overtaken"] for row in done)
    wrong = []
    if watch.failures:
        wrong.append(f"requests failed: {dict(watch.failures)}")
    if odd:
        wrong.append(f"{odd} answers named a version that was not the champion")
    if late:
        wrong.append(f"{late} promotions were not served within {PATIENCE_S:g} s")
    if end > MEMORY_SHARE * settled + MEMORY_MB:
        wrong.append(f"memory grew from {settled:.0f} to {end:.0f} MB")
    if "refused" in log or "Traceback" in log:
        wrong.append("the server's log tells of a refused model or a fault")
    return {
        "promotions": len(done),
        "served": len(delays),
        "overtaken": sum(row["overtaken"] for row in done),
        "answers": len(watch.answers),
        "failures": {str(status): count for status, count in watch.failures.items()},
        "delay_p50_s": p50,
        "delay_p95_s": p95,
        "delay_most_s": max(delays, default=float("nan")),
        "memory_settled_mb": settled,
        "memory_end_mb": end,
        "memory_most_mb": max(memory),
        "wrong": wrong,
    }


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, keep the figures as JSON; give 1 where the hypothesis does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="a folder, or as MLflow names it; default the champion")
    parser.add_argument("--second", help="of version 2; default the same")
    parser.add_argument("--promotions", type=int, default=100)
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between two promotions")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--tiny", action="store_true", help="a small model and ten promotions")
    parser.add_argument("--output", type=Path, default=HERE / "out" / "serving" / "promotions.json")
    arguments = parser.parse_args(given)
    ways = ["http" if n % 5 == 1 else "cli" if n % 20 == 12 else "registry" for n in range(20)]
    with tempfile.TemporaryDirectory(prefix="serving-") as scratch:
        place = Path(scratch)
        if arguments.tiny:
            arguments.promotions, arguments.engine, ways = 10, "onnx", ways[-10:]
            first = second = find_model(None, make_small_model(place / "made")).folder
        else:
            first = find_model(arguments.model, Settings()).folder
            second = find_model(arguments.second, Settings()).folder if arguments.second else first
        settings = two_versions(place / "home", first, second)
        server = whyscore_server(
            settings.home,
            *("--workers", str(arguments.workers)),
            WHYSCORE_THREADS=str(arguments.threads),
            WHYSCORE_ENGINE=arguments.engine,
            WHYSCORE_RATE_LIMIT="none",
        )
        log = place / "log"
        with Running(server, free_port(), log) as running:
            watch = Watch(running.port, arguments.clients)
            watch.start()
            done = alternate(running, watch, settings, arguments.promotions, arguments.pause, ways)
            watch.end()
        summary = judge(watch, done, log.read_text(encoding="utf-8", errors="replace"))
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "workers": arguments.workers,
        "clients": arguments.clients,
        "summary": summary,
        "promotions": done,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, value in summary.items():
        print(f"{name:20}{value}")
    return 1 if summary["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
