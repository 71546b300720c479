"""API keys: who may do what over HTTP. The store keeps a hash of each; the key itself is shown once.

The secret is 256 random bits, so its hash is plain SHA-256. Slow hashes such as bcrypt protect passwords,
which people choose and others can guess; nobody can guess 256 bits, and a slow hash would cost each
request its time and let strangers keep the processor busy.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import Connection, Engine, RowMapping, delete, select, update

from data.errors import InputError, NotFoundError
from data.key_schema import api_keys, api_sessions
from data.store_engine import reader, store_errors, writer

Scope = Literal["read", "tag", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

GRACE = timedelta(hours=24)
"""How long a rotated key's former secret stays good, unless somebody says otherwise."""
SESSION_LENGTH = timedelta(days=7)
MAX_SESSIONS = 50
"""Sessions of one key; a further one ends the one that would end first."""
MAX_NAME = 200
_ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that people confuse
_KEY = re.compile(r"wsk_([a-z0-9]{10})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret.

    Attributes
    ----------
    key_id
        Its public part, which names it.
    name
        What people call it.
    scopes
        What it may do, of `SCOPES`; admin implies all.
    secret_hash, previous_hash, previous_until
        SHA-256 of the secret, and of the one before while that is still good.
    rate
        Its own rate limit such as ``600/minute``; the server's where None.
    created_at, expires_at, revoked_at
        In UTC.
    last_used_at
        To the hour: enough to see which keys are idle, and no diary of a person.
    """

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    secret_hash: str = field(repr=False)
    previous_hash: str | None = field(repr=False)
    previous_until: datetime | None
    rate: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def allows(self, scope: Scope) -> bool:
        """Tell whether the key's scopes hold a scope."""
        return scope in self.scopes or "admin" in self.scopes

    def is_good(self, now: datetime) -> bool:
        """Tell whether the key is neither revoked nor past its time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def fits(self, secret_hash: str, now: datetime) -> bool:
        """Tell whether a hash is that of a secret that is good now; in constant time."""
        current = hmac.compare_digest(secret_hash, self.secret_hash)
        graced = self.previous_until is not None and now < self.previous_until
        former = hmac.compare_digest(secret_hash, self.previous_hash or "") and graced
        return self.is_good(now) and (current or former)


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys and sessions at one moment.

    Attributes
    ----------
    keys
        By id, those revoked among them: once there was a key, the service stays closed.
    sessions
        By hash: the id of the key, the hash of its secret, and when the session ends.
    """

    keys: Mapping[str, ApiKey]
    sessions: Mapping[str, tuple[str, str, datetime]]

    def find(self, key: str, now: datetime) -> ApiKey | None:
        """Give the good key that a text is, or None."""
        parts = _KEY.fullmatch(key)
        known = self.keys.get(parts[1]) if parts else None
        return known if parts and known and known.fits(_hash(parts[2]), now) else None

    def find_session(self, session: str, now: datetime) -> ApiKey | None:
        """Give the good key that a session was begun with, or None."""
        key_id, secret_hash, end = self.sessions.get(_hash(session), ("", "", now))
        known = self.keys.get(key_id)
        return known if known and now < end and known.fits(secret_hash, now) else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class ApiKeys:
    """The keys in a store. Any method raises `StoreError` when the database cannot be used.

    Parameters
    ----------
    engine
        The store's.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._reader, self._writer = engine, reader(engine), writer(engine)

    def create(
        self,
        name: str,
        scopes: Iterable[str],
        *,
        expires_at: datetime | None = None,
        rate: str | None = None,
        now: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key.

        Parameters
        ----------
        name
            What people call it.
        scopes
            Of `SCOPES`, at least one.
        expires_at
            When it ends by itself; never where None.
        rate
            Its own rate limit; the server's where None.

        Returns
        -------
        tuple of ApiKey and str
            The key's record and the key itself, ``wsk_<id>_<secret>``, which nobody can give again.

        Raises
        ------
        InputError
            If the name is blank, a scope is not one, or the end is past.
        """
        now = now or datetime.now(UTC)
        name, wanted = " ".join(name.split()), set(scopes)
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise InputError(f"a key needs a name of 1 to {MAX_NAME} printable characters")
        if not wanted or wanted - set(SCOPES):
            raise InputError(f"a key needs scopes, of {', '.join(SCOPES)}")
        if expires_at is not None and expires_at <= now:
            raise InputError("the key's end is not in the future")
        key_id, secret = "".join(secrets.choice(_ID_ALPHABET) for _ in range(10)), secrets.token_urlsafe(32)
        held = tuple(scope for scope in SCOPES if scope in wanted)
        key = ApiKey(key_id, name, held, _hash(secret), None, None, rate, now, expires_at, None, None)
        with self._write() as connection:
            values = {column.name: getattr(key, column.name) for column in api_keys.columns}
            connection.execute(api_keys.insert().values(values | {"scopes": list(held)}))
        return key, f"wsk_{key_id}_{secret}"

    def all(self) -> list[ApiKey]:
        """Give every key, newest first, those revoked among them."""
        with self._read() as connection:
            return _read_keys(connection)

    def keyring(self, now: datetime | None = None) -> Keyring:
        """Give all keys, and the sessions that have not ended."""
        live = api_sessions.c.expires_at > (now or datetime.now(UTC))
        with self._read() as connection:
            keys = {key.key_id: key for key in _read_keys(connection)}
            rows = connection.execute(select(api_sessions).where(live))
            sessions = {row.session_hash: (row.key_id, row.secret_hash, row.expires_at) for row in rows}
        return Keyring(keys, sessions)

    def exist(self) -> bool:
        """Tell whether there ever was a key."""
        with self._read() as connection:
            return connection.scalar(select(api_keys.c.key_id).limit(1)) is not None

    def rotate(
        self, key_id: str, grace: timedelta = GRACE, now: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """Give a key another secret; the one before stays good for a while.

        Raises
        ------
        NotFoundError
            If there is no such key.
        InputError
            If it is revoked or past its time.
        """
        now, secret = now or datetime.now(UTC), secrets.token_urlsafe(32)
        with self._write() as connection:
            key = _key_named(connection, key_id)
            if not key.is_good(now):
                raise InputError(f"the key {key_id} is no longer good; create another")
            values = {
                "secret_hash": _hash(secret),
                "previous_hash": key.secret_hash,
                "previous_until": now + grace,
            }
            connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(values))
            rotated = _key_named(connection, key_id)
        return rotated, f"wsk_{key_id}_{secret}"

    def revoke(self, key_id: str, now: datetime | None = None) -> ApiKey:
        """End a key and its sessions for good; ending it again changes nothing.

        Raises
        ------
        NotFoundError
            If there is no such key.
        """
        with self._write() as connection:
            key = _key_named(connection, key_id)
            if key.revoked_at is None:
                ended = {"revoked_at": now or datetime.now(UTC)}
                connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(ended))
                connection.execute(delete(api_sessions).where(api_sessions.c.key_id == key_id))
            return _key_named(connection, key_id)

    def begin_session(self, key: ApiKey, secret_hash: str, now: datetime | None = None) -> str:
        """Begin a browser's session with a key, and give its name, which is random and says nothing.

        Parameters
        ----------
        key
            A good one.
        secret_hash
            Of the secret that was shown: the session ends when that secret does.
        """
        now, session = now or datetime.now(UTC), secrets.token_urlsafe(32)
        own = api_sessions.c.key_id == key.key_id
        with self._write() as connection:
            connection.execute(delete(api_sessions).where(api_sessions.c.expires_at <= now))
            newest = select(api_sessions.c.session_hash).where(own)
            newest = newest.order_by(api_sessions.c.expires_at.desc()).limit(MAX_SESSIONS - 1)
            kept = list(connection.scalars(newest))
            connection.execute(delete(api_sessions).where(own, api_sessions.c.session_hash.not_in(kept)))
            values = {
                "session_hash": _hash(session),
                "key_id": key.key_id,
                "secret_hash": secret_hash,
                "expires_at": now + SESSION_LENGTH,
            }
            connection.execute(api_sessions.insert().values(values))
        return session

    def end_session(self, session: str) -> None:
        """End a session; one that is not there is no error."""
        with self._write() as connection:
            connection.execute(delete(api_sessions).where(api_sessions.c.session_hash == _hash(session)))

    def note_use(self, key_ids: Sequence[str], now: datetime) -> None:
        """Note that keys were used in this hour."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        with self._write() as connection:
            used = api_keys.c.key_id.in_(key_ids)
            connection.execute(update(api_keys).where(used).values(last_used_at=hour))

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with store_errors(self._engine.url), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with store_errors(self._engine.url), self._writer.begin() as connection:
            yield connection


def secret_hash_of(key: str) -> str:
    """Give the hash of the secret in a key; of one that is none, the hash of nothing known."""
    parts = _KEY.fullmatch(key)
    return _hash(parts[2] if parts else "")


def _read_keys(connection: Connection) -> list[ApiKey]:
    query = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.key_id)
    return [_key(row._mapping) for row in connection.execute(query)]


def _key_named(connection: Connection, key_id: str) -> ApiKey:
    row = connection.execute(select(api_keys).where(api_keys.c.key_id == key_id).with_for_update()).first()
    if row is None:
        raise NotFoundError("there is no key of this id; `whyscore keys list` shows them")
    return _key(row._mapping)


def _key(row: RowMapping) -> ApiKey:
    values = {column.name: row[column.name] for column in api_keys.columns}
    return ApiKey(**values | {"scopes": tuple(values["scopes"])})
