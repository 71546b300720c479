import json
import threading
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import NotFoundError
from data.webhook_outbox import FIRST_DELAY, LONGEST_DELAY, Outbox, announce, delay_after

NOW = datetime(2026, 4, 2, 10, tzinfo=UTC)
LEASE = timedelta(minutes=5)
URL, SECRET = "https://example.com/in", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def outbox(store):
    return Outbox(store, max_attempts=3, dice=Random(1))


def subscribe(outbox, *events):
    return outbox.subscribe(URL, events or ["response.tagged"], SECRET, "", NOW).subscription_id


def tell(store, *said, kind="response.tagged", now=NOW):
    with store.writing() as connection:
        return announce(connection, kind, [{"response_id": one} for one in said], now)


def said(parcels):
    return [json.loads(parcel.body)["data"]["response_id"] for parcel in parcels]


def test_a_message_goes_to_each_that_wants_its_type(store, outbox):
    assert tell(store, "r0") == 0
    both = [subscribe(outbox), subscribe(outbox, "response.tagged", "model.promoted")]
    subscribe(outbox, "follow_up.opened")
    assert tell(store, "r1") == 2
    found = outbox.deliveries()[0]
    assert {one.subscription_id for one in found} == set(both)
    assert len({one.message_id for one in found}) == 1
    parcels = outbox.take(NOW, LEASE)
    assert json.loads(parcels[0].body) == {
        "type": "response.tagged",
        "timestamp": "2026-04-02T10:00:00+00:00",
        "data": {"response_id": "r1"},
    }


def test_what_fails_with_its_transaction_is_never_told(store, outbox):
    subscribe(outbox)
    with pytest.raises(TypeError), store.writing() as connection:
        announce(connection, "response.tagged", [{"response_id": "r1"}, {"response_id": object()}], NOW)
    assert outbox.deliveries()[0] == []


def test_what_one_has_taken_nobody_else_gets_until_the_lease_ends(store, outbox):
    subscribe(outbox)
    tell(store, "r1", "r2")
    (first,) = outbox.take(NOW, LEASE, limit=1)
    (second,) = outbox.take(NOW, LEASE)
    assert {*said([first]), *said([second])} == {"r1", "r2"}
    assert outbox.take(NOW + LEASE - timedelta(seconds=1), LEASE) == []
    again = outbox.take(NOW + LEASE, LEASE)  # whoever had them was killed
    assert sorted(said(again)) == ["r1", "r2"]
    assert not outbox.arrived(first, 200, NOW + LEASE)  # it was not killed after all, but late
    assert all(outbox.arrived(parcel, 200, NOW + LEASE) for parcel in again)
    assert {(one.state, one.attempts) for one in outbox.deliveries()[0]} == {("delivered", 1)}
    assert outbox.take(NOW + 9 * LEASE, LEASE) == []


def test_many_workers_take_each_message_once(store, outbox):
    subscribe(outbox)
    tell(store, *(f"r{i}" for i in range(40)))
    taken = []

    def work():
        while parcels := outbox.take(NOW, LEASE, limit=3):
            taken.extend(said(parcels))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(f"r{i}" for i in range(40))


def test_a_failure_waits_longer_each_time_and_ends_as_dead_until_it_is_sent_by_hand(store, outbox):
    subscribe(outbox)
    tell(store, "r1")
    now, waits = NOW, []
    for _ in range(3):
        (parcel,) = outbox.take(now, LEASE)
        assert outbox.failed(parcel, 500, "status", now)
        (found,) = outbox.deliveries()[0]
        waits.append(found.due_at - now)
        now = max(found.due_at, now)
    assert (found.state, found.attempts, found.last_status, found.last_error) == ("dead", 3, 500, "status")
    assert FIRST_DELAY / 2 <= waits[0] <= FIRST_DELAY <= waits[1] <= 2 * FIRST_DELAY
    assert outbox.take(now + timedelta(days=9), LEASE) == []
    again = outbox.redeliver(found.delivery_id, now)
    assert (again.state, again.attempts, again.message_id) == ("pending", 0, found.message_id)
    (parcel,) = outbox.take(now, LEASE)
    assert outbox.arrived(parcel, 204, now)
    with pytest.raises(NotFoundError):
        outbox.redeliver("dlv_none", now)


def test_an_address_that_is_gone_is_asked_no_more(store, outbox):
    subscribe(outbox)
    tell(store, "r1", "r2")
    (parcel,) = outbox.take(NOW, LEASE, limit=1)
    assert outbox.failed(parcel, 410, "status", NOW)
    assert not outbox.subscriptions()[0].active
    assert outbox.take(NOW + LEASE, LEASE) == []
    assert tell(store, "r3") == 0


def test_who_unsubscribes_gets_nothing_that_was_under_way(store, outbox):
    key = subscribe(outbox)
    tell(store, "r1")
    outbox.unsubscribe(key)
    assert (outbox.deliveries()[0], outbox.subscriptions(), outbox.take(NOW, LEASE)) == ([], [], [])
    with pytest.raises(NotFoundError):
        outbox.unsubscribe(key)


def test_old_messages_go_when_all_have_them(store, outbox):
    subscribe(outbox)
    tell(store, "r1", "r2")
    for parcel in outbox.take(NOW, LEASE, limit=1):
        outbox.arrived(parcel, 200, NOW)
    tell(store, "r3", now=NOW + timedelta(days=2))
    assert outbox.prune(NOW + timedelta(days=1)) == 1
    assert len(outbox.deliveries()[0]) == 2


@given(st.integers(1, 60), st.integers())
def test_delays_double_within_bounds(attempts, seed):
    delay = delay_after(attempts, Random(seed))
    full = min(FIRST_DELAY.total_seconds() * 2.0 ** (attempts - 1), LONGEST_DELAY.total_seconds())
    assert full / 2 - 1e-5 <= delay.total_seconds() <= full


def test_one_subscription_is_taken_from_at_a_time_and_what_was_not_tried_is_given_back(store, outbox):
    one, other = subscribe(outbox), subscribe(outbox)
    tell(store, "r1", "r2")
    assert outbox.waiting(NOW - LEASE) == []
    assert outbox.waiting(NOW) == sorted([one, other])
    parcels = outbox.take(NOW, LEASE, subscription_id=one)
    assert sorted(said(parcels)) == ["r1", "r2"]
    assert outbox.waiting(NOW) == [other]
    outbox.give_back(parcels[1:])
    outbox.give_back([])
    assert said(outbox.take(NOW, LEASE, subscription_id=one)) == said(parcels[1:])
    (again, _) = outbox.take(NOW + LEASE, LEASE, subscription_id=one)
    outbox.give_back(parcels)  # its lease had gone to somebody else
    assert outbox.waiting(NOW + LEASE) == [other]
    assert outbox.failed(again, 410, "status", NOW)
    assert outbox.waiting(NOW + 9 * LEASE) == [other]
