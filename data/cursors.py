"""Cursors: where the next page of a list begins, as an opaque text."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime

from data.cells import whole_text
from data.errors import InputError


def cursor_of(kind: str, *position: str) -> str:
    """Give the cursor of the page after a position in a list of some kind."""
    # Letters as they are: escaped they would take up to four times the place in an address.
    text = json.dumps([kind, *position], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of(cursor: str, kind: str, parts: int) -> list[str]:
    """Give the position that `cursor_of` was given.

    Raises
    ------
    InputError
        If the cursor is not one of a list of this kind.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
        if not isinstance(found, list) or len(found) != parts + 1 or found[0] != kind:
            raise ValueError("not a position in this list")
        if not all(isinstance(part, str) and whole_text(part) == part for part in found):
            raise ValueError("not texts that a database holds")
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise _not_ours() from None
    return found[1:]


def moment_of(text: str) -> datetime:
    """Give a moment that is a part of a position, in UTC; raises `InputError` where it is none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _not_ours() from None


def _not_ours() -> InputError:
    return InputError("the cursor is not one that a page of this list gave", column="cursor")
