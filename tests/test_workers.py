"""Several workers behind one port: a dead one is replaced, and an end lets what has begun be finished."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from data.errors import WhyscoreError
from data.settings import Settings
from model.local_registry import FETCH_SECONDS
from whyscore.server import allow_connections
from whyscore.workers import Workers, _Worker, threads_of_each

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")


def test_workers_share_the_threads():
    assert [threads_of_each(n, 8) for n in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
    assert threads_of_each(1000, None) == 1


def test_a_server_opens_as_many_connections_as_the_system_allows():
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
    try:
        allow_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("seconds", "in_time"), [(FETCH_SECONDS + 60, True), (FETCH_SECONDS + 600, False)])
def test_a_worker_may_take_as_long_as_the_fetch_of_its_model(tmp_path, seconds, in_time):
    ready, told = os.pipe()
    with socket.socket() as listener:
        workers = Workers(2, listener, None, Settings(home=tmp_path))
        try:
            os.write(told, b"r")
            first = _Worker(None, ready, time.monotonic() - seconds)
            if in_time:
                workers._await_ready(first)
            else:
                with pytest.raises(WhyscoreError, match="did not start within"):
                    workers._await_ready(first)
        finally:
            workers._end()
            os.close(ready)
            os.close(told)


def children(parent):
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


@pytest.fixture
def server(tmp_path):
    """A server with two workers and no model; gives the process and its port."""
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "whyscore", "serve", "--workers", "2", "--port", "0"],
            cwd=ROOT,
            env=os.environ
            | {"WHYSCORE_HOME": str(tmp_path), "WHYSCORE_SHUTDOWN_TIMEOUT_S": "20", "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        port = int(wait_for(lambda: re.search(r"127.0.0.1:(\d+)/", log.read_text())).group(1))
        wait_for(lambda: len(children(process.pid)) == 2)
        yield process, port
    finally:
        for pid in [*children(process.pid), process.pid] if process.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        process.wait(30)


def healthy(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
        return answer.status == 200


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_an_end_finishes_what_has_begun(server):
    process, port = server
    assert healthy(port)
    before = set(children(process.pid))
    os.kill(min(before), signal.SIGKILL)
    for _ in range(20):
        assert healthy(port)  # the other one takes what comes, and what waited
    wait_for(lambda: len(set(children(process.pid)) - {min(before)}) == 2)

    body = b'{"responses": []}'
    head = "POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.sendall(head.encode())
        assert b"100 Continue" in link.recv(1024)  # it has begun
        process.terminate()
        wait_for(lambda: not listening(port))
        link.sendall(body)
        answer = link.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503")  # there is no model, and that is an answer
    assert process.wait(60) == 0


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_workers_end_when_their_parent_is_gone(server):
    process, port = server
    assert healthy(port)
    workers = children(process.pid)
    process.kill()
    process.wait(30)
    wait_for(lambda: not any(alive(pid) for pid in workers))


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
