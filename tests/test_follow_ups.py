import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from data.audit_trail import AuditTrail, read_trail_key
from data.errors import InputError, NotFoundError
from data.follow_up_pages import FollowUpFilter
from data.follow_ups import TRANSITIONS, FollowUps, Opening, TransitionError, follow_up_id
from data.store_engine import StoreError

NOW = datetime(2026, 4, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = bytes(range(32))


@pytest.fixture
def told():
    return []


@pytest.fixture
def follow_ups(store, told):
    return FollowUps(store, AuditTrail(KEY), lambda _, kind, said: told.extend((kind, one) for one in said))


def opening(response="r1", kind="contact", rule="detractors", owner="manager", due=4 * HOUR):
    return Opening(response, kind, rule, owner, due and NOW + due, 3.0)


def opened(follow_ups, *openings, now=NOW):
    with follow_ups._store.writing() as connection:
        return follow_ups.open(connection, openings, now)


def actions(follow_ups, key):
    return [event.entry.action for event in follow_ups.get(key)[1]]


def verify(follow_ups):
    with follow_ups._store.reading() as connection:
        return follow_ups.trail.verify(connection)


R1 = follow_up_id("r1", "contact")


def test_what_is_opened_is_there_once_and_told_once(follow_ups, told):
    assert opened(follow_ups, opening(), opening("r2"), opening(kind="label")) == 3
    assert opened(follow_ups, opening(), opening("r2")) == 0
    found, history = follow_ups.get(R1)
    assert (found.state, found.owner, found.due_at, found.score) == ("open", "manager", NOW + 4 * HOUR, 3)
    assert [event.entry.action for event in history] == ["opened"]
    assert [kind for kind, _ in told] == ["follow_up.opened"] * 3
    assert told[0][1]["due_at"] == "2026-04-02T14:00:00+00:00"


def test_a_rule_that_fits_better_later_takes_over_until_somebody_acts(follow_ups):
    opened(follow_ups, opening())
    opened(follow_ups, opening(rule="billing", owner="billing", due=9 * HOUR))
    found, _ = follow_ups.get(R1)
    assert (found.rule, found.owner, found.due_at) == ("billing", "billing", NOW + 4 * HOUR)
    follow_ups.move(R1, "acknowledged", "ana", NOW)
    opened(follow_ups, opening(rule="big accounts", owner="director", due=HOUR))
    assert follow_ups.get(R1)[0].owner == "billing"
    assert actions(follow_ups, R1) == ["opened", "rerouted", "acknowledged"]


@given(st.lists(st.sampled_from(sorted(TRANSITIONS)), max_size=8))
def test_only_allowed_transitions_happen_and_the_trail_tells_all(shared_store, path):
    follow_ups = FollowUps(shared_store, AuditTrail(KEY))
    key = f"r-{threading.get_ident()}-{hash(tuple(path))}-{id(path)}"
    opened(follow_ups, opening(key))
    one, done = follow_up_id(key, "contact"), []
    before = actions(follow_ups, one)
    state = follow_ups.get(one)[0].state
    for wanted in path:
        outcome = "recovered" if wanted in ("resolved", "closed") else None
        if wanted in TRANSITIONS[state]:
            assert follow_ups.move(one, wanted, "ana", NOW, outcome=outcome).state == wanted
            done.append(wanted)
            state = wanted
        else:
            with pytest.raises(TransitionError, match=f"is {state}; from there"):
                follow_ups.move(one, wanted, "ana", NOW, outcome=outcome)
    assert actions(follow_ups, one) == before + done
    assert verify(follow_ups).fault is None


def test_an_end_needs_an_outcome_and_nothing_else_has_one(follow_ups, told):
    opened(follow_ups, opening())
    with pytest.raises(InputError, match="the outcome is one of"):
        follow_ups.move(R1, "resolved", "ana", NOW)
    with pytest.raises(InputError, match="has no outcome yet"):
        follow_ups.move(R1, "acknowledged", "ana", NOW, outcome="done")
    follow_ups.move(R1, "resolved", "ana", NOW + HOUR, outcome="recovered", text="She was glad")
    closed = follow_ups.move(R1, "closed", "ben", NOW + 2 * HOUR)
    assert (closed.outcome, closed.resolved_at) == ("recovered", NOW + HOUR)
    assert told[-1] == ("follow_up.closed", closed.to_record())
    again = follow_ups.move(R1, "reopened", "ben", NOW + 3 * HOUR, due_at=NOW + 9 * HOUR)
    assert (again.outcome, again.resolved_at, again.due_at) == (None, None, NOW + 9 * HOUR)
    events = follow_ups.get(R1)[1]
    assert [(e.entry.actor, e.entry.text) for e in events[1:3]] == [("ana", "She was glad"), ("ben", None)]


def test_owners_and_notes_are_in_the_history(follow_ups):
    opened(follow_ups, opening())
    assert follow_ups.assign(R1, "ana", "ben", NOW).owner == "ana"
    follow_ups.note(R1, "Called, no answer", "ana", NOW)
    assert actions(follow_ups, R1) == ["opened", "assigned", "noted"]
    for call in (lambda: follow_ups.note("fu-x", "a", "b", NOW), lambda: follow_ups.get("fu-x")):
        with pytest.raises(NotFoundError):
            call()


def test_a_deadline_that_passed_is_noted_and_told_once(follow_ups, told):
    opened(follow_ups, opening(), opening("r2", due=2 * HOUR), opening("r3", due=None), opening("r4"))
    follow_ups.move(follow_up_id("r4", "contact"), "closed", "ana", NOW, outcome="done")
    told.clear()
    assert follow_ups.mark_overdue(NOW + 2 * HOUR) == 0  # on the minute is in time
    assert follow_ups.mark_overdue(NOW + 3 * HOUR) == 1
    assert follow_ups.mark_overdue(NOW + 5 * HOUR) == 1
    assert follow_ups.mark_overdue(NOW + 9 * HOUR) == 0
    assert [(kind, said["response_id"]) for kind, said in told] == [
        ("follow_up.overdue", "r2"),
        ("follow_up.overdue", "r1"),
    ]


def test_many_processes_note_a_deadline_once(follow_ups, told):
    opened(follow_ups, *(opening(f"r{i}") for i in range(20)))
    told.clear()
    threads = [threading.Thread(target=follow_ups.mark_overdue, args=(NOW + 5 * HOUR,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 20


def test_pages_follow_on_and_filters_hold(follow_ups):
    for hour in range(5):
        opened(
            follow_ups,
            opening(f"r{hour}a"),
            opening(f"r{hour}b", "thank", owner=None, due=None),
            now=NOW + hour * HOUR,
        )
    seen, cursor = [], None
    while True:
        page = follow_ups.page(FollowUpFilter(), 3, cursor, NOW)
        seen += [row.follow_up_id for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    whole = follow_ups.page(FollowUpFilter(), 100, None, NOW).rows
    assert seen == [row.follow_up_id for row in whole]
    assert [row.opened_at for row in whole] == sorted((row.opened_at for row in whole), reverse=True)
    late = follow_ups.page(FollowUpFilter(overdue=True), 100, None, NOW + 9 * HOUR).rows
    assert {row.kind for row in late} == {"contact"}
    assert len(late) == 5
    for wanted, count in [
        (FollowUpFilter(kind="thank"), 5),
        (FollowUpFilter(owner="manager"), 5),
        (FollowUpFilter(response_id="r3a"), 1),
        (FollowUpFilter(state="closed"), 0),
    ]:
        assert len(follow_ups.page(wanted, 100, None, NOW).rows) == count
    for bad in ("x", "!!!", "W10", "eyJ9"):
        with pytest.raises(InputError, match="cursor"):
            follow_ups.page(FollowUpFilter(), 3, bad, NOW)


# The trail.


@pytest.fixture
def trail(follow_ups):
    opened(follow_ups, opening(), opening("r2"))
    follow_ups.note(R1, "Called", "ana", NOW)
    follow_ups.move(R1, "closed", "ana", NOW, outcome="done")
    return follow_ups


TRIGGERS = {
    "sqlite": ["follow_up_events_no_update", "follow_up_events_no_delete"],
    "postgresql": [f"follow_up_events_{name} ON follow_up_events" for name in ("final", "kept")],
}


def tampered(follow_ups, *statements):
    """Do to the trail what only somebody with the database's file can: the triggers go first."""
    with follow_ups._store.writing() as connection:
        for trigger in TRIGGERS[connection.dialect.name]:
            connection.execute(text(f"DROP TRIGGER {trigger}"))
        for statement in statements:
            connection.execute(text(statement))


def test_a_trail_that_nobody_touched_holds(trail):
    check = verify(trail)
    assert (check.rows, check.fault) == (4, None)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE follow_up_events SET actor = 'eve' WHERE number = 3", "row 3 is not as it was written"),
        ("UPDATE follow_up_events SET at = '2020' WHERE number = 1", "row 1 is not as it was written"),
        ("UPDATE follow_up_events SET detail = '{}' WHERE number = 4", "row 4 is not as it was written"),
        (
            "UPDATE follow_up_events SET follow_up_id = 'fu-x' WHERE number = 2",
            "row 2 is not as it was written",
        ),
        ("DELETE FROM follow_up_events WHERE number = 2", "row 2 is missing"),
        ("DELETE FROM follow_up_events WHERE number = 4", "rows after row 3 are missing"),
        ("UPDATE follow_up_texts SET text = 'Never called'", "the text of row 3 is not as it was written"),
        ("DELETE FROM follow_up_trail", "rows after row 4 are missing"),
    ],
)
def test_whatever_is_changed_shows(trail, statement, words):
    tampered(trail, statement)
    assert words in verify(trail).fault


def test_rows_that_change_places_show(trail):
    tampered(
        trail,
        "UPDATE follow_up_events SET number = 99 WHERE number = 1",
        "UPDATE follow_up_events SET number = 1 WHERE number = 2",
        "UPDATE follow_up_events SET number = 2 WHERE number = 99",
    )
    assert "row 1 does not follow" in verify(trail).fault


def test_who_has_no_key_cannot_mend_the_trail(trail, store):
    forged = FollowUps(store, AuditTrail(bytes(32)))
    forged.note(R1, "Nothing happened", "eve", NOW)
    assert "row 5" in verify(trail).fault


def test_the_database_itself_refuses_to_rewrite_it(trail):
    statements = ["UPDATE follow_up_events SET actor = 'eve'", "DELETE FROM follow_up_events"]
    if trail._store.engine.dialect.name == "postgresql":
        statements.append("TRUNCATE follow_up_events")
    for statement in statements:
        refused = pytest.raises((DBAPIError, StoreError), match="cannot be rewritten")
        with refused, trail._store.writing() as connection:
            connection.execute(text(statement))
    assert verify(trail).fault is None


def test_texts_can_be_erased_and_the_trail_still_holds(trail):
    with trail._store.writing() as connection:
        assert trail.erase_texts(connection, ["r1"]) == 1
        assert trail.erase_texts(connection, ["r2", "nobody"]) == 0
    assert [event.entry.text for event in trail.get(R1)[1]] == [None, None, None]
    assert verify(trail).fault is None


def test_what_fails_half_way_leaves_no_row_behind(trail, monkeypatch):
    monkeypatch.setattr(trail, "_announce", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened(trail, opening("r9"))
    with pytest.raises(NotFoundError):
        trail.get(follow_up_id("r9", "contact"))
    assert (verify(trail).rows, verify(trail).fault) == (4, None)


def test_processes_that_start_together_agree_on_one_key(tmp_path):
    path, found = tmp_path / "home" / "audit.key", []
    threads = [threading.Thread(target=lambda: found.append(read_trail_key(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == ["audit.key"]


def test_a_key_that_is_none_is_named(tmp_path):
    (tmp_path / "audit.key").write_text("short")
    with pytest.raises(InputError, match="holds no key"):
        read_trail_key(tmp_path / "audit.key")
