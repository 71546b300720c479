"""What was answered to requests with an Idempotency-Key, so that a retry gets the same again.

References
----------
Jena, J. & Dalal, S. (2025). The Idempotency-Key HTTP Header Field. Internet-Draft of the IETF.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from data.service_schema import kept_answers
from data.store import Store

KEPT_HOURS = 24
"""How long an answer is kept."""

WORK_SECONDS = 60
"""A request that is not heard of for so long counts as lost, such as in a crash; its key is free again."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it was given.

    Attributes
    ----------
    status, headers, body
        Of HTTP.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


class KeptAnswers:
    """Keeps answers by key in a store that several processes may share.

    Parameters
    ----------
    store
        Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, key_hash: str, fingerprint: str) -> KeptAnswer | Literal["new", "other", "busy"]:
        """Claim a key for a request, or tell what became of it.

        Parameters
        ----------
        key_hash
            Names the key and who sent it.
        fingerprint
            A hash of the request.

        Returns
        -------
        KeptAnswer or str
            The answer that was given; ``new``: the key is claimed now; ``other``: the key is of another
            request; ``busy``: the same request is being worked on.
        """
        now = datetime.now(UTC)
        table = kept_answers.c
        with self._store.writing() as connection:
            connection.execute(delete(kept_answers).where(table.expires_at < now))
            row = connection.execute(select(kept_answers).where(table.key_hash == key_hash)).first()
            if row is None:
                values = {
                    "key_hash": key_hash,
                    "fingerprint": fingerprint,
                    "headers": {},
                    "expires_at": now + timedelta(seconds=WORK_SECONDS),
                }
                on_sqlite = connection.dialect.name == "sqlite"
                insert = (sqlite.insert if on_sqlite else postgresql.insert)(kept_answers)
                claimed = connection.execute(insert.values(values).on_conflict_do_nothing())
                return "new" if claimed.rowcount else "busy"  # another process was quicker
        if row.fingerprint != fingerprint:
            return "other"
        return "busy" if row.status is None else KeptAnswer(row.status, row.headers, row.body or "")

    def renew(self, key_hash: str) -> None:
        """Say that the request of a claimed key is still being worked on; at least every `WORK_SECONDS`."""
        held = (kept_answers.c.key_hash == key_hash, kept_answers.c.status.is_(None))
        until = datetime.now(UTC) + timedelta(seconds=WORK_SECONDS)
        with self._store.writing() as connection:
            connection.execute(update(kept_answers).where(*held).values(expires_at=until))

    def finish(self, key_hash: str, answer: KeptAnswer | None) -> None:
        """Keep the answer of a claimed key; None lets the key go, so that a retry works anew."""
        held = kept_answers.c.key_hash == key_hash
        with self._store.writing() as connection:
            if answer is None:
                connection.execute(delete(kept_answers).where(held))
                return
            values = {
                "status": answer.status,
                "headers": answer.headers,
                "body": answer.body,
                "expires_at": datetime.now(UTC) + timedelta(hours=KEPT_HOURS),
            }
            connection.execute(update(kept_answers).where(held).values(values))
