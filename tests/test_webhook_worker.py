import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest

from data.webhook_outbox import Outbox, announce
from serving import webhook_worker
from serving.webhook_delivery import Courier
from serving.webhook_worker import WebhookWorker

NOW = datetime(2026, 4, 2, 10, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Deadlines:
    marked = 0

    def mark_overdue(self, now):
        self.marked += 1


@dataclass
class Loop:
    outbox: Outbox
    follow_ups: Deadlines
    now = staticmethod(lambda: NOW)


@pytest.fixture
def loop(store):
    return Loop(Outbox(store), Deadlines())


@pytest.fixture
def patient(monkeypatch):
    """Let a turn wait until what it began is done, however slow the machine is."""
    monkeypatch.setattr(webhook_worker, "TURN_SECONDS", 60)


@pytest.fixture
def work(loop):
    """Give a worker whose requests a function answers."""
    made = []

    def worker(answer):
        transport = httpx.MockTransport(answer)
        made.append(WebhookWorker(loop, Courier(resolve=lambda *_: ["93.184.216.34"], transport=transport)))
        return made[-1]

    yield worker
    for one in made:
        one.let_go()


def subscribe(store, loop, host, messages):
    """Add a subscription for which so many messages wait."""
    event = {"hang.example.com": "response.tagged", "well.example.com": "follow_up.opened"}[host]
    loop.outbox.subscribe(f"https://{host}/", [event], SECRET, "", NOW)
    with store.writing() as connection:
        announce(connection, event, [{"response_id": f"r{i}"} for i in range(messages)], NOW)


def states(loop):
    return Counter((one.type, one.state, one.attempts) for one in loop.outbox.deliveries(limit=500)[0])


def test_a_subscriber_that_hangs_holds_up_neither_others_nor_deadlines(store, loop, work):
    subscribe(store, loop, "hang.example.com", 12)
    subscribe(store, loop, "well.example.com", 25)
    hung, go_on, seen = threading.Event(), threading.Event(), []

    def answer(request):
        seen.append(request.headers["host"])
        if request.headers["host"] == "hang.example.com":
            hung.set()
            assert go_on.wait(30)
            raise httpx.ReadTimeout("slow")
        return httpx.Response(204)

    worker = work(answer)
    threading.Timer(10, go_on.set).start()
    end = time.monotonic() + 9
    while seen.count("well.example.com") < 25 and time.monotonic() < end:
        worker.turn()
    assert hung.wait(9)
    marked = loop.follow_ups.marked
    worker.turn()
    assert not go_on.is_set()
    assert Counter(seen) == {"well.example.com": 25, "hang.example.com": 1}  # and one at a time
    assert loop.follow_ups.marked == marked + 1
    go_on.set()
    while loop.outbox.deliveries("pending")[0] and states(loop)["response.tagged", "pending", 1] == 0:
        worker.turn()
    assert states(loop)["follow_up.opened", "delivered", 1] == 25


@pytest.mark.usefixtures("patient")
def test_after_a_failure_a_subscription_rests_until_the_message_is_due_again(store, loop, work):
    subscribe(store, loop, "hang.example.com", 3)
    status = 500
    worker = work(lambda request: httpx.Response(status))
    for fails in (1, 2, 3):
        assert [worker.turn() for _ in range(3)] == [1, 0, 0]
        assert states(loop)["response.tagged", "pending", 1] == fails  # each has its own tries
        due = max(one.due_at for one in loop.outbox.deliveries()[0])
        loop.now = lambda due=due: due
    status = 204
    assert worker.turn() == 3


@pytest.mark.usefixtures("patient")
def test_a_message_that_is_refused_for_hours_holds_up_others_for_minutes(store, loop, work):
    subscribe(store, loop, "hang.example.com", 1)
    worker = work(lambda request: httpx.Response(204 if b"r2" in request.content else 400))
    for _ in range(10):
        assert worker.turn() == 1
        (due,) = [one.due_at for one in loop.outbox.deliveries()[0]]
        last, loop.now = loop.now(), lambda due=due: due
    with store.writing() as connection:
        announce(connection, "response.tagged", [{"response_id": "r2"}], last)
    assert due - last > 2 * webhook_worker.LONGEST_REST
    loop.now = lambda: last + webhook_worker.LONGEST_REST
    assert worker.turn() == 1
    assert states(loop)["response.tagged", "delivered", 1] == 1


@pytest.mark.usefixtures("patient")
def test_a_subscription_rests_also_after_a_message_that_is_given_up(store, loop, work):
    loop.outbox.max_attempts = 1
    subscribe(store, loop, "hang.example.com", 3)
    worker = work(lambda request: httpx.Response(500))
    assert [worker.turn() for _ in range(3)] == [1, 0, 0]
    assert states(loop)["response.tagged", "dead", 1] == 1


@pytest.mark.usefixtures("patient")
def test_who_was_served_longest_ago_comes_first(store, loop, work, monkeypatch):
    monkeypatch.setattr(webhook_worker, "AT_ONCE", 1)
    subscribe(store, loop, "hang.example.com", 30)
    subscribe(store, loop, "well.example.com", 2)
    seen = []
    worker = work(lambda request: seen.append(request.headers["host"]) or httpx.Response(204))
    assert worker.turn() + worker.turn() == 12
    assert Counter(seen) == {"hang.example.com": 10, "well.example.com": 2}
    assert [worker.turn() for _ in range(3)] == [10, 10, 0]


@pytest.mark.usefixtures("patient")
def test_who_is_slow_makes_room_for_others(store, loop, work, monkeypatch):
    subscribe(store, loop, "hang.example.com", 3)
    worker = work(lambda request: time.sleep(0.05) or httpx.Response(204))
    monkeypatch.setattr(webhook_worker, "DEADLINE_SECONDS", 0)
    assert [worker.turn() for _ in range(4)] == [1, 1, 1, 0]


@pytest.mark.usefixtures("patient")
def test_who_is_told_to_stop_gives_back_what_was_not_tried(store, loop, work):
    subscribe(store, loop, "hang.example.com", 3)

    def answer(request):
        worker._ended.set()
        return httpx.Response(204)

    worker = work(answer)
    assert worker.turn() == 1
    assert len(loop.outbox.take(NOW, webhook_worker.LEASE)) == 2
