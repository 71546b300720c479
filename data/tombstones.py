"""Those who were erased: keyed hashes of their ids, so that they are not stored again.

The key is a file beside the store's home, never in the database: whoever has the database alone
cannot try out ids.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, select

from data.row_digests import DigestKey, read_key
from data.service_schema import tombstones
from data.store_engine import StoreError
from data.store_rows import ID_CHUNK


class Tombstones:
    """Tells who was erased.

    Parameters
    ----------
    key_file
        The key of the hashes, made when the first one is erased; None where no place for one is known.
    """

    def __init__(self, key_file: Path | None) -> None:
        self._key_file = key_file
        self._known: DigestKey | None = None

    def add(self, connection: Connection, respondent_id: str) -> None:
        """Note that somebody was erased; raises `StoreError` where the key is missing or another."""
        if self._key_file is None:
            raise StoreError("erasing needs a home folder, where the key of its hashes is kept")
        self._check(connection, make=True)
        hashed = self._hash(respondent_id)
        held = select(tombstones.c.erased_at).where(tombstones.c.respondent_hash == hashed)
        if connection.scalar(held) is None:
            values = {"respondent_hash": hashed, "key_name": self._key.name, "erased_at": datetime.now(UTC)}
            connection.execute(tombstones.insert().values(values))

    def among(self, connection: Connection, respondent_ids: Iterable[str | None]) -> frozenset[str]:
        """Give those of some respondents who were erased; raises `StoreError` where the key is missing."""
        if not self._check(connection, make=False):
            return frozenset()
        hashes = {self._hash(name): name for name in respondent_ids if name is not None}
        found: set[str] = set()
        column = tombstones.c.respondent_hash
        for start in range(0, len(hashes), ID_CHUNK):
            part = list(hashes)[start : start + ID_CHUNK]
            found |= {hashes[row[0]] for row in connection.execute(select(column).where(column.in_(part)))}
        return frozenset(found)

    def exist(self, connection: Connection) -> bool:
        """Tell whether anybody was erased."""
        return connection.scalar(select(tombstones.c.key_name).limit(1)) is not None

    def _check(self, connection: Connection, *, make: bool) -> bool:
        """Tell whether anybody was erased, and see to it that the key at hand is that of the hashes."""
        name = connection.scalar(select(tombstones.c.key_name).limit(1))
        if name is None:
            if make and self._key_file is not None:
                self._known = read_key(self._key_file)
            return False
        lost = "the store holds hashes of those who were erased, and their key is not here; copy erasure.key"
        if self._key_file is None or not self._key_file.is_file():
            raise StoreError(f"{lost} to the home folder", file=self._key_file)
        if self._known is None or self._known.name != name:
            self._known = read_key(self._key_file)
        if self._known.name != name:
            raise StoreError(f"{lost} from the home folder where it was made", file=self._key_file)
        return True

    @property
    def _key(self) -> DigestKey:
        assert self._known is not None
        return self._known

    def _hash(self, respondent_id: str) -> str:
        text = respondent_id.encode("utf-8", "replace")
        return hmac.new(bytes.fromhex(self._key.digits), text, hashlib.sha256).hexdigest()
