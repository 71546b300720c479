import os
import random
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from data.errors import InputError, WhyscoreError
from data.store import Store, StoreError
from data.store_rows import canonical
from data.store_schema import metadata
from tests.store_writer import batch
from tests.stubs import tagged

ROOT = Path(__file__).parents[1]


# Opening.


def test_a_store_opens_again_with_what_it_had(url):
    with Store.open(url) as store:
        store.upsert([tagged("r1")])
    with Store.open(url) as store:
        assert store.count() == 1


def test_the_migrations_make_the_tables_that_the_program_uses(store):
    with store._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_responses_of_before_a_migration_stay(url, monkeypatch):
    from alembic import command

    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
    with Store.open(url) as store, store._writer.begin() as connection:
        names = "response_id, weight, segments, status, received_at, updated_at"
        moment = "2026-04-01 00:00:00.000000"
        values = f"'r1', 1, '{{}}', 'uncoded', '{moment}', '{moment}'"
        connection.execute(text(f"INSERT INTO responses ({names}) VALUES ({values})"))
    monkeypatch.undo()
    with Store.open(url) as store:
        (row,) = store.tagged()
    assert (row.response.response_id, row.abstained) == ("r1", False)


def test_sqlite_writes_ahead_and_syncs_every_commit(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store, store._engine.connect() as connection:
        pragmas = [
            connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


@pytest.mark.parametrize(
    "bad", ["", "store.sqlite", "sqlite://", "sqlite:///:memory:", "mysql://host/db", "no such thing", "://"]
)
def test_a_url_that_is_none_is_named(bad):
    with pytest.raises(InputError, match="store"):
        Store.open(bad)


def test_a_store_that_cannot_be_opened_says_why(tmp_path):
    (tmp_path / "file").write_text("not a database, though it is long enough to be taken for one" * 40)
    for path, reason in [
        ("file", "not a database"),
        ("file/store.sqlite", "folder"),
        (".", "unable to open"),
    ]:
        with pytest.raises(StoreError, match=reason) as caught:
            Store.open(f"sqlite:///{tmp_path / path}")
        assert caught.value.exit_code == 2
        assert "\n" not in str(caught.value)


def test_a_store_of_a_later_version_is_left_alone(url):
    with Store.open(url) as store, store._writer.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="update Whyscore"):
        Store.open(url)


def test_failures_while_it_runs_name_no_comment(store, url):
    store.upsert([tagged("r1", comment="Billed in secret")])
    with store._writer.begin() as connection:
        connection.execute(text("DROP TABLE tags"))
    with pytest.raises(WhyscoreError) as caught:
        store.upsert([tagged("r1", comment="Billed in public")])
    assert "Billed" not in str(caught.value)
    assert caught.value.status == 503


# Many at once, and the kill.


def test_threads_write_and_read_side_by_side(store):
    def write(who):
        for number in range(4):
            store.upsert(batch(number, str(who)))
            assert len(list(store.tagged(batch=7))) >= 10

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert store.count() == 5 + 4 * 4 * 5


def start_writer(url, first=0, last=10**6, who=""):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store_writer", url, str(first), str(last), who],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


def test_processes_that_open_and_write_at_once_take_turns(url):
    writers = [start_writer(url, last=6, who=str(i)) for i in range(3)]
    for writer in writers:
        steps, _ = writer.communicate()
        assert writer.returncode == 0
        assert steps.count(b"a") == 6
    with Store.open(url) as store:
        assert store.count() == 5 + 3 * 6 * 5


def steps_until_killed(writer, steps):
    """Kill a writer after some steps; give all the steps that it took."""
    with writer:
        taken = b"".join(writer.stdout.read(1) for _ in range(steps))
        os.kill(writer.pid, signal.SIGKILL)
        taken += writer.stdout.read()
    assert writer.returncode == -signal.SIGKILL
    return taken


def test_a_killed_writer_loses_no_acknowledged_row_and_doubles_none(url):
    """The kill falls after a random number of SQL statements; the pipe says which were acknowledged."""
    dice, committed = random.Random(7), 0
    for _ in range(8):
        taken = steps_until_killed(start_writer(url, first=committed), dice.randrange(1, 60))
        acknowledged = committed + taken.count(b"a")
        with Store.open(url) as store:
            committed = store.version()  # each batch changes something, so this counts whole batches
            assert committed in (acknowledged, acknowledged + 1)
            found = {row.response.response_id: row for row in store.tagged()}
            expected = {row.response.response_id: row for n in range(committed) for row in batch(n)}
            assert found == {key: canonical(row) for key, row in expected.items()}
            assert store.count() == len(expected)
        if not url.startswith("sqlite"):
            continue
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
            assert raw.execute("SELECT count(*) FROM tags").fetchone() == (2 * len(expected),)
    assert committed > 8
