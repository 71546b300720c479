"""The normalised form of a comment: what makes two comments the same."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence


def normalise(comment: str) -> str:
    """Give a comment's words in lower case, without punctuation or accents' variants of spelling.

    What has no word (emoji, "???") stays as it is, so that such comments do not all become one.
    """
    text = unicodedata.normalize("NFKC", comment).casefold()
    return re.sub(r"[\W_]+", " ", text).strip() or text.strip()


def text_hash(comment: str) -> str:
    """Give the SHA-256 of the normalised comment, in hexadecimal."""
    return hashlib.sha256(normalise(comment).encode("utf-8", "replace")).hexdigest()


def first_rows(comments: Sequence[str]) -> list[int]:
    """Give the row at which each normalised comment first stands, in the order of the texts."""
    first: dict[str, int] = {}
    for row, comment in enumerate(comments):
        first.setdefault(normalise(comment), row)
    return [first[text] for text in sorted(first)]


def position(comment: str) -> float:
    """Give a comment's fixed place in [0, 1), from the hash of its normalised text."""
    return int(text_hash(comment)[:13], 16) / 16**13
