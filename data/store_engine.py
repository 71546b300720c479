"""The database behind the store: how it is reached, made ready, and what its failures mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError

from data.errors import InputError, WhyscoreError

BUSY_SECONDS = 30
"""How long a writer waits for another process's turn before it gives up."""

_MIGRATION_LOCK = 7_468_329
"""Names the lock that PostgreSQL workers which start together take turns by; any number does."""


class StoreError(WhyscoreError):
    """A database that cannot be reached or used."""

    exit_code = 2
    status = 503
    title = "Store not available"


def open_engine(url: str) -> Engine:
    """Reach a database and bring its tables up to date.

    Parameters
    ----------
    url
        ``sqlite:///path/to/file`` (its folder is made) or a PostgreSQL URL.

    Raises
    ------
    InputError
        If the URL is not one that the store understands.
    StoreError
        If the database cannot be reached or its tables cannot be made.
    """
    parsed = _parse(url)
    engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    try:
        with store_errors(parsed):
            _use_wal(engine)
            migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise InputError("the store's URL is not one, such as sqlite:///folder/store.sqlite") from error
    if backend not in ("sqlite", "postgresql"):
        raise InputError(f"the store is SQLite or PostgreSQL, not '{backend}'")
    if backend == "sqlite" and (not parsed.database or parsed.database == ":memory:"):
        raise InputError("the store needs a file, such as sqlite:///folder/store.sqlite")
    return parsed


def _sqlite(url: URL) -> Engine:
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the store's folder cannot be made ({error.strerror})", file=folder) from error
    engine = _create(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: URL) -> Engine:
    return _create(url, pool_pre_ping=True)


def _create(url: URL, **options: Any) -> Engine:
    try:
        # Parameters are comments: they stay out of error messages and logs.
        return create_engine(url, hide_parameters=True, pool_size=8, max_overflow=32, **options)
    except NoSuchModuleError as error:
        raise InputError(f"the store's driver '{url.drivername}' is not known") from error
    except ModuleNotFoundError as error:
        raise InputError(f"the store's URL needs the Python package '{error.name}'") from error


def _prepare_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # sqlite3 must not begin transactions itself: `_begin_sqlite` does
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged outlives a power cut


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its turn at once: a reader that turns into a writer could fail half-way.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_wal(engine: Engine) -> None:
    """Let readers read while one writes; SQLite keeps the choice in the file."""
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()


def migrate(engine: Engine) -> None:
    """Bring the tables up to date, in one transaction; workers that start together take turns.

    Raises
    ------
    StoreError
        If the tables are of a later version of Whyscore.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    with writer(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                "the store's tables are of a version of Whyscore that this one does not know; update Whyscore"
            ) from error


def writer(engine: Engine) -> Engine:
    """Give the engine for transactions that write."""
    return engine.execution_options(writes=True)


def reader(engine: Engine) -> Engine:
    """Give the engine for transactions that read: all of one sees the same state of the store."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ")
    return engine  # SQLite's readers always do


@contextmanager
def store_errors(url: URL) -> Iterator[None]:
    """Turn the database's failures into one sentence that holds no password and no comment."""
    try:
        yield
    except (IntegrityError, DataError):
        raise  # the program's own fault, not the database's
    except (DBAPIError, sqlite3.Error) as error:  # the second while a connection is prepared
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = str(cause).partition("\n")[0].strip() or type(cause).__name__
        name = (
            url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
        )
        raise StoreError(f"the store {name} cannot be used ({reason})") from error
