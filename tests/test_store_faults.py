"""Injected faults of the store: a full disk, a file or server that goes and comes back, what is told."""

import errno
import gc
import socket
import tempfile
import threading
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import event, make_url, text

from data.settings import Settings
from data.store import Store, StoreError
from data.store_engine import StoreFullError, store_errors
from serving.api import create_app
from tests.http_client import problem, served, store_of
from tests.stores import fresh_database, needs_postgresql
from tests.stubs import StubTagger, tagged


@pytest.fixture
def client(tmp_path):
    """A client of a service whose store is a file."""
    with served(tmp_path) as client:
        yield client


def upload(client, *names):
    items = [{"response_id": name, "score": 3, "comment": "Billed in secret"} for name in names]
    return client.post("/v1/responses", json={"responses": items})


@contextmanager
def full_disk(store):
    """Let SQLite's file grow no further: what it then says is what a full disk makes it say."""

    def stop(connection, *_):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    def go_on(connection, *_):
        connection.execute("PRAGMA max_page_count = 1000000000")

    event.listen(store._engine, "checkout", stop)
    yield
    event.remove(store._engine, "checkout", stop)
    event.listen(store._engine, "checkout", go_on)


def test_a_full_disk_is_507_and_passes(client):
    assert upload(client, "r1").status_code == 200
    with full_disk(store_of(client)):
        many = [f"n{i}" for i in range(500)]
        assert "full" in problem(upload(client, *many), 507)["detail"]
        assert client.get("/v1/responses").json()["responses"][0]["response_id"] == "r1"
        assert client.get("/readyz").json()["responses"] == 1
    assert upload(client, *many).json()["created"] == 500


def test_a_full_temporary_disk_is_507(client, monkeypatch):
    from serving import uploads

    class Full:
        def __init__(self, real):
            self.real = real

        def write(self, part):
            raise OSError(errno.ENOSPC, "No space left on device")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.real.close()

    class FullPath(type(uploads.Path())):
        def open(self, *args, **more):
            return Full(super().open(*args, **more))

    with monkeypatch.context() as patch:
        patch.setattr(uploads, "Path", FullPath)
        problem(upload(client, "r1"), 507)
    assert upload(client, "r1").status_code == 200


def large_job(client):
    """Send more than is kept in memory, with a key."""
    headers = {"Idempotency-Key": "k", "content-type": "text/csv"}
    return client.post("/v1/jobs", content="comment\nBilled".ljust(3 * 2**19), headers=headers)


def test_a_full_temporary_disk_is_507_with_an_idempotency_key_as_without(client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "w+b"))
        full = problem(large_job(client), 507)
    assert (full["title"], "nothing was stored" in full["detail"]) == ("Storage full", True)
    assert large_job(client).status_code == 202


def test_other_errors_of_a_temporary_file_are_not_called_a_full_disk(client, monkeypatch):
    def broken(**_):
        raise PermissionError(errno.EACCES, "secret")

    monkeypatch.setattr(tempfile, "TemporaryFile", broken)
    problem(large_job(client), 500)


def test_other_errors_of_the_system_are_not_called_a_full_disk(client, monkeypatch):
    def broken(*_, **__):
        raise PermissionError(errno.EACCES, "secret")

    monkeypatch.setattr("serving.endpoints_tagging.ingest", broken)
    problem(upload(client, "r1"), 500)


def test_a_lost_file_takes_no_more_responses_and_one_that_is_back_does(client, tmp_path):
    assert upload(client, "r1").status_code == 200
    store, away = tmp_path / "store.sqlite", tmp_path / "away"
    away.mkdir()
    for part in sorted(tmp_path.glob("store.sqlite*")):
        part.rename(away / part.name)
    problem(upload(client, "r2"), 503)
    problem(client.get("/readyz"), 503)
    assert client.get("/healthz").status_code == 200
    assert not store.exists()
    for part in sorted(away.iterdir()):
        part.rename(tmp_path / part.name)
    assert upload(client, "r3").status_code == 200
    assert client.get("/readyz").json()["responses"] == 2


def test_a_restored_file_is_taken_up(client, tmp_path):
    upload(client, "r1")
    with Store.open(f"sqlite:///{tmp_path / 'backup.sqlite'}") as backup:
        backup.upsert([tagged("b1"), tagged("b2")])
    for part in tmp_path.glob("store.sqlite*"):
        part.unlink()
    (tmp_path / "backup.sqlite").rename(tmp_path / "store.sqlite")
    assert client.get("/readyz").json()["responses"] == 2
    assert upload(client, "r2").status_code == 200


class Gate:
    """A TCP relay to a server that can be shut, with every connection through it, and opened again."""

    def __init__(self, host, port):
        self.target, self.open, self.pairs = (host, port), True, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.open:
                near.close()
                continue
            far = socket.create_connection(self.target)
            self.pairs += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=(a, b), daemon=True).start()

    @staticmethod
    def _relay(a, b):
        try:
            while part := a.recv(65536):
                b.sendall(part)
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def shut(self):
        self.open = False
        for end in self.pairs:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.shut()
        self.listener.close()
        for end in self.pairs:
            end.close()


# pg8000 leaves sockets that broke to the garbage collector.
leaves_sockets = pytest.mark.filterwarnings("ignore::ResourceWarning")


@needs_postgresql
@leaves_sockets
def test_a_server_that_goes_and_comes_back(tmp_path):
    from fastapi.testclient import TestClient

    with fresh_database("postgresql", tmp_path) as url:
        real = make_url(url)
        with closing(Gate(real.host, real.port)) as gate:
            through = real.set(host="127.0.0.1", port=gate.port).render_as_string(hide_password=False)
            app = create_app(Settings(home=tmp_path, store_url=through), StubTagger())
            with TestClient(app, base_url="http://localhost") as client:
                assert upload(client, "r1").status_code == 200
                gate.shut()
                for _ in range(3):
                    detail = problem(upload(client, "r2"), 503)["detail"]
                    assert "cannot be used" in detail
                    problem(client.get("/readyz"), 503)
                assert client.get("/healthz").status_code == 200
                gate.open = True
                assert upload(client, "r3").status_code == 200
                assert client.get("/readyz").json()["responses"] == 2
        gc.collect()


@needs_postgresql
@leaves_sockets
def test_connections_that_the_server_ends_are_made_anew(tmp_path):
    with fresh_database("postgresql", tmp_path) as url, Store.open(url) as store:
        store.upsert([tagged("r1")])
        with Store.open(url) as other, other._writer.begin() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        assert store.upsert([tagged("r2")]).created == 1
        assert store.count() == 2
    gc.collect()


def test_what_postgresql_says_of_rows_is_not_told():
    from pg8000.exceptions import DatabaseError
    from sqlalchemy.exc import OperationalError

    url = make_url("postgresql://me:hidden@db/whyscore")
    told = {"S": "ERROR", "C": "53100", "M": "could not extend file", "D": "Failing row contains (secret)"}
    for fields, kind in ((told, StoreFullError), (told | {"C": "57P01"}, StoreError)):
        with pytest.raises(kind) as caught, store_errors(url):
            raise OperationalError("INSERT", {}, DatabaseError(fields))
        assert "secret" not in str(caught.value)
        assert "hidden" not in str(caught.value)
    assert "could not extend file" in str(caught.value)
    assert caught.value.status == 503


def test_a_connection_that_breaks_as_it_is_given_back_is_a_store_that_cannot_be_used():
    from pg8000.exceptions import InterfaceError

    with pytest.raises(StoreError, match="network error"), store_errors(make_url("postgresql://db/whyscore")):
        raise InterfaceError("network error")  # SQLAlchemy resets a connection without wrapping its errors


def test_a_server_that_is_not_there_is_named_without_its_password():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StoreError, match="cannot be used") as caught:
        Store.open(f"postgresql://me:hidden@127.0.0.1:{port}/whyscore")
    assert "hidden" not in str(caught.value)
