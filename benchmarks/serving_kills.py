"""What a server has kept that was killed with SIGKILL a hundred times at random while responses came in.

Hypothesis: whatever was acknowledged - 200 for responses, 202 for the file of a job - is in the store
exactly once, with the values that were acknowledged last; what was not can be sent again with the same key,
and is then there exactly once too; every start succeeds, and no log holds a traceback. Run:
``.ci/postgres python benchmarks/serving_kills.py``, or without ``.ci/postgres`` for SQLite alone; ``--tiny``
has five rounds.

Clients send batches of JSON (some with an Idempotency-Key, some that change what was sent before), whole
files as JSON lines and CSV (whose rows have no ids), and files as jobs. Every comment is there once in the
world, so that a doubled response shows whatever its id. A client whose request broke sends it again, as it
was and with its key, when the server is back. All processes of the server are killed at once: in four rounds
of five at a random moment under load, in one while the server starts. After each tenth kill, and at the end,
the store is read and held against what the clients noted. The model is a small one: what is under test is
the way of a response to the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import random
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from serving_load import Running, Server, free_port, whyscore_server
from small_model import make_small_model

from data.store import Store
from tests.stores import SERVER as POSTGRESQL
from tests.stores import fresh_database

HERE = Path(__file__).resolve().parent
SETTLE_S = 300.0
"""How long the last start may take to finish the jobs and to let go of the keys of broken requests."""

WAYS = ("json", "json", "keyed", "change", "lines", "csv", "job")
"""How clients send; with a key or as a job it may take a minute after a kill to go on."""

Row = dict[str, Any]


@dataclass
class Item:
    """A request to be acknowledged.

    Attributes
    ----------
    path, kind, body, key
        Of the request: its address, content type, and Idempotency-Key.
    rows
        What it holds, without ids where the file has none.
    good
        The status that acknowledges it.
    """

    path: str
    kind: str
    body: bytes
    key: str | None
    rows: list[Row]
    good: int = 200


@dataclass
class Client:
    """Sends items one after the other, each until it is acknowledged, and notes what was.

    Attributes
    ----------
    number, ways
        Which client, and how it sends.
    acknowledged
        The rows that must be there, by their comments.
    by_job
        The rows that must be there once the jobs are done.
    replaced
        Comments that must be there no more.
    unsettled
        Items that were sent, maybe taken, and not acknowledged; with when to send them again.
    problems
        Answers that nobody foresees.
    """

    number: int
    ways: Sequence[str] = WAYS
    acknowledged: dict[str, Row] = field(default_factory=dict)
    by_job: dict[str, Row] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    unsettled: list[tuple[float, Item]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._dice, self._sent = random.Random(self.number), 0
        self._by_id: dict[str, Row] = {}

    @property
    def moving(self) -> set[str]:
        """The ids in the items that are not settled: their values are the old ones or the new ones."""
        return {row["response_id"] for _, item in self.unsettled for row in item.rows if "response_id" in row}

    def work(self, port: int, over: threading.Event, *, new: bool = True) -> None:
        """Send items until the server is gone, the event is set, or (without new ones) all are settled."""
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            while not over.is_set() and (new or self.unsettled):
                self.unsettled.sort(key=lambda pair: pair[0])
                due = bool(self.unsettled) and self.unsettled[0][0] <= time.monotonic()
                if not due and not new:
                    over.wait(0.1)
                    continue
                if not due:
                    self.unsettled.insert(0, (0.0, self._next()))
                self._send(link, self.unsettled[0][1])
        except (OSError, http.client.HTTPException):
            self.counts["broken"] += 1
            self.unsettled = [(0.0, item) for _, item in self.unsettled]
        finally:
            link.close()

    def _send(self, link: http.client.HTTPConnection, item: Item) -> None:
        """Send the first of the unsettled items; one that waits for its key goes to the end of the line."""
        keyed = {} if item.key is None else {"Idempotency-Key": item.key}
        link.request("POST", item.path, item.body, {"Content-Type": item.kind, **keyed})
        answer = link.getresponse()
        told = answer.read()
        self.counts[str(answer.status)] += 1
        self.unsettled.pop(0)
        if answer.status == item.good:
            self._note(item)
            return
        if answer.status != 409 or not answer.getheader("Retry-After"):
            self.problems.append(f"{answer.status} {told[:300]!r}")
        self.unsettled.append((time.monotonic() + 5.0, item))

    def _note(self, item: Item) -> None:
        for row in item.rows:
            if item.path == "/v1/jobs":
                self.by_job[row["comment"]] = row
                continue
            before = self._by_id.get(row.get("response_id", ""))
            if before is not None and before["comment"] != row["comment"]:
                self.acknowledged.pop(before["comment"], None)
                self.replaced.add(before["comment"])
            if "response_id" in row:
                self._by_id[row["response_id"]] = row
            self.acknowledged[row["comment"]] = row

    def _next(self) -> Item:
        self._sent += 1
        key = f"k{self.number}-{self._sent}"
        way = self._dice.choice(self.ways)
        settled = sorted(set(self._by_id) - self.moving) if way == "change" else []
        if settled:
            ids = self._dice.sample(settled, min(20, len(settled)))
            return _as_json([self._row(i, name) for i, name in enumerate(ids)], key)
        rows = [self._row(i, f"{key}-{i}") for i in range(self._dice.choice([1, 20, 300]))]
        if way == "lines":
            return Item("/v1/responses", "application/x-ndjson", _lines(rows), key, rows)
        if way == "csv":
            for row in rows:
                del row["response_id"]
            return Item("/v1/responses", "text/csv", _csv(rows), None, rows)
        if way == "job":
            return Item("/v1/jobs", "application/x-ndjson", _lines(rows), key, rows, 202)
        return _as_json(rows, None if way == "json" else key)

    def _row(self, place: int, name: str) -> Row:
        comment = f"The fee was wrong again, case {self.number}/{self._sent}/{place}"
        return {"response_id": name, "score": self._dice.randrange(11), "comment": comment}


def _as_json(rows: list[Row], key: str | None) -> Item:
    body = json.dumps({"responses": rows}).encode()
    return Item("/v1/responses", "application/json", body, key, rows)


def _lines(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _csv(rows: list[Row]) -> bytes:
    return ("score,comment\n" + "".join(f'{row["score"]},"{row["comment"]}"\n' for row in rows)).encode()


def kill(running: Running) -> None:
    """Kill a server and all processes that it started."""
    family = [running.process.pid, *descendants(running.process.pid)]
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.process.wait()


def descendants(parent: int) -> list[int]:
    """Give the processes that a process started, and those that they started."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [pid for child in map(int, children) for pid in (child, *descendants(child))]


@contextmanager
def clients_at_work(clients: Sequence[Client], port: int) -> Iterator[None]:
    """Let the clients send in the meantime."""
    over = threading.Event()
    threads = [threading.Thread(target=client.work, args=(port, over)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def await_answer(clients: Sequence[Client]) -> None:
    """Wait until one of the clients has an answer: a machine that is busy must not make the rounds empty."""
    end, before = time.monotonic() + 30, sum(client.counts.total() for client in clients)
    while sum(client.counts.total() for client in clients) == before and time.monotonic() < end:
        time.sleep(0.002)


def held_against(clients: Sequence[Client], url: str, *, settled: bool) -> list[str]:
    """Read the store, and give what is not as the clients noted it, each in a sentence.

    Parameters
    ----------
    clients, url
        Who sent, and the store.
    settled
        Whether all jobs are done and all requests acknowledged; else what may still change is left out.
    """
    with Store.open(url) as store:
        kept = [row.response for row in store.tagged()]
    times = Counter(response.comment for response in kept)
    scores = {response.comment: response.score for response in kept}
    twice = [comment for comment, count in times.items() if count > 1]
    wrong = [f"{len(twice)} responses are there twice, such as: {twice[0]}"] if twice else []
    for client in clients:
        moving = client.moving
        sure = {c: row for c, row in client.acknowledged.items() if row.get("response_id") not in moving}
        sure |= client.by_job if settled else {}
        kinds = {
            "lost": [comment for comment in sure if comment not in times],
            "of another score": [c for c, row in sure.items() if c in times and scores[c] != row["score"]],
            "replaced, and are back": [comment for comment in client.replaced if comment in times],
        }
        wrong += [f"{len(c)} acknowledged are {what}, such as: {c[0]}" for what, c in kinds.items() if c]
    if settled:
        told = {comment for client in clients for comment in (*client.acknowledged, *client.by_job)}
        if strange := sorted(set(times) - told, key=str):
            wrong.append(
                f"{len(strange)} responses are there of which nobody was told, such as: {strange[0]}"
            )
    return wrong


def finish(running: Running, clients: Sequence[Client]) -> list[str]:
    """Let the clients settle what is open and the jobs end; give what went wrong with them."""
    end = time.monotonic() + SETTLE_S
    for client in clients:
        while client.unsettled and time.monotonic() < end:  # anew where an idle connection was closed
            client.work(running.port, threading.Event(), new=False)
    wrong = [f"a request was not acknowledged within {SETTLE_S:g} s" for c in clients if c.unsettled][:1]
    while (states := job_states(running.port)) and states.keys() & {"queued", "running"}:
        if time.monotonic() > end:
            return [*wrong, f"jobs were not done within {SETTLE_S:g} s: {dict(states)}"]
        time.sleep(0.5)
    return wrong + ([f"jobs failed: {dict(states)}"] if states.keys() - {"done"} else [])


def job_states(port: int) -> Counter[str]:
    """Count the jobs of a server by state."""
    states, following = Counter[str](), "/v1/jobs?limit=200"
    while following:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{following}", timeout=60) as answer:
            page = json.load(answer)
        states.update(job["state"] for job in page["jobs"])
        following = page.get("next")
    return states


def torment(server: Server, url: str, scratch: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill a server again and again, let it end well, and give what came of it."""
    clients = [Client(number, arguments.ways) for number in range(arguments.clients)]
    dice, wrong, starts, log = random.Random(arguments.seed), list[str](), list[float](), scratch / "log"
    faults = 0
    for number in range(1, arguments.rounds + 1):
        running = Running(server, free_port(), log)
        if starts and number % 5 == 0:
            running.launch()
            time.sleep(dice.uniform(0, starts[-1]))
        else:
            running.__enter__()
            starts.append(running.cold_start_s)
            with clients_at_work(clients, running.port):
                if dice.random() < 0.8:  # else maybe before anything was answered
                    await_answer(clients)
                time.sleep(dice.uniform(0, arguments.longest))
                kill(running)
        kill(running)
        faults += "Traceback" in log.read_text(encoding="utf-8", errors="replace")
        if number % 10 == 0:
            wrong += [f"after {number} kills: {one}" for one in held_against(clients, url, settled=False)]
            print(f"{number} kills: {sum(len(c.acknowledged) for c in clients)} responses", flush=True)
    with Running(server, free_port(), log) as running:
        wrong += finish(running, clients)
    wrong += held_against(clients, url, settled=True)
    problems = [problem for client in clients for problem in client.problems]
    if problems:
        wrong.append(f"{len(problems)} answers that nobody foresees, such as: {problems[0]}")
    if faults:
        wrong.append(f"in {faults} rounds the log holds a traceback")
    return {
        "kills": arguments.rounds,
        "acknowledged": sum(len(client.acknowledged) + len(client.by_job) for client in clients),
        "changed": sum(len(client.replaced) for client in clients),
        "answers": dict(sum((client.counts for client in clients), Counter())),
        "start_s": sum(starts) / len(starts),
        "wrong": wrong,
    }


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, keep the figures as JSON; give 1 where the hypothesis does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--longest", type=float, default=1.5, help="seconds of load before a kill, at most")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--ways", nargs="*", default=WAYS, choices=sorted(set(WAYS)), help="of sending")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="five rounds")
    parser.add_argument("--output", type=Path, default=HERE / "out" / "serving" / "kills.json")
    arguments = parser.parse_args(given)
    arguments.rounds = 5 if arguments.tiny else arguments.rounds
    kinds = ["sqlite", *(["postgresql"] if POSTGRESQL else [])]
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    with tempfile.TemporaryDirectory(prefix="serving-") as scratch:
        home = make_small_model(Path(scratch) / "home").home
        for kind in kinds:
            with fresh_database(kind, Path(scratch)) as url:
                server = whyscore_server(
                    home,
                    *("--workers", str(arguments.workers)),
                    WHYSCORE_STORE_URL=url,
                    WHYSCORE_ENGINE="onnx",
                    WHYSCORE_THREADS="1",
                )
                found[kind] = torment(server, url, Path(scratch), arguments)
            print(kind, json.dumps(found[kind], indent=1))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 1 if any(found[kind]["wrong"] for kind in kinds) else 0


if __name__ == "__main__":
    raise SystemExit(main())
