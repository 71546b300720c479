"""Stores that tests share, and what they run on: SQLite, and PostgreSQL where there is a server."""

import os
import uuid
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, make_url, text

SERVER = os.environ.get("WHYSCORE_TEST_POSTGRES")
"""URL of a PostgreSQL server on which databases may be made; ``.ci/postgres COMMAND`` starts one."""

needs_postgresql = pytest.mark.skipif(
    not SERVER, reason="no PostgreSQL server: set WHYSCORE_TEST_POSTGRES, or run under .ci/postgres"
)
KINDS = ["sqlite", pytest.param("postgresql", marks=needs_postgresql)]


@contextmanager
def fresh_database(kind, folder):
    """Give the URL of a database of its own, which is gone afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'home' / 'store.sqlite'}"
        return
    server = make_url(SERVER).set(drivername="postgresql+pg8000")
    name = f"whyscore_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


def emptied(store):
    """Take everything out of a store: opening a new one for each example would be slow."""
    with store._writer.begin() as connection:
        connection.execute(text("DELETE FROM responses"))
    return store
