"""The worker of a process: does the jobs of the store, one at a time, whoever put them up."""

from __future__ import annotations

import errno
import logging
import math
import os
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from data.errors import InputError, ModelError, WhyscoreError
from data.files import plain_reason
from data.jobs import LEASE_SECONDS, MOST_ATTEMPTS, Job, JobBoard
from data.scale import Scale
from data.store import Store, StoreError
from data.store_engine import StoreFullError
from serving.ingest import IngestCounts, ResponseTagger, ingest_file
from serving.problems import problem_of, unforeseen

POLL_SECONDS = 2.0
"""How often the store is asked for jobs that other processes put up."""

RETRY_SECONDS = 10.0
"""How long a job waits where there is no model, or the store is gone."""

SWEEP_SECONDS = 3600.0
"""How often the folder is looked through for files that nobody needs."""

_ABANDONED_SECONDS = 24 * 3600

log = logging.getLogger("whyscore.serving")


class _Ended(Exception):
    """The job was cancelled, lost to another worker, or this process ends."""


class ImportWorker:
    """Imports the files of jobs in a thread of its own.

    Parameters
    ----------
    store
        Where jobs and responses are.
    home
        The home folder; files wait in its folder ``jobs``.
    scale
        The declared scale.
    tagger
        Gives the model; raises `ModelError` where there is none.
    """

    def __init__(self, store: Store, home: Path, scale: Scale, tagger: Callable[[], ResponseTagger]) -> None:
        self.board = JobBoard(store)
        self._store, self._folder, self._scale, self._tagger = store, home / "jobs", scale, tagger
        self._name = uuid.uuid4().hex
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._place: str | None = None

    @property
    def folder(self) -> Path:
        """Where the files of jobs wait; made when first asked for."""
        with spooling():
            self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def place(self) -> str:
        """The name of the folder: who has another folder cannot do its jobs."""
        if self._place is None:
            path = self.folder / "place"
            with spooling():
                try:
                    with path.open("x", encoding="ascii") as file:
                        file.write(uuid.uuid4().hex)
                except FileExistsError:
                    pass
                self._place = path.read_text(encoding="ascii")[:32]
        return self._place

    def start(self) -> None:
        """Begin to look for jobs."""
        self._thread = threading.Thread(target=self._work, name="whyscore-jobs", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """End, and put a job that is under way back; it goes on when a worker is there again."""
        self._stopping.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def wake(self) -> None:
        """Say that there is a job."""
        self._woken.set()

    def run_one(self) -> bool:
        """Do a job, where there is one; tell whether there was."""
        if not self.board.waiting(self.place):
            return False
        job = self.board.claim(self._name, self.place)
        if job is None:
            return False
        self._run(job)
        return True

    def _work(self) -> None:
        swept = -math.inf
        while not self._stopping.is_set():
            if time.monotonic() - swept > SWEEP_SECONDS:
                swept = time.monotonic()
                self._sweep()
            self._woken.clear()
            try:
                busy = self.run_one()
            except (WhyscoreError, OSError) as error:
                log.error(
                    "jobs: %s", error.message if isinstance(error, WhyscoreError) else type(error).__name__
                )
                self._stopping.wait(RETRY_SECONDS)
                continue
            if not busy:
                self._woken.wait(POLL_SECONDS)

    def _run(self, job: Job) -> None:
        if job.attempts > MOST_ATTEMPTS:
            often = f"the job was interrupted {MOST_ATTEMPTS} times without getting further"
            self._fail(job, InputError(f"{often}; send the file in parts"))
            return
        try:
            with self._heartbeat(job):
                counts = self._import(job)
        except _Ended:
            if self._stopping.is_set():
                self.board.give_back(job, 0)
            elif self.board.end(job, "cancelled"):
                self._drop(job)
        except ModelError:
            self.board.give_back(job, RETRY_SECONDS)
        except StoreError:
            raise
        except Exception as error:
            self._fail(job, error)
        else:
            if self.board.end(job, "done", rows_done=_stored(counts), counts=asdict(counts)):
                self._drop(job)

    def _import(self, job: Job) -> IngestCounts:
        path = self._folder / job.spool
        if not path.is_file():
            raise InputError("the file of the job is gone; send it again")

        def report(**progress: object) -> None:
            if self._stopping.is_set() or not self.board.report(job, **progress):
                raise _Ended

        return ingest_file(
            path,
            self._tagger(),
            self._store,
            scale=self._scale,
            columns=job.options.get("columns") or {},
            date_format=job.options.get("date_format"),
            mask=tuple(job.options.get("mask") or ()),
            on_checked=lambda rows: report(rows_total=rows),
            on_counts=lambda counts: report(
                rows_done=_stored(counts), counts=asdict(counts), **_hope(counts)
            ),
        )

    def _fail(self, job: Job, error: Exception) -> None:
        if isinstance(error, WhyscoreError):
            if error.file is not None:  # the waiting file's name tells nobody anything
                error.file = job.file or f"upload{Path(job.spool).suffix}"
            problem = problem_of(error)
        else:  # its message may quote a comment
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("job %s: %s\n%s", job.job_id, type(error).__name__, frames)
            problem = unforeseen()
        if self.board.end(job, "failed", problem=problem.model_dump(exclude_none=True)):
            self._drop(job)

    def _drop(self, job: Job) -> None:
        (self._folder / job.spool).unlink(missing_ok=True)

    @contextmanager
    def _heartbeat(self, job: Job) -> Iterator[None]:
        """Renew the lease all the while: checking a large file takes longer than it."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(LEASE_SECONDS / 4):
                try:
                    self.board.report(job)
                except WhyscoreError:
                    continue

        thread = threading.Thread(target=beat, name="whyscore-jobs-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _sweep(self) -> None:
        """Delete files that no job waits for: of uploads and of workers that were killed.

        A file that no job names may be an upload that is under way, until it is old.
        """
        try:
            ended = self.board.spools()
            old = time.time() - _ABANDONED_SECONDS
            for path in self._folder.glob("*.spool.*"):
                if ended[path.name] if path.name in ended else path.stat().st_mtime < old:
                    path.unlink(missing_ok=True)
        except (WhyscoreError, OSError) as error:
            log.error("jobs: %s", type(error).__name__)


def _hope(counts: IngestCounts) -> dict[str, int]:
    """Forget how often a job was interrupted once it gets further than ever: it is not what kills workers."""
    return {"attempts": 1} if counts.created + counts.updated else {}


def _stored(counts: IngestCounts) -> int:
    return counts.received - counts.replaced


@contextmanager
def spooling() -> Iterator[None]:
    """Turn a failure to keep an upload, such as a full disk, into a `StoreError`."""
    try:
        yield
    except OSError as error:
        kind = StoreFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
        raise kind(f"the file of a job cannot be kept ({plain_reason(error)})") from error


def sync_file(path: Path) -> None:
    """See to it that a file is on disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
