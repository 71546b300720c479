"""Cursors: where the next page of a list begins, as an opaque text."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from data.cells import whole_text
from data.errors import InputError


def encoded(position: Sequence[str | float | None]) -> str:
    """Give a position as a text that an address can hold."""
    # Letters as they are: escaped they would take up to four times the place in an address.
    text = json.dumps(position, ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decoded(cursor: str) -> Any:
    """Give what `encoded` was given, or other JSON; raises ValueError or RecursionError where it is none."""
    padded = cursor + "=" * (-len(cursor) % 4)
    return json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))


def cursor_of(kind: str, *position: str) -> str:
    """Give the cursor of the page after a position in a list of some kind."""
    return encoded([kind, *position])


def position_of(cursor: str, kind: str, parts: int) -> list[str]:
    """Give the position that `cursor_of` was given.

    Raises
    ------
    InputError
        If the cursor is not one of a list of this kind.
    """
    try:
        found = decoded(cursor)
        if not isinstance(found, list) or len(found) != parts + 1 or found[0] != kind:
            raise ValueError("not a position in this list")
        if not all(isinstance(part, str) and whole_text(part) == part for part in found):
            raise ValueError("not texts that a database holds")
    except (ValueError, TypeError, RecursionError):
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
