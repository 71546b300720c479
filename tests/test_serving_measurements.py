"""The measurements of what a server withstands notice what they are for, and short runs of them hold."""

import argparse
import asyncio
import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from data.store import Store

from tests import benchmark_modules  # isort: skip  # noqa: F401
from tests.stubs import tagged

import file_mutations as mutations  # isort: skip
import fuzzed_readers as fuzzed  # isort: skip
import serving_arrivals as arrivals  # isort: skip
import serving_kills as kills  # isort: skip
import serving_overload as overload  # isort: skip
import serving_promotions as promotions  # isort: skip

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="measures servers through /proc"
)


def interval(goodput=100.0, memory=200.0, **more):
    return {"goodput": goodput, "statuses": {}, "failures": 0, "unsent": 0, "memory_mb": memory} | more


def judged(*rows):
    return overload.judge({"capacity": 100.0, "intervals": list(rows)})


def test_an_overload_that_holds_has_nothing_against_it():
    assert judged(interval(), interval(), interval(91.0, 215.0)) == []


def test_goodput_is_held_against_what_the_machine_could_do_at_the_time():
    assert judged(interval(95.0, capacity=100.0), interval(66.0, capacity=70.0), interval(95.0)) == []
    assert len(judged(interval(95.0, capacity=120.0), interval(66.0, capacity=90.0))) == 1


@pytest.mark.parametrize(
    ("last", "word"),
    [
        (interval(60.0), "goodput"),
        (interval(failures=1), "neither"),
        (interval(unsent=1), "connection"),
        (interval(memory=221.0), "memory"),
    ],
)
def test_each_way_to_break_under_overload_is_told(last, word):
    assert [word in sentence for sentence in judged(interval(), interval(), last)] == [True]


def test_answers_other_than_200_and_a_whole_429_are_failures():
    tally = arrivals.Tally(statuses=Counter({200: 5, 429: 3, 503: 1, 0: 2, -1: 1}), bare=1)
    assert tally.failures() == 5


def test_no_two_bodies_are_alike():
    bodies = arrivals.Bodies(["a", 'say "b"'])
    made = [bodies.next() for _ in range(50)]
    assert len(set(made)) == 50
    assert all(json.loads(body)["responses"][0]["comment"] for body in made)


def test_an_answer_by_a_model_that_was_not_the_champion_is_noticed():
    reign = [{"version": 2, "began": 100.0, "made": 101.0}]
    fits = [(50.0, 50.1, 1), (100.5, 100.6, 2), (105.0, 105.1, 1), (200.0, 200.1, 2)]
    odd = [(50.0, 50.1, 2), (120.0, 120.1, 1), (105.0, 105.1, 3)]
    assert promotions.strangers(fits, reign) == 0
    assert promotions.strangers([*fits, *odd], reign) == 3


@pytest.fixture
def noted(tmp_path):
    """A client that was told of two responses, and a store that holds them; gives both and the URL."""
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    client = kills.Client(0)
    rows = [{"response_id": f"r{i}", "score": i, "comment": f"Billed {i}"} for i in range(2)]
    client._note(kills.Item("/v1/responses", "", b"", None, rows))
    with Store.open(url) as store:
        store.upsert([tagged(f"r{i}", i, f"Billed {i}") for i in range(2)])
        yield client, store, url


def test_what_is_as_acknowledged_has_nothing_against_it(noted):
    client, _, url = noted
    assert kills.held_against([client], url, settled=True) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda store: store.delete("r1"), "lost"),
        (lambda store: store.upsert([tagged("r1", 9, "Billed 1")]), "of another score"),
        (lambda store: store.upsert([tagged("r7", 1, "Billed 1")]), "twice"),
        (lambda store: store.upsert([tagged("r7", 1, "who?")]), "nobody"),
    ],
)
def test_what_a_kill_could_do_is_noticed(noted, change, word):
    client, store, url = noted
    change(store)
    assert any(word in sentence for sentence in kills.held_against([client], url, settled=True))


def test_what_is_under_way_is_not_held_against_the_store(noted):
    client, store, url = noted
    client.unsettled = [(0.0, kills.Item("/v1/responses", "", b"", None, [{"response_id": "r1"}]))]
    store.upsert([tagged("r1", 9, "changed")])
    assert kills.held_against([client], url, settled=False) == []


def test_cases_are_made_again_by_their_number():
    assert [mutations.make_case(3, n) for n in range(40)] == [mutations.make_case(3, n) for n in range(40)]


def test_readers_notice_a_fault(tmp_path, monkeypatch):
    readers = fuzzed.Readers(tmp_path, 0, None)
    try:
        monkeypatch.setitem(fuzzed.FUNCTIONS, "audit", lambda: {"broken": lambda path: 1 / 0})
        case = mutations.Case(0, "audit", ".jsonl", b"{}")
        assert [one.result for one in readers.read(case)] == ["traceback"]
    finally:
        readers.close()


@pytest.mark.slow
def test_broken_files_are_read_or_refused(tmp_path):
    readers = fuzzed.Readers(tmp_path, 0, None)
    try:
        found = [one for n in range(150) for one in readers.read(mutations.make_case(20_261, n))]
    finally:
        readers.close()
    assert [one for one in found if one.result not in ("read", "refused")] == []
    assert {one.result for one in found} == {"read", "refused"}


def plan(**values):
    return argparse.Namespace(**values)


@pytest.mark.slow
@needs_proc
def test_a_short_overload(trained_home, tmp_path):
    server = kills.whyscore_server(
        trained_home.home, WHYSCORE_RATE_LIMIT="none", WHYSCORE_QUEUE_TOKENS="1024"
    )
    wanted = plan(connections=4000, seconds=0.5, clients=[8], factor=3.0, minutes=0.06, interval=1.0, parts=2)
    with kills.Running(server, kills.free_port(), tmp_path / "log") as running:
        found = asyncio.run(overload.measure(running, wanted))
    overload.judge(found)
    assert found["summary"]["other_failures"] == 0
    assert found["summary"]["goodput"] > 0
    assert len(found["capacities"]) == 3
    assert all(row["capacity"] > 0 for row in found["intervals"])


@pytest.mark.slow
@needs_proc
def test_promotions_under_load(trained_home, tmp_path):
    folder = promotions.find_model("models:/reason-codes/1", trained_home).folder
    settings = promotions.two_versions(tmp_path / "home", folder, folder)
    server = kills.whyscore_server(settings.home, WHYSCORE_FOLLOW_SECONDS="0.1", WHYSCORE_RATE_LIMIT="none")
    with kills.Running(server, kills.free_port(), tmp_path / "log") as running:
        watch = promotions.Watch(running.port, 4)
        watch.start()
        done = promotions.alternate(running, watch, settings, 4, 0.1, ["registry", "http"])
        watch.end()
    assert watch.failures == Counter()
    assert promotions.strangers(watch.answers, done) == 0
    assert len(watch.answers) > 0


@pytest.mark.slow
@needs_proc
def test_kills_during_ingestion(trained_home, tmp_path, url):
    server = kills.whyscore_server(trained_home.home, WHYSCORE_STORE_URL=url)
    short = plan(rounds=3, clients=3, longest=0.5, seed=1, ways=["json", "csv"])
    found = kills.torment(server, url, tmp_path, short)
    assert found["wrong"] == []
    assert found["acknowledged"] > 0


def test_a_client_that_is_told_to_wait_goes_on_with_other_work(monkeypatch):
    client, over, sent = kills.Client(0), threading.Event(), []

    class Link:
        def __init__(self, *_, **__):
            self.status = 200

        def request(self, _, path, __, headers):
            sent.append(headers.get("Idempotency-Key"))
            self.status = 409 if len(sent) == 1 else 202 if path == "/v1/jobs" else 200
            if len(sent) == 5:
                over.set()

        def getresponse(self):
            return self

        def read(self):
            return b""

        def getheader(self, _):
            return "5"

        def close(self):
            pass

    monkeypatch.setattr(kills.http.client, "HTTPConnection", Link)
    client.work(0, over)
    assert len(client.unsettled) == 1
    assert client.counts["409"] == 1
    assert client.acknowledged or client.by_job
