"""Notices of survey tools that name a response without holding it, kept until it has been fetched.

A notice is on disk before the tool is answered. Whoever fetches takes some for a while (a lease, which is
the moment at which they are due again); if it dies, another takes them. Several notices of one response are
one, and one that comes while the response is being fetched has it fetched again.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    String,
    Table,
    delete,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from data.store import Store
from data.store_schema import UtcDateTime, metadata
from data.webhook_outbox import delay_after

LONGEST_DELAY = timedelta(hours=1)
"""Between two tries: whoever mends the token or the mapping need not wait long."""

GIVEN_UP = timedelta(days=30)
"""A response that could not be fetched for so long is left."""

source_notices = Table(
    "source_notices",
    metadata,
    Column("source", String(63), primary_key=True),
    Column("survey", String(32), primary_key=True),
    Column("response", String(32), primary_key=True),
    Column("times", Integer, nullable=False),  # how many notices of it have come
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease", String(32)),
    Index("ix_source_notices_due_at", "due_at"),
)
_KEY = tuple_(source_notices.c.source, source_notices.c.survey, source_notices.c.response)


@dataclass(frozen=True, slots=True)
class Notice:
    """A response that a survey tool has named: its source in the connectors' file, and the tool's ids."""

    source: str
    survey: str
    response: str


@dataclass(frozen=True, slots=True)
class TakenNotice:
    """A notice that its holder is to see to now.

    Attributes
    ----------
    notice
        What is to be fetched.
    times, attempts, created_at
        Notices of it so far, failed tries, and when the first came.
    lease
        Names the holder.
    """

    notice: Notice
    times: int
    attempts: int
    created_at: datetime
    lease: str


class SourceNotices:
    """The notices of a store.

    Parameters
    ----------
    store
        Where they are.
    dice
        For the delays.

    Attributes
    ----------
    came
        Set when this process has put one.
    """

    def __init__(self, store: Store, dice: Random | None = None) -> None:
        self._store, self._dice = store, dice or Random()
        self.came = threading.Event()

    def put(self, notice: Notice, now: datetime) -> None:
        """Keep a notice; when this returns it is on disk."""
        with self._store.writing() as connection:
            on_sqlite = connection.dialect.name == "sqlite"
            insert = (sqlite.insert if on_sqlite else postgresql.insert)(source_notices).values(
                source=notice.source,
                survey=notice.survey,
                response=notice.response,
                times=1,
                attempts=0,
                created_at=now,
                due_at=now,
            )
            once_more = {"times": source_notices.c.times + 1}
            key = ["source", "survey", "response"]
            connection.execute(insert.on_conflict_do_update(index_elements=key, set_=once_more))
        self.came.set()

    def take(self, now: datetime, lease: timedelta, limit: int = 10) -> list[TakenNotice]:
        """Take notices that are due; nobody else gets them before the lease ends."""
        due = select(source_notices).where(source_notices.c.due_at <= now)
        with self._store.reading() as connection:  # mostly there are none, and nobody need wait
            if connection.execute(due.limit(1)).first() is None:
                return []
        token = secrets.token_hex(8)
        with self._store.writing() as connection:
            oldest = due.order_by(source_notices.c.due_at).limit(limit).with_for_update(skip_locked=True)
            rows = connection.execute(oldest).all()
            held = _KEY.in_([(row.source, row.survey, row.response) for row in rows])
            connection.execute(update(source_notices).where(held).values(lease=token, due_at=now + lease))
        return [
            TakenNotice(
                Notice(row.source, row.survey, row.response), row.times, row.attempts, row.created_at, token
            )
            for row in rows
        ]

    def done(self, taken: TakenNotice, now: datetime) -> None:
        """Forget what has been seen to; where another notice came meanwhile, it is due again."""
        mine = _held_by(taken)
        with self._store.writing() as connection:
            gone = delete(source_notices).where(*mine, source_notices.c.times == taken.times)
            if not connection.execute(gone).rowcount:
                again = {"due_at": now, "attempts": 0, "lease": None}
                connection.execute(update(source_notices).where(*mine).values(**again))

    def failed(self, taken: TakenNotice, now: datetime, wait: timedelta | None = None) -> bool:
        """Put a notice back, to be due after a growing time; False where it is too old, and was dropped.

        Parameters
        ----------
        taken
            What failed.
        now
            When.
        wait
            How long the tool asked to be left alone; then the try does not count.
        """
        mine = _held_by(taken)
        with self._store.writing() as connection:
            if now - taken.created_at > GIVEN_UP:
                connection.execute(delete(source_notices).where(*mine))
                return False
            attempts = taken.attempts + (wait is None)
            delay = min(delay_after(max(1, attempts), self._dice) if wait is None else wait, LONGEST_DELAY)
            later = {"attempts": attempts, "due_at": now + delay, "lease": None}
            connection.execute(update(source_notices).where(*mine).values(**later))
        return True

    def count(self) -> int:
        """Give how many wait."""
        with self._store.reading() as connection:
            return connection.scalar(select(func.count()).select_from(source_notices)) or 0


def _held_by(taken: TakenNotice) -> tuple[ColumnElement[bool], ...]:
    notice = taken.notice
    return (
        source_notices.c.source == notice.source,
        source_notices.c.survey == notice.survey,
        source_notices.c.response == notice.response,
        source_notices.c.lease == taken.lease,
    )
