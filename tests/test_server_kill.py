"""A served API that is killed with SIGKILL in mid-request loses no acknowledged response and doubles none."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from data.store import Store

ROOT = Path(__file__).resolve().parent.parent
SERVER = """
import socket, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import uvicorn
from data.settings import Settings
from serving.api import create_app
from tests.stubs import StubTagger
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
app = create_app(Settings(home=Path({home!r})), StubTagger())
uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[listener])
"""


@contextmanager
def server(home):
    code = SERVER.format(root=str(ROOT), home=str(home))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def batch(number):
    rows = [
        {"response_id": f"b{number}-{i}", "score": i % 11, "comment": f"Billed twice, case {number}/{i}"}
        for i in range(300)
    ]
    return {"responses": rows}


@pytest.mark.parametrize("acknowledged", [1, 3])
def test_kill_9_during_ingestion(tmp_path, acknowledged):
    told = []
    enough = threading.Event()

    def send(url):
        with httpx.Client(base_url=url, timeout=60) as client:
            for number in range(40):
                try:
                    answer = client.post("/v1/responses", json=batch(number))
                except httpx.TransportError:
                    return
                assert answer.status_code == 200, answer.text
                told.append(number)
                if len(told) == acknowledged:
                    enough.set()

    with server(tmp_path) as (process, url):
        sender = threading.Thread(target=send, args=(url,))
        sender.start()
        assert enough.wait(60)
        os.kill(process.pid, signal.SIGKILL)  # while the next batch is on its way
        sender.join(60)

    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        kept = [row.response.response_id for row in store.tagged()]
    assert len(kept) == len(set(kept))
    assert {f"b{n}-{i}" for n in told for i in range(300)} <= set(kept)

    with server(tmp_path) as (_, url), httpx.Client(base_url=url, timeout=60) as client:
        again = [client.post("/v1/responses", json=batch(number)).json() for number in range(6)]
        assert sum(counts["created"] for counts in again) == 1800 - len(set(kept) & ids(6))
        ranking = client.get("/v1/root-causes").json()
    assert ranking["n_scored"] == len(set(kept) | ids(6))


def ids(batches):
    return {f"b{n}-{i}" for n in range(batches) for i in range(300)}
