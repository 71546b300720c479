"""What ten thousand broken files and payloads do to everything that reads them.

Hypothesis: each is either read, or refused in one sentence; nothing raises what is not a `WhyscoreError`, no
answer over HTTP is 5xx, no command prints a traceback or ends with another code than 0 or 2, nothing takes
more than ``--limit`` seconds of the processor, no process dies. Run: ``python benchmarks/fuzzed_files.py``;
``--tiny`` has 300. ``--only N`` does one case again, here and now, with its traceback.

Responses (CSV, TSV, XLSX, Parquet, JSON lines, gzipped too), tags, annotations, audits, taxonomies,
connectors' files, benchmarks, survey tools' events with a good signature, and bodies of requests: well-formed
ones of `fuzzed_documents`, broken by `file_mutations`. Each goes through the function that reads its format,
and, where there is an address for it, through the whole application over ASGI; one in ``--every`` through the
command line in a process of its own. Workers have an address space of ``--memory`` MB; what does not fit must
be refused in a sentence, too. A worker that is silent for too long counts as hung and is replaced.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from file_mutations import make_case
from fuzzed_readers import Outcome, Readers, peak_mb

HERE = Path(__file__).resolve().parent


def work(pipe: Connection, plan: argparse.Namespace, numbers: Sequence[int], folder: str) -> None:
    """Do cases in a process of its own, and tell of each: when it begins, and what came of it."""
    most = plan.memory * 2**20
    readers = Readers(Path(folder), plan.every, plan.model)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for number in numbers:
        pipe.send(("begins", number, peak_mb()))
        pipe.send(("ended", number, [asdict(one) for one in readers.read(make_case(plan.seed, number))]))
    readers.close()


def fuzz(
    plan: argparse.Namespace, numbers: Sequence[int], folder: Path
) -> tuple[list[dict[str, Any]], float]:
    """Do cases, one worker after the other; give the outcomes, and the greatest memory of a worker in MB."""
    left, outcomes, most, turn = list(numbers), list[dict[str, Any]](), 0.0, 0
    while left:
        turn += 1
        place = folder / f"{numbers[0]}-{turn}"
        place.mkdir()
        found, done, memory = _one_worker(plan, left[: plan.portion], place)
        outcomes += found
        left, most = left[done:], max(most, memory)
    return outcomes, most


def _one_worker(
    plan: argparse.Namespace, numbers: Sequence[int], place: Path
) -> tuple[list[dict[str, Any]], int, float]:
    """Let a process do cases until they are done or it fails; give the outcomes, how many, and its memory."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=work, args=(far, plan, numbers, str(place)))
    process.start()
    far.close()
    outcomes, done, most = list[dict[str, Any]](), 0, 0.0
    patience, failure = 180.0, ""  # the application is loaded first
    while not failure and done < len(numbers):
        try:
            if near.poll(patience):
                what, number, told = near.recv()
            else:
                what, number, told = "hung", numbers[done], 0.0
        except EOFError:
            what, number, told = "process died", numbers[done], 0.0
        patience = 5 * plan.limit + 60
        if what == "begins":
            most = max(most, told)
        elif what == "ended":
            outcomes += told
            done += 1
        else:
            failure = what
            process.kill()
            outcomes.append(asdict(Outcome(number, "", "", failure, 0.0, 0.0, f"worker {process.pid}")))
            done += 1
        _tell(outcomes, told if what == "ended" else outcomes[-1:] if failure else [], done)
    process.join()
    return outcomes, done, most


def _tell(outcomes: list[dict[str, Any]], fresh: list[dict[str, Any]], done: int) -> None:
    for one in fresh:
        if one["result"] not in ("read", "refused"):
            print(failure_line(one), flush=True)
    if fresh and done % 250 == 0:
        print(f"{done} cases, {len(outcomes)} readings by this worker", flush=True)


def summed_up(outcomes: list[dict[str, Any]], most_mb: float, plan: argparse.Namespace) -> dict[str, Any]:
    """Count the results by reader; name what failed, and the slowest and the largest."""
    counts: dict[str, Counter[str]] = {}
    for one in outcomes:
        counts.setdefault(one["reader"].split(" /v1/webhooks")[0], Counter())[one["result"]] += 1
    failed = [one for one in outcomes if one["result"] not in ("read", "refused")]
    slow = [one | {"result": "too slow"} for one in outcomes if one["seconds"] > plan.limit]
    return {
        "cases": len({one["number"] for one in outcomes}),
        "readings": len(outcomes),
        "seed": plan.seed,
        "counts": {reader: dict(found) for reader, found in sorted(counts.items())},
        "failures": failed + slow,
        "slowest": sorted(outcomes, key=lambda one: -one["seconds"])[:10],
        "largest": sorted(outcomes, key=lambda one: -one["grown_mb"])[:10],
        "most_mb": most_mb,
    }


def show(found: dict[str, Any]) -> None:
    """Print the counts, the extremes, and each failure with how to see it again."""
    print(f"{'':42}{'read':>8}{'refused':>9}{'failed':>8}")
    for reader, counts in found["counts"].items():
        failed = sum(counts.values()) - counts.get("read", 0) - counts.get("refused", 0)
        print(f"{reader:42}{counts.get('read', 0):>8}{counts.get('refused', 0):>9}{failed:>8}")
    slowest, largest = found["slowest"][0], found["largest"][0]
    print(f"slowest {slowest['seconds']:.1f} s (case {slowest['number']}, {slowest['reader']}); ", end="")
    print(f"largest +{largest['grown_mb']:.0f} MB (case {largest['number']}, {largest['reader']}); ", end="")
    print(f"a worker took at most {found['most_mb']:.0f} MB")
    for one in found["failures"]:
        print(failure_line(one))
    if found["failures"]:
        print(f"see one again: python benchmarks/fuzzed_files.py --seed {found['seed']} --only N")


def failure_line(one: dict[str, Any]) -> str:
    """Give a failure in a line."""
    lines = one["detail"].strip().splitlines()
    last = lines[-1][:200] if lines else f"{one['seconds']:.1f} s"
    return f"FAILED case {one['number']} {one['kind']} {one['reader']}: {one['result']}: {last}"


def main(given: Sequence[str] | None = None) -> int:
    """Fuzz, print, keep the figures as JSON; give 1 where the hypothesis does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of a case, to be done in this process")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds of the processor for a reading")
    parser.add_argument("--memory", type=int, default=4096, help="MB of address space of a worker")
    parser.add_argument("--every", type=int, default=100, help="one case in so many by the command line")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--portion", type=int, default=1000, help="cases of a process")
    parser.add_argument(
        "--model", type=Path, help="a model's folder for the command line; default a small one"
    )
    parser.add_argument("--tiny", action="store_true", help="300 cases, without the command line")
    parser.add_argument("--output", type=Path, default=HERE / "out" / "serving" / "fuzzed-files.json")
    plan = parser.parse_args(given)
    if plan.tiny:
        plan.count, plan.every = 300, 0
    with tempfile.TemporaryDirectory(prefix="fuzzed-") as scratch:
        folder = Path(scratch)
        if plan.every and plan.model is None and plan.only is None:
            from small_model import make_small_model

            from model.registry import find_model

            plan.model = find_model(None, make_small_model(folder / "made")).folder
        if plan.only is not None:
            readers = Readers(folder, 0, None)
            case = make_case(plan.seed, plan.only)
            print(
                f"{case.kind} {case.suffix} {case.source} {len(case.content)} bytes: {case.content[:300]!r}"
            )
            for one in readers.read(case):
                print(
                    f"{one.reader}: {one.result}, {one.seconds:.2f} s, +{one.grown_mb:.0f} MB\n{one.detail}"
                )
            readers.close()
            return 0
        began = time.perf_counter()
        with ThreadPoolExecutor(plan.workers) as pool:
            shares = [range(plan.count)[start :: plan.workers] for start in range(plan.workers)]
            parts = list(pool.map(lambda share: fuzz(plan, share, folder), shares))
        outcomes = [one for part, _ in parts for one in part]
        found = summed_up(outcomes, max(most for _, most in parts), plan)
        found["wall_s"] = time.perf_counter() - began
    show(found)
    plan.output.parent.mkdir(parents=True, exist_ok=True)
    plan.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 1 if found["failures"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
