"""Respondents whose ids are personal data, under names that tell nobody who they are.

A placeholder would make all people one. A pseudonym keeps them apart: the same id gets the same one, so
answers of one person still belong together, and whoever is to be erased is found by the id itself. It is
a keyed hash, and its key is the one of `data.tombstones`, a file beside the store and never in it: without
the key nobody can try out addresses.

References
----------
ENISA (2019). Pseudonymisation techniques and best practices. Section 5.1.4, message authentication code.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from pathlib import Path

from data.row_digests import DigestKey, read_key
from data.store_engine import StoreError

PREFIX = "person-"
Naming = Callable[[str], str]
"""Gives the pseudonym of a respondent's id."""

# No digits, so that no pseudonym looks like a number that is masked again.
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_LENGTH = 32  # letters of 4 bits: 128 bits, far more than any number of people needs


class Pseudonyms:
    """Gives pseudonyms.

    Parameters
    ----------
    key_file
        The key, made when it is first needed; None where no place for one is known.
    needed
        Tells whether the store holds what was made with a key: then a missing one is not made anew.
    """

    def __init__(self, key_file: Path | None, needed: Callable[[], bool] = lambda: False) -> None:
        self._key_file, self._needed = key_file, needed
        self._key: DigestKey | None = None

    def of(self, respondent_id: str) -> str:
        """Give the pseudonym of an id; the same for ids that differ in capital letters alone.

        Raises
        ------
        StoreError
            If there is no place for the key, or the key is gone that the store's pseudonyms need.
        InputError
            If the key cannot be read or made.
        """
        if self._key is None:
            self._key = self._read()
        plain = unicodedata.normalize("NFKC", respondent_id).casefold()
        text = b"pseudonym\0" + plain.encode("utf-8", "replace")
        digest = hmac.new(bytes.fromhex(self._key.digits), text, hashlib.sha256).hexdigest()
        return PREFIX + digest[:_LENGTH].translate(_LETTERS)

    def _read(self) -> DigestKey:
        if self._key_file is None:
            raise StoreError("hashing the id of a respondent needs a home folder, where the key is kept")
        if not self._key_file.is_file() and self._needed():
            raise StoreError(
                "the store holds pseudonyms of respondents, and their key is not here; copy erasure.key to "
                "the home folder",
                file=self._key_file,
            )
        return read_key(self._key_file)
