"""What a server does when half as much again comes as it can do, for ten minutes.

Hypothesis: the answers 200 in a second (goodput) are at least 0.9 of what clients get that each wait for
their answer (capacity); whatever else is answered is 429 with Retry-After; no connection breaks; and memory
is flat: at the end at most 5% and 10 MB above that of minute 2. Run: ``python benchmarks/serving_overload.py
--model models:/reason-codes@champion`` on a machine that does nothing else; ``--tiny`` makes a small model
and shows in a minute that all of it goes through.

Capacity is the best of several numbers of clients. It is measured anew, with that number, after each of
several parts of the ten minutes, and goodput is held against the mean of the two measurements around it: a
shared machine may be a quarter quicker a few minutes later. Requests of one comment, no two alike, arrive at
random on a clock that waits for no answer; latencies count from when a request was due. The server holds
back waiting requests in connections, so the client may open thousands; one for which none is left is
counted as unsent and fails the hypothesis. The client shares the cores with the server: a protocol of our
own on uvloop, a request costs it some tens of microseconds; its share of the processor is printed. The
limit of requests for each address is off, so that the queue alone protects the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import uvloop
from serving_arrivals import Arrivals, Bodies
from serving_batch import texts
from serving_load import Running, free_port, whyscore_server
from small_model import make_small_model

from data.settings import Settings
from model.registry import find_model

HERE = Path(__file__).resolve().parent
LEAST_GOODPUT = 0.9
MEMORY_SHARE, MEMORY_MB = 1.05, 10.0
REFERENCE_INTERVAL = 2  # memory at the end of minute 2 is what the end is held against


async def measure(running: Running, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure capacity, then the same server under more than that, then capacity again."""
    arrivals = Arrivals(running.port, running.server.path, Bodies(texts(2000)), arguments.connections)
    closed = [
        await arrivals.closed_loop(clients, arguments.seconds, arguments.seconds / 4)
        for clients in arguments.clients
    ]
    best = max(closed, key=lambda figures: float(str(figures["goodput"])))
    clients, capacities = int(str(best["clients"])), [float(str(best["goodput"]))]
    intervals: list[dict[str, Any]] = []
    for _ in range(arguments.parts):
        rate = arguments.factor * capacities[-1]
        print(f"capacity {capacities[-1]:.0f} requests/s; {rate:.0f} arrive in a second now", flush=True)
        seconds = arguments.minutes * 60 / arguments.parts
        rows = await overload(running, arrivals, rate, seconds, arguments.interval, len(intervals))
        again = await arrivals.closed_loop(clients, arguments.seconds, arguments.seconds / 4)
        capacities.append(float(str(again["goodput"])))
        for row in rows:
            row["capacity"] = (capacities[-2] + capacities[-1]) / 2
        intervals += rows
    return {
        "closed_loop": closed,
        "clients": clients,
        "capacities": capacities,
        "capacity": sum(capacities) / len(capacities),
        "intervals": intervals,
        "most_connections": arrivals.most_open,
    }


async def overload(
    running: Running, arrivals: Arrivals, rate: float, seconds: float, interval: float, before: int = 0
) -> list[dict[str, Any]]:
    """Let requests arrive, and give what each interval came to; the last has the answers of the drain too."""
    arriving = asyncio.create_task(arrivals.at_rate(rate, seconds))
    intervals: list[dict[str, Any]] = []
    while not arriving.done():
        began, spent = time.perf_counter(), time.process_time()
        await asyncio.wait({arriving}, timeout=interval)
        wall = time.perf_counter() - began
        if arriving.done() and wall < interval / 2:
            break  # a sliver: it goes to the rest
        memory = await asyncio.to_thread(running.memory_mb)
        share = (time.process_time() - spent) / wall
        row = {**arrivals.tally.figures(wall), "memory_mb": memory, "client_cores": share}
        row["failures"] = arrivals.take().failures()
        intervals.append(row)
        print(line(before + len(intervals), row), flush=True)
    await arriving
    await arrivals.drain()
    rest = arrivals.take()
    if intervals:
        intervals[-1]["failures"] += rest.failures()
        intervals[-1]["unsent"] += rest.unsent
        intervals[-1]["drained"] = {str(status): count for status, count in rest.statuses.items()}
    return intervals


def line(number: int, row: dict[str, Any]) -> str:
    """Give an interval as a line of the table."""
    others = {k: v for k, v in row["statuses"].items() if k not in ("200", "429")}
    return (
        f"{number:>4}{row['goodput']:>10.0f}{row['statuses'].get('429', 0):>9}{row['p50_ms']:>10.0f}"
        f"{row['p99_ms']:>10.0f}{row['memory_mb']:>8.0f}{row['client_cores']:>9.2f}{row['unsent']:>8}"
        f"  {others}"
    )


def judge(found: dict[str, Any]) -> list[str]:
    """Give what of the hypothesis does not hold, each in a sentence, and put a summary beside it."""
    rows = found["intervals"]
    goodput = sum(row["goodput"] for row in rows) / len(rows)
    share = sum(row["goodput"] / row.get("capacity", found["capacity"]) for row in rows) / len(rows)
    early = rows[min(REFERENCE_INTERVAL, len(rows)) - 1]["memory_mb"]
    late = rows[-1]["memory_mb"]
    failures, unsent = sum(row["failures"] for row in rows), sum(row["unsent"] for row in rows)
    found["summary"] = {
        "goodput": goodput,
        "goodput_share": share,
        "refused": sum(row["statuses"].get("429", 0) for row in rows),
        "other_failures": failures,
        "unsent": unsent,
        "memory_early_mb": early,
        "memory_late_mb": late,
    }
    wrong = []
    if share < LEAST_GOODPUT:
        wrong.append(f"goodput is {share:.3f} of capacity, not {LEAST_GOODPUT}")
    if failures:
        wrong.append(f"{failures} requests got neither 200 nor a 429 that says when to come again")
    if unsent:
        wrong.append(
            f"{unsent} requests found no connection left in the client: more --connections are needed"
        )
    if late > MEMORY_SHARE * early + MEMORY_MB:
        wrong.append(f"memory grew from {early:.0f} to {late:.0f} MB")
    return wrong


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, keep the figures as JSON; give 1 where the hypothesis does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="a folder, or as MLflow names it; default the champion")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--parts", type=int, default=5, help="between which capacity is measured anew")
    parser.add_argument("--factor", type=float, default=1.5, help="of capacity")
    parser.add_argument("--clients", type=int, nargs="*", default=[64, 128, 256], help="to find capacity")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each number of clients")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds of a line of the table")
    parser.add_argument("--connections", type=int, default=12_000, help="the most that the client opens")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--tiny", action="store_true", help="a small model, for seconds")
    parser.add_argument("--output", type=Path, default=HERE / "out" / "serving" / "overload.json")
    arguments = parser.parse_args(given)
    with tempfile.TemporaryDirectory(prefix="serving-") as scratch:
        if arguments.tiny:
            arguments.minutes, arguments.seconds, arguments.interval = min(arguments.minutes, 0.5), 3.0, 5.0
            arguments.clients, arguments.engine, arguments.parts = [32], "onnx", 2
            settings = make_small_model(Path(scratch) / "home")
        else:
            settings = Settings()
        os.environ["WHYSCORE_ENGINE"] = arguments.engine
        folder = find_model(arguments.model if not arguments.tiny else None, settings).folder
        server = whyscore_server(
            settings.home,
            *("--model", str(folder), "--workers", str(arguments.workers)),
            WHYSCORE_THREADS=str(arguments.threads),
            WHYSCORE_RATE_LIMIT="none",
        )
        print(
            f"{'':>4}{'goodput':>10}{'429':>9}{'p50 ms':>10}{'p99 ms':>10}{'MB':>8}{'client':>9}{'unsent':>8}"
        )
        with Running(server, free_port(), Path(scratch) / "log") as running:
            found = uvloop.run(measure(running, arguments))
    wrong = judge(found)
    found |= {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": arguments.threads,
        "workers": arguments.workers,
        "engine": arguments.engine,
        "interval_s": arguments.interval,
        "wrong": wrong,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found["summary"]), *(f"\nFails: {sentence}" for sentence in wrong), sep="")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
