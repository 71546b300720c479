"""Several server processes behind one port: a small parent that starts them, replaces them and ends them.

The parent opens the port and loads nothing else; each worker inherits the listening socket, so that a
connection that waits when a worker dies is taken by another one. A worker that finds its parent gone ends.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from data.errors import InputError, WhyscoreError
from data.settings import Settings
from model.engine import usable_cores
from model.local_registry import FETCH_SECONDS
from serving.worker_metrics import VARIABLE, forget_worker
from whyscore.terminal import say

_LOOK_S = 0.2
_SHORT_LIFE_S = 10.0
_LONGEST_PAUSE_S = 30.0
_GRACE_S = 5.0  # beyond the time that a worker has to finish its requests
_START_S = FETCH_SECONDS + 120.0  # the first one may have to fetch its model, and then begins


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    ready: int
    started: float


class Workers:
    """The workers of one port.

    Parameters
    ----------
    count
        How many.
    listener
        The listening socket that they share; `run` closes it.
    model
        As ``whyscore serve --model`` takes it.
    settings
        Of every worker; the threads are divided among them.
    tls
        Files of the certificate and of its key, to serve HTTPS.
    """

    def __init__(
        self,
        count: int,
        listener: socket.socket,
        model: str | None,
        settings: Settings,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        if not hasattr(os, "fork"):
            raise InputError("several workers share a port on Linux and macOS alone; leave out --workers")
        self.count, self.listener, self.model, self.tls = count, listener, model, tls
        self.settings = settings.model_copy(update={"threads": threads_of_each(count, settings.threads)})
        self._workers: list[_Worker] = []
        self._figures = TemporaryDirectory(prefix="whyscore-metrics-")  # where the workers count together
        self._stopping = threading.Event()
        self._short_lives = 0

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then let the workers finish, and end.

        Raises
        ------
        WhyscoreError
            If the first worker cannot start.
        """
        former = {
            number: signal.signal(number, lambda *_: self._stopping.set())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            # The first one makes the store and measures the engines, so that the others find both.
            self._workers.append(self._start())
            self._await_ready(self._workers[0])
            while not self._stopping.is_set():
                self._replace_dead()
                self._stopping.wait(_LOOK_S)
        finally:
            self._end()
            for number, handler in former.items():
                signal.signal(number, handler)

    def process_ids(self) -> list[int]:
        """Give the process ids of the workers that live."""
        return [worker.process.pid for worker in self._workers if worker.process.poll() is None]

    def _start(self) -> _Worker:
        ready, told = os.pipe()
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        handle = self.listener.fileno()
        more = [self.model or "", *(str(file.resolve()) for file in self.tls or ())]
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "whyscore.workers", str(handle), str(told), *more],
                stdin=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": path, VARIABLE: self._figures.name},
                pass_fds=(handle, told),
                start_new_session=True,  # Ctrl-C is for the parent, which ends the workers in order
            )
        except OSError:
            os.close(ready)
            raise
        finally:
            os.close(told)
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(self.settings.model_dump_json().encode() + b"\n")
            process.stdin.flush()  # and left open: its end tells the worker that the parent is gone
        return _Worker(process, ready, time.monotonic())

    def _await_ready(self, worker: _Worker) -> None:
        end = worker.started + _START_S
        while not self._stopping.is_set() and time.monotonic() < end:
            if select.select([worker.ready], [], [], _LOOK_S)[0]:
                if os.read(worker.ready, 1):
                    return
                raise WhyscoreError("the server could not start; what it said above tells why")
        if not self._stopping.is_set():
            raise WhyscoreError(f"the server did not start within {_START_S:g} s")

    def _replace_dead(self) -> None:
        alive = []
        for worker in self._workers:
            if worker.process.poll() is None:
                alive.append(worker)
                continue
            lived = time.monotonic() - worker.started
            self._short_lives = self._short_lives + 1 if lived < _SHORT_LIFE_S else 0
            forget_worker(worker.process.pid, Path(self._figures.name))
            say(f"A worker ended ({worker.process.returncode}) and is replaced.")
            _close(worker)
        self._workers = alive
        if self._short_lives > 1:
            self._stopping.wait(min(_LONGEST_PAUSE_S, 2.0 ** (self._short_lives - 2)))
        while len(self._workers) < self.count and not self._stopping.is_set():
            self._workers.append(self._start())

    def _end(self) -> None:
        self.listener.close()  # else the system would go on taking connections that nobody serves
        for worker in self._workers:
            with suppress(ProcessLookupError):
                worker.process.terminate()
        end = time.monotonic() + self.settings.shutdown_timeout_s + _GRACE_S
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            _close(worker)
        self._workers = []
        self._figures.cleanup()


def threads_of_each(count: int, threads: int | None) -> int:
    """Give the threads of each worker: an even share of those that all of them may use."""
    return max(1, (threads or usable_cores()) // count)


def _close(worker: _Worker) -> None:
    os.close(worker.ready)
    if worker.process.stdin is not None:
        with suppress(OSError):
            worker.process.stdin.close()


def _work(listener: socket.socket, ready: int, model: str | None, tls: tuple[Path, Path] | None) -> None:
    """Serve as one of several, until told to stop or the parent is gone."""
    import uvicorn

    from whyscore.server import make_app, server_config

    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    server: Any = uvicorn.Server(server_config(make_app(model, settings), settings, tls))

    def watch_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=watch_parent, daemon=True).start()
    os.write(ready, b"r")
    os.close(ready)
    server.run(sockets=[listener])


if __name__ == "__main__":
    try:
        files = (Path(sys.argv[4]), Path(sys.argv[5])) if len(sys.argv) > 4 else None
        _work(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3] or None, files)
    except WhyscoreError as error:
        sys.stderr.write(f"whyscore: {error}\n")
        raise SystemExit(error.exit_code) from None
