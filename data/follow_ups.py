"""Follow-ups: who speaks to which customer until when, how it ended, and everything that was done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Row, select, update

from data.audit_trail import AuditTrail, Entry, Event, erase_texts, history
from data.cells import whole_text
from data.errors import InputError, NotFoundError, WhyscoreError
from data.follow_up_pages import FollowUpFilter, FollowUpPage, after_cursor, conditions, cursor_after
from data.follow_up_schema import follow_ups
from data.store import Store

Kind = Literal["contact", "label", "thank"]
"""What is to be done: speak to the customer, label the comment for training, or thank."""

State = Literal["open", "acknowledged", "resolved", "closed", "reopened"]
Outcome = Literal["recovered", "not_recovered", "not_reached", "no_action", "done"]

OPEN: tuple[State, ...] = ("open", "acknowledged", "reopened")
"""The states in which somebody still has to do something."""

TRANSITIONS: dict[State, tuple[State, ...]] = {
    "open": ("acknowledged", "resolved", "closed"),
    "acknowledged": ("resolved", "closed"),
    "resolved": ("closed", "reopened"),
    "closed": ("reopened",),
    "reopened": ("acknowledged", "resolved", "closed"),
}

SYSTEM = "system"
MAX_NOTE = 10_000
_CHUNK = 500

Announce = Callable[[Connection, str, Sequence[Mapping[str, Any]]], object]
"""Takes the transaction, the type of an event, and what each event says."""


class TransitionError(WhyscoreError):
    """A follow-up that cannot go from its state to the one that was asked for."""

    exit_code = 2
    status = 409
    title = "Not possible in this state"


@dataclass(frozen=True, slots=True)
class Opening:
    """A follow-up that a rule asks for.

    Attributes
    ----------
    response_id
        Of the response that it is about.
    kind, rule, owner
        What to do, the rule that says so, and who is to do it.
    due_at
        Until when; None for no deadline.
    score
        The response's score.
    """

    response_id: str
    kind: Kind
    rule: str
    owner: str | None
    due_at: datetime | None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A follow-up as it stands; a response has at most one of each kind.

    Attributes
    ----------
    follow_up_id, response_id, kind, rule, owner, score, due_at
        As in its opening; owner and deadline may have changed since.
    state, outcome
        Where it stands, and how it ended.
    opened_at, overdue_at, acknowledged_at, resolved_at
        When it was; None where it was not.
    """

    follow_up_id: str
    response_id: str
    kind: Kind
    rule: str
    state: State
    owner: str | None
    score: float | None
    outcome: Outcome | None
    opened_at: datetime
    due_at: datetime | None
    overdue_at: datetime | None
    acknowledged_at: datetime | None
    resolved_at: datetime | None

    def to_record(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        record = asdict(self)
        times = ("opened_at", "due_at", "overdue_at", "acknowledged_at", "resolved_at")
        return record | {name: record[name] and record[name].isoformat() for name in times}


def follow_up_id(response_id: str, kind: Kind) -> str:
    """Name the follow-up of a kind of a response, the same every time."""
    return "fu-" + hashlib.sha256(f"{kind}\0{response_id}".encode("utf-8", "surrogatepass")).hexdigest()[:20]


class FollowUps:
    """The follow-ups of a store.

    Parameters
    ----------
    store
        Where they are.
    trail
        Notes everything that is done.
    announce
        Told of what happens, inside the transaction in which it does.
    """

    def __init__(self, store: Store, trail: AuditTrail, announce: Announce | None = None) -> None:
        self._store, self.trail = store, trail
        self._announce: Announce = announce or (lambda connection, type_, events: None)

    def open(self, connection: Connection, openings: Iterable[Opening], now: datetime) -> int:
        """Open what is not open yet, in a transaction that writes; give how many are new.

        Where a response has a follow-up of the kind already, nothing doubles. If nobody has taken it up yet
        and another rule now asks for it (the comment came after the score, say), it goes to that rule's
        owner, and the deadline can only come nearer.
        """
        wanted = {follow_up_id(opening.response_id, opening.kind): opening for opening in openings}
        known = _by_ids(connection, list(wanted))
        fresh = {key: opening for key, opening in wanted.items() if key not in known}
        if fresh:
            rows = [
                {"follow_up_id": key, "state": "open", "opened_at": now, **_fields(opening)}
                for key, opening in fresh.items()
            ]
            connection.execute(follow_ups.insert(), rows)
        entries = [
            Entry(key, SYSTEM, "opened", _said(_fields(opening) | {"score": opening.score}))
            for key, opening in fresh.items()
        ]
        for key, old in known.items():
            entries += self._reroute(connection, old, wanted[key])
        self.trail.append(connection, entries, now)
        if fresh:
            opened = _by_ids(connection, list(fresh))
            self._announce(connection, "follow_up.opened", [one.to_record() for one in opened.values()])
        return len(fresh)

    def _reroute(self, connection: Connection, old: FollowUp, asked: Opening) -> list[Entry]:
        if old.state != "open" or old.rule == asked.rule:
            return []
        due = min((moment for moment in (old.due_at, asked.due_at) if moment), default=None)
        new = {"rule": asked.rule, "owner": asked.owner, "due_at": due, "score": asked.score}
        connection.execute(
            update(follow_ups).where(follow_ups.c.follow_up_id == old.follow_up_id).values(**new)
        )
        return [Entry(old.follow_up_id, SYSTEM, "rerouted", _said(new))]

    def get(self, key: str) -> tuple[FollowUp, list[Event]]:
        """Give a follow-up and what happened to it; raises `NotFoundError`."""
        with self._store.reading() as connection:
            return _found(connection, key), history(connection, key)

    def page(self, wanted: FollowUpFilter, limit: int, after: str | None, now: datetime) -> FollowUpPage:
        """Give a page of the follow-ups that meet a filter, newest first.

        Raises
        ------
        InputError
            If the cursor is not one that a page gave.
        """
        held = conditions(wanted, now, OPEN)
        if after is not None:
            held.append(after_cursor(after))
        order = (follow_ups.c.opened_at.desc(), follow_ups.c.follow_up_id.desc())
        with self._store.reading() as connection:
            rows = connection.execute(select(follow_ups).where(*held).order_by(*order).limit(limit + 1)).all()
        shown = [_follow_up(row) for row in rows[:limit]]
        more = len(rows) > limit
        return FollowUpPage(
            tuple(shown), cursor_after(shown[-1].opened_at, shown[-1].follow_up_id) if more else None
        )

    def move(
        self,
        key: str,
        state: State,
        actor: str,
        now: datetime,
        *,
        outcome: Outcome | None = None,
        text: str | None = None,
        due_at: datetime | None = None,
    ) -> FollowUp:
        """Bring a follow-up to another state.

        Parameters
        ----------
        key
            Its id.
        state
            One of `TRANSITIONS` from where it stands.
        actor
            Who does it.
        now
            When.
        outcome
            How it ended: needed to resolve, and to close what was not resolved.
        text
            A note.
        due_at
            The new deadline of what is reopened.

        Raises
        ------
        NotFoundError, TransitionError, InputError
            If there is none such, it cannot go there from where it stands, or the outcome is missing or
            has no place there.
        """
        with self._store.writing() as connection:
            old = _found(connection, key, lock=True)
            if state not in TRANSITIONS[old.state]:
                allowed = " or ".join(TRANSITIONS[old.state])
                raise TransitionError(f"the follow-up is {old.state}; from there it can be {allowed}")
            ends = state in ("resolved", "closed")
            if outcome is not None and not ends:
                raise InputError(f"a follow-up that is {state} has no outcome yet")
            if ends and outcome is None and old.outcome is None:
                raise InputError(f"say how it ended: the outcome is one of {', '.join(get_args(Outcome))}")
            new: dict[str, Any] = {"state": state, "outcome": (outcome or old.outcome) if ends else None}
            if state == "acknowledged":
                new["acknowledged_at"] = old.acknowledged_at or now
            if ends:
                new["resolved_at"] = old.resolved_at or now
            if state == "reopened":
                new |= {"due_at": due_at, "overdue_at": None, "resolved_at": None}
            return self._change(connection, old, new, actor, state, text, now)

    def assign(self, key: str, owner: str | None, actor: str, now: datetime) -> FollowUp:
        """Give a follow-up to somebody else, or to nobody; raises `NotFoundError`."""
        with self._store.writing() as connection:
            old = _found(connection, key, lock=True)
            return self._change(connection, old, {"owner": owner}, actor, "assigned", None, now)

    def note(self, key: str, text: str, actor: str, now: datetime) -> FollowUp:
        """Add a note; raises `NotFoundError`."""
        with self._store.writing() as connection:
            old = _found(connection, key, lock=True)
            return self._change(connection, old, {}, actor, "noted", text, now)

    def mark_overdue(self, now: datetime, limit: int = 500) -> int:
        """Note and announce, once each, the follow-ups whose deadline has passed; give how many."""
        late = (
            follow_ups.c.state.in_(OPEN),
            follow_ups.c.due_at < now,
            follow_ups.c.overdue_at.is_(None),
        )
        with self._store.reading() as connection:  # mostly there are none, and nobody need wait
            if connection.execute(select(follow_ups.c.follow_up_id).where(*late).limit(1)).first() is None:
                return 0
        with self._store.writing() as connection:
            query = select(follow_ups).where(*late).order_by(follow_ups.c.due_at).limit(limit)
            found = [_follow_up(row) for row in connection.execute(query.with_for_update())]
            keys = [one.follow_up_id for one in found]
            connection.execute(
                update(follow_ups).where(follow_ups.c.follow_up_id.in_(keys)).values(overdue_at=now)
            )
            entries = [
                Entry(one.follow_up_id, SYSTEM, "overdue", _said({"due_at": one.due_at})) for one in found
            ]
            self.trail.append(connection, entries, now)
            marked = _by_ids(connection, keys)
            self._announce(connection, "follow_up.overdue", [one.to_record() for one in marked.values()])
        return len(found)

    def drop(self, connection: Connection, response_ids: Sequence[str], now: datetime) -> int:
        """Close what is still to be done about responses that are going; give how many that were.

        Nobody is told: what a message would name is about to be no more.
        """
        held = follow_ups.c.response_id.in_(response_ids), follow_ups.c.state.in_(OPEN)
        keys = list(connection.scalars(select(follow_ups.c.follow_up_id).where(*held).with_for_update()))
        if not keys:
            return 0
        new = {"state": "closed", "outcome": "no_action"}
        of_them = follow_ups.c.follow_up_id.in_(keys)
        connection.execute(update(follow_ups).where(of_them).values(**new, resolved_at=now))
        self.trail.append(connection, [Entry(key, SYSTEM, "response deleted", new) for key in keys], now)
        return len(keys)

    def erase_texts(self, connection: Connection, response_ids: Sequence[str]) -> int:
        """Erase what people wrote in the follow-ups of some responses; give how many texts that were."""
        query = select(follow_ups.c.follow_up_id).where(follow_ups.c.response_id.in_(response_ids))
        return erase_texts(connection, list(connection.scalars(query)))

    def _change(
        self,
        connection: Connection,
        old: FollowUp,
        new: Mapping[str, Any],
        actor: str,
        action: str,
        text: str | None,
        now: datetime,
    ) -> FollowUp:
        if new:
            of_it = follow_ups.c.follow_up_id == old.follow_up_id
            connection.execute(update(follow_ups).where(of_it).values(**new))
        text = None if text is None else whole_text(text)
        entry = Entry(old.follow_up_id, whole_text(actor), action, _said(new), text)
        self.trail.append(connection, [entry], now)
        found = _found(connection, old.follow_up_id)
        if action == "closed":
            self._announce(connection, "follow_up.closed", [found.to_record()])
        return found


def _fields(opening: Opening) -> dict[str, Any]:
    return {
        "response_id": opening.response_id,
        "kind": opening.kind,
        "rule": opening.rule,
        "owner": opening.owner,
        "score": opening.score,
        "due_at": opening.due_at,
    }


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give what changed as the trail has it: plain values."""
    return {name: v.isoformat() if isinstance(v, datetime) else v for name, v in values.items()}


def _follow_up(row: Row[Any]) -> FollowUp:
    return FollowUp(**row._mapping)


def _by_ids(connection: Connection, keys: Sequence[str]) -> dict[str, FollowUp]:
    found: dict[str, FollowUp] = {}
    for start in range(0, len(keys), _CHUNK):
        query = select(follow_ups).where(follow_ups.c.follow_up_id.in_(keys[start : start + _CHUNK]))
        found |= {row.follow_up_id: _follow_up(row) for row in connection.execute(query)}
    return found


def _found(connection: Connection, key: str, *, lock: bool = False) -> FollowUp:
    query = select(follow_ups).where(follow_ups.c.follow_up_id == key)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFoundError("there is no such follow-up")
    return _follow_up(row)
