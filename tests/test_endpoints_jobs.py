import io
import os
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from data.errors import ModelError
from data.jobs import MOST_ATTEMPTS, JobBoard
from data.scale import NPS
from data.service_schema import jobs
from data.settings import Settings
from data.store import Store, StoreError
from serving import import_jobs
from serving.api import create_app
from serving.import_jobs import ImportWorker
from serving.ingest import CHUNK
from tests.http_client import SECRET, problem, store_of
from tests.stubs import StubTagger

CSV = {"content-type": "text/csv"}
ROWS = "response_id,score,comment,respondent_id\nr1,3,Billed twice,ana\nr2,9,lovely,ben\nr1,4,Billed,ana\n"


@contextmanager
def unattended(home, tagger=None, **more):
    """A service whose worker does a job when it is told to, and not before."""
    app = create_app(Settings(home=home, **more), tagger or StubTagger())
    with app.state.service.store:
        yield TestClient(app, base_url="http://localhost")


@pytest.fixture
def service(tmp_path):
    with unattended(tmp_path) as client:
        yield client


def worker_of(client):
    return client.app.state.worker


def put_up(client, content=ROWS, headers=CSV, **params):
    answer = client.post("/v1/jobs", content=content, headers=headers, params=params)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job_id']}"
    return answer.headers["location"]


def spooled(client):
    return sorted(worker_of(client).folder.glob("*.spool.*"))


def test_a_file_is_imported_as_a_job(service):
    where = put_up(service, filename="april.csv")
    queued = service.get(where).json()
    assert (queued["state"], queued["file"], queued["rows_total"]) == ("queued", "april.csv", None)
    assert len(spooled(service)) == 1
    assert worker_of(service).run_one()
    done = service.get(where).json()
    assert (done["state"], done["rows_done"], done["rows_total"], done["attempts"]) == ("done", 2, 2, 1)
    assert done["problem"] is None
    assert done["finished_at"] >= done["created_at"]
    direct = service.post("/v1/responses", content=ROWS, headers=CSV).json()
    same = ("received", "replaced", "tagged", "uncoded")
    assert {name: done["counts"][name] for name in same} == {name: direct[name] for name in same}
    assert done["counts"]["created"] == direct["unchanged"] == 2
    assert spooled(service) == []
    assert not worker_of(service).run_one()


def test_every_kind_of_file_is_taken(service):
    table, out = pd.read_csv(io.StringIO(ROWS)), io.BytesIO()
    table.to_parquet(out, index=False)
    put_up(service, out.getvalue(), {"content-type": "application/vnd.apache.parquet"})
    put_up(service, b'{"comment": "Billed"}\n', {"content-type": "application/x-ndjson"})
    put_up(service, "Why?;score\nBilled;3\n", **{"map": "comment=Why?"})
    while worker_of(service).run_one():
        pass
    assert {job["state"] for job in service.get("/v1/jobs").json()["jobs"]} == {"done"}
    assert store_of(service).count() == 4


def test_a_file_with_a_fault_fails_with_its_place_and_stores_nothing(service):
    where = put_up(service, f"score,comment\n3,Billed\n11,{SECRET}\n", filename="april.csv")
    worker_of(service).run_one()
    failed = service.get(where).json()
    assert failed["state"] == "failed"
    assert failed["problem"]["detail"].startswith("april.csv, row 3, column 'score': 11 is outside")
    assert (failed["problem"]["status"], failed["problem"]["row"]) == (422, 3)
    assert "secret" not in str(failed)
    assert store_of(service).count() == 0
    assert spooled(service) == []
    problem(service.delete(where), 409)


def test_what_nobody_foresaw_fails_the_job_and_not_the_worker(tmp_path, caplog):
    class Broken(StubTagger):
        def tag(self, responses):
            raise RuntimeError(SECRET)

    with unattended(tmp_path, Broken()) as client:
        where = put_up(client)
        assert worker_of(client).run_one()
        assert client.get(where).json()["problem"]["status"] == 500
    assert "secret" not in caplog.text
    assert "RuntimeError" in caplog.text


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        ({"content-type": "application/json"}, {}, 415),
        (CSV, {"kind": "export"}, 422),
        (CSV, {"map": "comment"}, 422),
        (CSV, {"map": "nothing=a"}, 422),
        (CSV, {"date_format": "nonsense"}, 422),
    ],
)
def test_a_job_that_cannot_be_understood_is_refused_at_once(service, headers, params, status):
    problem(service.post("/v1/jobs", content=ROWS, headers=headers, params=params), status)
    assert service.get("/v1/jobs").json()["jobs"] == []
    assert spooled(service) == []


def test_a_file_may_be_larger_than_a_body_but_not_boundless(tmp_path):
    with unattended(tmp_path, max_body_mb=1, max_upload_mb=2) as client:
        put_up(client, "comment\n" + "x" * 2**20)
        problem(client.post("/v1/jobs", content="x" * (2**21 + 1), headers=CSV), 413)

        def parts():
            for _ in range(40):
                yield b"x" * 2**16

        problem(client.post("/v1/jobs", content=parts(), headers=CSV), 413)
        assert len(spooled(client)) == 1


def test_a_waiting_job_is_cancelled_at_once(service):
    where = put_up(service)
    cancelled = service.delete(where).json()
    assert (cancelled["state"], cancelled["cancel_requested"]) == ("cancelled", True)
    assert spooled(service) == []
    assert not worker_of(service).run_one()
    assert service.delete(where).json()["state"] == "cancelled"
    problem(service.get("/v1/jobs/nope"), 404)
    problem(service.delete("/v1/jobs/nope"), 404)


def many(rows):
    return "response_id,comment\n" + "".join(f"r{i},Billed\n" for i in range(rows))


def test_a_running_job_ends_between_two_chunks(tmp_path):
    class Cancelling(StubTagger):
        def tag(self, responses):
            client.delete(where)
            return super().tag(responses)

    with unattended(tmp_path, Cancelling()) as client:
        where = put_up(client, many(2 * CHUNK))
        worker_of(client).run_one()
        ended = client.get(where).json()
        assert ended["state"] == "cancelled"
        assert store_of(client).count() == CHUNK
        assert spooled(client) == []


def lost(client):
    """Let the lease of the running job run out."""
    with store_of(client).writing() as connection:
        connection.execute(update(jobs).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))


def test_a_job_whose_worker_was_lost_goes_on_with_the_next(service, tmp_path):
    where = put_up(service)
    first = worker_of(service)
    assert first.board.claim("dead", first.place) is not None
    assert not first.run_one()
    lost(service)
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        assert ImportWorker(store, tmp_path, NPS, StubTagger).run_one()
    done = service.get(where).json()
    assert (done["state"], done["rows_done"]) == ("done", 2)


def test_a_worker_that_lost_its_job_writes_nothing_more_of_it(service):
    where = put_up(service)
    board, place = worker_of(service).board, worker_of(service).place
    job = board.claim("slow", place)
    lost(service)
    assert worker_of(service).run_one()
    assert not board.report(job, rows_done=1)
    assert not board.end(job, "failed")
    assert service.get(where).json()["state"] == "done"


def test_a_job_that_kills_its_workers_is_given_up(service):
    where = put_up(service)
    for _ in range(MOST_ATTEMPTS):
        assert worker_of(service).board.claim("dead", worker_of(service).place)
        lost(service)
    assert worker_of(service).run_one()
    assert "interrupted" in service.get(where).json()["problem"]["detail"]


def test_a_job_that_gets_further_each_time_is_not_given_up(service, monkeypatch):
    where = put_up(service, many((MOST_ATTEMPTS + 3) * CHUNK))
    worker = worker_of(service)
    report, deaths = JobBoard.report, 0

    class Killed(BaseException):
        """Stands for SIGKILL: nothing is cleaned up after it."""

    def die(board, job, **progress):
        kept = report(board, job, **progress)
        if progress.get("counts", {}).get("created"):
            raise Killed
        return kept

    monkeypatch.setattr(JobBoard, "report", die)
    while service.get(where).json()["state"] != "done":
        try:
            worker.run_one()
        except Killed:
            deaths += 1
            lost(service)
        assert deaths < 50
    assert deaths > MOST_ATTEMPTS
    assert store_of(service).count() == (MOST_ATTEMPTS + 3) * CHUNK


def test_a_job_waits_for_a_model_and_for_its_own_folder(service, tmp_path):
    where = put_up(service)

    def none():
        raise ModelError("there is no model yet")

    store = store_of(service)
    assert not ImportWorker(store, tmp_path / "elsewhere", NPS, StubTagger).run_one()
    assert ImportWorker(store, tmp_path, NPS, none).run_one()
    waiting = service.get(where).json()
    assert (waiting["state"], waiting["attempts"]) == ("queued", 0)
    assert not worker_of(service).run_one()  # not at once
    lost(service)
    assert worker_of(service).run_one()
    assert service.get(where).json()["state"] == "done"


def test_a_store_that_goes_away_leaves_the_job_to_be_done_again(service, monkeypatch):
    where = put_up(service)

    def gone(*_, **__):
        raise StoreError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "upsert", gone)
        with pytest.raises(StoreError):
            worker_of(service).run_one()
    lost(service)
    assert worker_of(service).run_one()
    assert service.get(where).json()["state"] == "done"


def test_a_process_that_ends_puts_its_job_back(tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    class Slow(StubTagger):
        def tag(self, responses):
            begun.set()
            assert go_on.wait(60)
            return super().tag(responses)

    with unattended(tmp_path, Slow()) as client:
        where = put_up(client, many(2 * CHUNK))
        worker = worker_of(client)
        worker.start()
        assert begun.wait(60)
        worker.stop(0)
        go_on.set()
        worker.stop(60)
        waiting = client.get(where).json()
        assert (waiting["state"], waiting["attempts"]) == ("queued", 0)
        assert store_of(client).count() == CHUNK
        lost(client)
        assert ImportWorker(store_of(client), tmp_path, NPS, StubTagger).run_one()
        done = client.get(where).json()
        assert (done["state"], done["counts"]["unchanged"], done["counts"]["created"]) == (
            "done",
            CHUNK,
            CHUNK,
        )


@contextmanager
def at_work(worker):
    """Let a worker work, until the block ends."""
    worker.start()
    try:
        yield
    finally:
        worker.stop(60)


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came"
        threading.Event().wait(0.02)


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_what_a_killed_worker_left_of_an_ended_job_goes_at_the_next_start(service, state):
    worker = worker_of(service)
    for _ in range(2):
        put_up(service)
    ended, held = worker.board.claim("killed", worker.place), worker.board.claim("another", worker.place)
    worker.board.end(ended, state)  # and killed before the file was deleted
    for path in (new := worker.folder / "new.spool.csv", old := worker.folder / "old.spool.csv"):
        path.write_text("comment\n")  # and their uploads have no job yet, or were killed
    os.utime(old, (time.time() - 48 * 3600,) * 2)
    with at_work(worker):
        until(lambda: len(spooled(service)) == 2)
    assert {path.name for path in spooled(service)} == {held.spool, new.name}


def test_a_worker_looks_again_for_what_others_left(service, monkeypatch):
    monkeypatch.setattr(import_jobs, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(import_jobs, "POLL_SECONDS", 0.02)
    old = worker_of(service).folder / "old.spool.csv"
    with at_work(worker_of(service)):
        put_up(service)
        until(lambda: not spooled(service))
        old.write_text("comment\n")
        os.utime(old, (time.time() - 48 * 3600,) * 2)
        until(lambda: not old.exists())


def test_a_running_service_does_its_jobs_by_itself(client):
    where, until = put_up(client), time.monotonic() + 120
    while client.get(where).json()["state"] not in ("done", "failed"):
        assert time.monotonic() < until
        threading.Event().wait(0.05)
    assert store_of(client).count() == 2


def test_those_who_were_erased_are_left_out_of_jobs(service):
    where = put_up(service)
    service.delete("/v1/respondents/ana")
    worker_of(service).run_one()
    done = service.get(where).json()
    assert (done["counts"]["erased"], done["counts"]["created"]) == (1, 1)
    assert spooled(service) == []


def test_jobs_are_listed_newest_first_in_pages(service):
    names = [put_up(service).rsplit("/", 1)[1] for _ in range(5)]
    found, address = [], "/v1/jobs?limit=2"
    while address:
        answer = service.get(address)
        found += [job["job_id"] for job in answer.json()["jobs"]]
        address = answer.json()["next"]
        assert ("link" in answer.headers) == (address is not None)
    assert sorted(found) == sorted(names)
    created = {job["job_id"]: job["created_at"] for job in service.get("/v1/jobs").json()["jobs"]}
    assert [created[name] for name in found] == sorted(created.values(), reverse=True)
    assert problem(service.get("/v1/jobs?cursor=abc"), 422)["errors"][0]["parameter"] == "cursor"


def test_jobs_that_ended_long_ago_are_forgotten(service):
    put_up(service)
    worker_of(service).run_one()
    with store_of(service).writing() as connection:
        connection.execute(update(jobs).values(finished_at=datetime.now(UTC) - timedelta(40)))
    put_up(service)
    assert len(JobBoard(store_of(service)).page(10)[0]) == 1
