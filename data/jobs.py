"""Jobs: work that takes longer than a request, kept in the store so that a restart loses none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, Connection, and_, delete, literal, or_, select, tuple_, update

from data.cursors import cursor_of, moment_of, position_of
from data.errors import NotFoundError, WhyscoreError
from data.service_schema import jobs
from data.store import Store
from data.store_schema import UtcDateTime

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
FINISHED: tuple[JobState, ...] = ("done", "failed", "cancelled")

LEASE_SECONDS = 60
"""A worker that is not heard of for so long has lost its job to the next one."""

MOST_ATTEMPTS = 5
"""A job whose worker died so often without storing any more is given up: it may be what kills them."""

KEPT_DAYS = 30
"""How long a finished job can be asked about."""

_CURSOR = "jobs"


class JobStateError(WhyscoreError):
    """A job that is past what was asked of it."""

    exit_code = 2
    status = 409
    title = "Job has ended"


@dataclass(frozen=True, slots=True)
class Job:
    """A job.

    Attributes
    ----------
    job_id, kind, state
        Its name, what it does, and how far it is.
    place
        The folder that its file lies in, by name: only workers there can do it.
    file
        The file as whoever sent it calls it.
    spool
        The file as it lies in the folder.
    options
        How to read it.
    rows_done, rows_total
        Progress; the total is known once all rows are checked.
    counts
        What became of the rows that are done.
    problem
        Why it failed; empty where it did not.
    attempts
        How often it was begun since it last got further.
    """

    job_id: str
    kind: str
    place: str
    file: str | None
    spool: str
    state: JobState = "queued"
    options: Mapping[str, Any] = field(default_factory=dict)
    rows_done: int = 0
    rows_total: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    problem: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    cancel_requested: bool = False
    worker: str | None = None
    lease_until: datetime | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime | None = None


_FIELDS = tuple(Job.__dataclass_fields__)
_COLUMNS = [jobs.c[name] for name in _FIELDS]


class JobBoard:
    """The jobs of a store, shared by its processes.

    Parameters
    ----------
    store
        Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, job: Job) -> None:
        """Put up a job; forgets those that finished long ago."""
        old = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
        with self._store.writing() as connection:
            connection.execute(delete(jobs).where(jobs.c.finished_at < old))
            connection.execute(jobs.insert().values({name: getattr(job, name) for name in _FIELDS}))

    def get(self, job_id: str) -> Job:
        """Give a job; raises `NotFoundError` where there is none of this id."""
        with self._store.reading() as connection:
            return _get(connection, job_id)

    def page(self, limit: int, cursor: str | None = None) -> tuple[list[Job], str | None]:
        """Give some jobs, newest first, and the cursor of those after them, None after the last.

        Raises
        ------
        InputError
            If the cursor is not one that a page of jobs gave.
        """
        held: list[ColumnElement[bool]] = []
        if cursor is not None:
            moment, job_id = position_of(cursor, _CURSOR, 2)
            at = literal(moment_of(moment), UtcDateTime())
            held.append(tuple_(jobs.c.created_at, jobs.c.job_id) < tuple_(at, literal(job_id)))
        order = jobs.c.created_at.desc(), jobs.c.job_id.desc()
        with self._store.reading() as connection:
            query = select(*_COLUMNS).where(*held).order_by(*order).limit(limit + 1)
            found = [Job(*row) for row in connection.execute(query)]
        if len(found) <= limit:
            return found, None
        last = found[limit - 1]
        return found[:limit], cursor_of(_CURSOR, last.created_at.isoformat(), last.job_id)

    def spools(self) -> dict[str, bool]:
        """Give the files of all jobs, and of each whether its job has ended."""
        with self._store.reading() as connection:
            rows = connection.execute(select(jobs.c.spool, jobs.c.state))
            return {row.spool: row.state in FINISHED for row in rows}

    def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job; one that nobody has begun ends at once.

        Raises
        ------
        NotFoundError
            If there is no such job.
        JobStateError
            If it is done or has failed.
        """
        now = datetime.now(UTC)
        with self._store.writing() as connection:
            job = _get(connection, job_id, lock=True)
            if job.state in ("done", "failed"):
                raise JobStateError(f"the job is over already ({job.state})")
            if job.state != "cancelled":
                change: dict[str, Any] = {"cancel_requested": True, "updated_at": now}
                if job.state == "queued":
                    change |= {"state": "cancelled", "finished_at": now}
                connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(change))
            return _get(connection, job_id)

    def waiting(self, place: str) -> bool:
        """Tell whether a job at this place can be begun."""
        with self._store.reading() as connection:
            query = select(jobs.c.job_id).where(_free(place, datetime.now(UTC))).limit(1)
            return connection.scalar(query) is not None

    def claim(self, worker: str, place: str) -> Job | None:
        """Take the oldest job that can be begun, or that a worker was lost on; None where there is none."""
        now = datetime.now(UTC)
        with self._store.writing() as connection:
            query = select(jobs.c.job_id).where(_free(place, now)).order_by(jobs.c.created_at, jobs.c.job_id)
            job_id = connection.scalar(query.limit(1).with_for_update(skip_locked=True))
            if job_id is None:
                return None
            change = {
                "state": "running",
                "worker": worker,
                "lease_until": now + timedelta(seconds=LEASE_SECONDS),
                "updated_at": now,
                "rows_done": 0,
                "counts": {},
                "attempts": jobs.c.attempts + 1,
            }
            connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(change))
            return _get(connection, job_id)

    def report(self, job: Job, **progress: Any) -> bool:
        """Renew a worker's lease and note its progress; tell whether it shall go on."""
        now = datetime.now(UTC)
        change = progress | {"lease_until": now + timedelta(seconds=LEASE_SECONDS), "updated_at": now}
        with self._store.writing() as connection:
            kept = connection.execute(update(jobs).where(_held_by(job)).values(change)).rowcount
            return kept > 0 and not _get(connection, job.job_id).cancel_requested

    def end(self, job: Job, state: JobState, **result: Any) -> bool:
        """Note that a worker's job has ended; False where it had lost the job to another worker."""
        now = datetime.now(UTC)
        change = result | {"state": state, "finished_at": now, "updated_at": now, "lease_until": None}
        with self._store.writing() as connection:
            return connection.execute(update(jobs).where(_held_by(job)).values(change)).rowcount > 0

    def give_back(self, job: Job, seconds: float) -> None:
        """Put a job back, to be begun again after some time, and not counted as an attempt."""
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        change = {"state": "queued", "worker": None, "lease_until": later, "attempts": job.attempts - 1}
        with self._store.writing() as connection:
            connection.execute(update(jobs).where(_held_by(job)).values(change))


def _get(connection: Connection, job_id: str, *, lock: bool = False) -> Job:
    query = select(*_COLUMNS).where(jobs.c.job_id == job_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFoundError("there is no such job")
    return Job(*cast(Any, row))


def _free(place: str, now: datetime) -> ColumnElement[bool]:
    over = jobs.c.lease_until < now
    queued = and_(jobs.c.state == "queued", or_(jobs.c.lease_until.is_(None), over))
    return and_(jobs.c.place == place, or_(queued, and_(jobs.c.state == "running", over)))


def _held_by(job: Job) -> ColumnElement[bool]:
    return and_(jobs.c.job_id == job.job_id, jobs.c.state == "running", jobs.c.worker == job.worker)
