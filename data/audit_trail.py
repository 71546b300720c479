"""The audit trail of follow-ups: every row holds a keyed hash of itself and of the row before.

Whoever changes, drops, adds or reorders a row breaks the chain from there on, and cannot mend it without the
key, which is a file beside the store and not in it. The last row's hash is kept apart, so that cutting rows
off the end shows too; noted elsewhere, it also guards against someone who has the key. What people write is
not in the chain, only its salted hash: it can be erased, as the law may ask, and the chain still holds.

References
----------
Haber, S. & Stornetta, W. S. (1991). How to time-stamp a digital document. Journal of Cryptology, 3, 99-111.
Krawczyk, H., Bellare, M. & Canetti, R. (1997). HMAC: Keyed-Hashing for Message Authentication. RFC 2104.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from data.errors import InputError
from data.files import create_secret, plain_reason
from data.follow_up_schema import follow_up_events, follow_up_texts, follow_up_trail

FIRST = "0" * 64
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened to a follow-up.

    Attributes
    ----------
    follow_up_id
        To which one.
    actor
        Who did it; ``system`` for what follows from a rule or the clock.
    action
        What was done.
    detail
        Plain values that belong to it; nothing that may ever have to be erased.
    text
        What the actor wrote, if anything.
    """

    follow_up_id: str
    actor: str
    action: str
    detail: Mapping[str, Any]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of the trail: its number, when it was, and the entry; an erased text is None."""

    number: int
    at: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class TrailCheck:
    """Whether the trail holds.

    Attributes
    ----------
    rows
        Rows that were read before the first fault.
    head
        The last row's hash: to be noted elsewhere and compared later.
    fault
        What is wrong first, in a sentence; None where nothing is.
    """

    rows: int
    head: str
    fault: str | None


class AuditTrail:
    """Appends to the trail, reads it and checks it.

    Parameters
    ----------
    key
        The secret key of the hashes, from `read_trail_key`.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def append(self, connection: Connection, entries: Sequence[Entry], now: datetime) -> None:
        """Add entries, in a transaction that writes; others that append wait for its end."""
        if not entries:
            return
        head = connection.execute(select(follow_up_trail).with_for_update()).one()
        number, digest, at = head.number, head.digest, now.astimezone(UTC).isoformat()
        rows, texts = [], []
        for entry in entries:
            number += 1
            values: dict[str, Any] = {
                "number": number,
                "follow_up_id": entry.follow_up_id,
                "at": at,
                "actor": entry.actor,
                "action": entry.action,
                "detail": json.dumps(dict(entry.detail), sort_keys=True, ensure_ascii=False),
                "text_digest": None,
                "previous": digest,
            }
            if entry.text is not None:
                salt = secrets.token_hex(16)
                values["text_digest"] = _text_digest(salt, entry.text)
                texts.append({"number": number, "salt": salt, "text": entry.text})
            values["digest"] = digest = self._digest(values)
            rows.append(values)
        connection.execute(follow_up_events.insert(), rows)
        if texts:
            connection.execute(follow_up_texts.insert(), texts)
        connection.execute(update(follow_up_trail).values(number=number, digest=digest))

    def verify(self, connection: Connection) -> TrailCheck:
        """Read the whole trail and tell whether every row is as it was written."""
        previous, count = FIRST, 0
        for row in _rows(connection):
            fault = self._fault(row, count + 1, previous)
            if fault is not None:
                return TrailCheck(count, previous, fault)
            previous, count = row.digest, count + 1
        head = connection.execute(select(follow_up_trail)).one_or_none()
        if head is None or (head.number, head.digest) != (count, previous):
            return TrailCheck(count, previous, f"rows after row {count} are missing")
        return TrailCheck(count, previous, None)

    def _fault(self, row: Row[Any], number: int, previous: str) -> str | None:
        if row.number != number:
            return f"row {number} is missing"
        if row.previous != previous:
            return f"row {number} does not follow the row before it"
        if not hmac.compare_digest(row.digest, self._digest(dict(row._mapping))):
            return f"row {number} is not as it was written, or was written with another key"
        if row.text is not None and _text_digest(row.salt, row.text) != row.text_digest:
            return f"the text of row {number} is not as it was written"
        return None

    def _digest(self, values: Mapping[str, Any]) -> str:
        names = ("number", "follow_up_id", "at", "actor", "action", "detail", "text_digest", "previous")
        said = json.dumps([values[name] for name in names], ensure_ascii=False).encode()
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()


def history(connection: Connection, follow_up_id: str) -> list[Event]:
    """Give what happened to a follow-up, in order."""
    return [
        Event(
            row.number,
            row.at,
            Entry(row.follow_up_id, row.actor, row.action, json.loads(row.detail), row.text),
        )
        for row in connection.execute(
            _joined()
            .where(follow_up_events.c.follow_up_id == follow_up_id)
            .order_by(follow_up_events.c.number)
        )
    ]


def erase_texts(connection: Connection, follow_up_ids: Sequence[str]) -> int:
    """Erase what people wrote about some follow-ups; the trail itself stays, and still holds."""
    numbers = select(follow_up_events.c.number).where(follow_up_events.c.follow_up_id.in_(follow_up_ids))
    return connection.execute(delete(follow_up_texts).where(follow_up_texts.c.number.in_(numbers))).rowcount


def read_trail_key(path: Path) -> bytes:
    """Read the key of the trail; where there is none, make one that only its owner can read.

    Processes that start together agree on one: the file appears whole, and only once.

    Raises
    ------
    InputError
        If the file holds no key, or cannot be made.
    """
    try:
        if not path.exists():
            create_secret(path, secrets.token_hex(_KEY_BYTES) + "\n")
        key = bytes.fromhex(path.read_text(encoding="ascii", errors="replace").strip())
    except OSError as error:
        raise InputError(f"the key cannot be read or made ({plain_reason(error)})", file=path) from error
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise InputError(f"the file holds no key ({2 * _KEY_BYTES} hexadecimal digits)", file=path)
    return key


def _joined() -> Any:
    return select(follow_up_events, follow_up_texts.c.salt, follow_up_texts.c.text).outerjoin(
        follow_up_texts, follow_up_texts.c.number == follow_up_events.c.number
    )


def _rows(connection: Connection, batch: int = 2000) -> Iterator[Row[Any]]:
    last = -1
    while True:
        query = _joined().where(follow_up_events.c.number > last).order_by(follow_up_events.c.number)
        rows = connection.execute(query.limit(batch)).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].number


def _text_digest(salt: str, text: str) -> str:
    return hashlib.sha256(f"{salt}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
