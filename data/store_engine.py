"""The database behind the store: how it is reached, made ready, and what its failures mean."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    InvalidatePoolError,
    NoSuchModuleError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from data.errors import InputError, WhyscoreError

BUSY_SECONDS = 30
"""How long a writer waits for another process's turn before it gives up."""

_MIGRATION_LOCK = 7_468_329
"""Names the lock that PostgreSQL workers which start together take turns by; any number does."""


_PG8000 = "postgresql+pg8000"
_DISK_FULL = "53100"  # PostgreSQL's SQLSTATE


class StoreError(WhyscoreError):
    """A database that cannot be reached or used."""

    exit_code = 2
    status = 503
    title = "Store not available"


class StoreFullError(StoreError):
    """A database whose disk is full: what was being written was not, and what it has stays readable."""

    status = 507
    title = "Storage full"


def open_engine(url: str) -> Engine:
    """Reach a database and bring its tables up to date.

    Parameters
    ----------
    url
        ``sqlite:///path/to/file`` (its folder is made) or a PostgreSQL URL, whose driver is pg8000 where
        it names none.

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
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername=_PG8000)
    if backend == "sqlite" and (not parsed.database or parsed.database == ":memory:"):
        raise InputError("the store needs a file, such as sqlite:///folder/store.sqlite")
    return parsed


def _sqlite(url: URL) -> Engine:
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the store's folder cannot be made ({error.strerror})", file=folder) from error
    path = Path(str(url.database)).absolute()
    try:
        with path.open("ab"):  # made here alone: a file that is lost must not come back as an empty one
            pass
    except OSError as error:
        raise StoreError(
            f"the store cannot be opened (unable to open: {error.strerror})", file=path
        ) from error
    there = f"{path.as_uri()}?mode=rw"
    engine = _create(url, creator=lambda: sqlite3.connect(there, uri=True, timeout=BUSY_SECONDS, **_THREADS))
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "connect", lambda _, record: record.info.update(file=_file_at(path)))
    event.listen(engine, "checkout", lambda _, record, __: _check_file(record.info["file"], path))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


_THREADS: dict[str, Any] = {"check_same_thread": False}  # the pool hands a connection to one thread at a time


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_file(opened: tuple[int, int] | None, path: Path) -> None:
    """Let a connection go whose file is not the one at the path any more.

    SQLite goes on writing to a file that was deleted or moved: what it acknowledged then would be lost.
    """
    if opened is None or _file_at(path) != opened:
        raise DisconnectionError("the store's file is another one now")


def _postgresql(url: URL) -> Engine:
    # Silence is no answer: a server that is cut off shows after as long as a writer waits for its turn.
    wait = {"timeout": BUSY_SECONDS} if url.drivername == _PG8000 else {}
    engine = _create(url, connect_args=wait)
    event.listen(engine, "checkout", lambda connection, _, __: _check_server(connection))
    return engine


def _check_server(connection: Any) -> None:
    """Let every connection go that was made before, where this one is broken.

    SQLAlchemy's own check before use takes a connection that was reset for a fault of the program.
    """
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        cursor.close()
        connection.rollback()
    except Exception as error:  # whatever it is, another connection may do
        raise InvalidatePoolError from error


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
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten, not only unlinked


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
    except _failures() as error:
        cause = (error.orig if isinstance(error, DBAPIError) else None) or error
        sqlite = url.get_backend_name() == "sqlite"
        name = url.database if sqlite else url.render_as_string(hide_password=True)
        if _is_full(cause):
            raise StoreFullError(f"the disk of the store {name} is full; nothing was stored") from error
        raise StoreError(f"the store {name} cannot be used ({_reason(cause)})") from error


def _failures() -> tuple[type[Exception], ...]:
    """Give the errors of a database that fails: a driver's own are bare as a connection is given back."""
    postgresql = sys.modules.get("pg8000.exceptions")
    drivers = () if postgresql is None else (postgresql.Error,)
    return (DBAPIError, PoolTimeoutError, DisconnectionError, OSError, sqlite3.Error, *drivers)


def _is_full(cause: BaseException) -> bool:
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return _DISK_FULL in (_told(cause).get("C"), getattr(cause, "sqlstate", None))


def _reason(cause: BaseException) -> str:
    # PostgreSQL's details quote rows; its message alone is told.
    text = str(_told(cause).get("M") or cause)
    return text.partition("\n")[0].strip() or type(cause).__name__


def _told(cause: BaseException) -> dict[str, str]:
    """Give the fields of an error of PostgreSQL as pg8000 has them, by their letters."""
    first = cause.args[0] if cause.args else None
    return first if isinstance(first, dict) else {}
