"""Over a real connection: streams whose client does not read yet, HEAD, and a job whose server is killed."""

import threading
import time
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import update

from data.jobs import JobBoard
from data.service_schema import jobs
from data.store import Store
from tests.test_server_kill import server
from whyscore_client import Client, ProblemError

ROWS = 6000


def until(condition):
    end = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < end
        threading.Event().wait(0.05)
    return found


def test_who_sends_all_before_reading_anything_gets_all(tmp_path):
    """The synchronous client does so; the answers are larger than what the network holds."""
    comment = f"Billed {'again ' * 300}"
    with server(tmp_path) as (_, url), Client(url, timeout=300) as client:
        items = ({"response_id": f"r{i}", "comment": comment} for i in range(4000))
        assert sum(row.status == "tagged" for row in client.tag_stream(items)) == 4000
        with pytest.raises(ProblemError) as caught:
            list(client.tag_stream([{}] * 10, "best"))
        assert caught.value.status == 422
        head = httpx.head(f"{url}/v1/responses")
        assert (head.status_code, head.content) == (200, b"")
        assert client.get_health().status == "ok"


def test_kill_9_during_a_job_loses_nothing_and_doubles_nothing(tmp_path):
    file = tmp_path / "many.csv"
    file.write_text("response_id,comment\n" + "".join(f"r{i},Billed {i}\n" for i in range(ROWS)))
    home = tmp_path / "home"
    with server(home) as (process, url), Client(url, timeout=300) as client:
        job = client.import_file(file)
        until(lambda: client.get_job(job.job_id).rows_done)
        process.kill()
        process.wait()
    with Store.open(f"sqlite:///{home / 'store.sqlite'}") as store:
        assert 0 < store.count() <= ROWS
        with store.writing() as connection:  # in place of a minute's wait
            running = jobs.c.state == "running"
            connection.execute(
                update(jobs).where(running).values(lease_until=datetime(2020, 1, 1, tzinfo=UTC))
            )
    with server(home) as (_, url), Client(url, timeout=300) as client:
        done = client.wait(job.job_id, every=0.05)
        assert (done.rows_done, done.rows_total) == (ROWS, ROWS)
    with Store.open(f"sqlite:///{home / 'store.sqlite'}") as store:
        assert store.count() == ROWS
        assert JobBoard(store).get(job.job_id).state == "done"
    assert list((home / "jobs").glob("*.spool.*")) == []
