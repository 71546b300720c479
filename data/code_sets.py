"""Sets of reason codes, numbered as they are met: a few thousand stand for millions of responses."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_WORD = 63  # codes to a signed 64-bit word


class CodeSets:
    """Numbers sets of codes; the empty set is 0."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {0: 0}
        self._keys = [0]

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self, words: Ints) -> Ints:
        """Give the number of each row's set.

        Parameters
        ----------
        words
            As `words_of` gives them, shape (words, n).

        Returns
        -------
        ndarray of shape (n,)
        """
        place = np.zeros(words.shape[1], dtype=np.int64)
        for word in words:
            if word.any():
                digit, kinds = pd.factorize(word)
                place, _ = pd.factorize(place * len(kinds) + digit)
        firsts = np.flatnonzero(np.diff(np.maximum.accumulate(place), prepend=-1) > 0)
        keys = [0] * firsts.size
        for shift, word in enumerate(words):
            keys = [
                key | (bits << shift * _WORD) for key, bits in zip(keys, word[firsts].tolist(), strict=True)
            ]
        found = [self._number(key) for key in keys]
        return np.array(found, dtype=np.int64)[place] if found else place

    def _number(self, key: int) -> int:
        number = self._numbers.setdefault(key, len(self._keys))
        if number == len(self._keys):
            self._keys.append(key)
        return number

    def codes_in(self, number: int) -> list[int]:
        """Give the positions of a set's codes."""
        bits = bin(self._keys[number])[:1:-1]
        return [place for place, bit in enumerate(bits) if bit == "1"]

    def members(self) -> tuple[Ints, Ints]:
        """Give the pairs of a set's number and a code's position, sorted by set, shape (m,) each."""
        size = max(key.bit_length() for key in self._keys) // 8 + 1
        bits = b"".join(key.to_bytes(size, "little") for key in self._keys)
        table = np.unpackbits(np.frombuffer(bits, np.uint8).reshape(-1, size), axis=1, bitorder="little")
        sets, codes = np.nonzero(table)
        return sets.astype(np.int64), codes.astype(np.int64)


def words_of(rows: Ints, codes: Ints, n: int, known: int) -> Ints:
    """Give each row's set of codes as bits.

    Parameters
    ----------
    rows, codes
        Pairs, shape (m,) each, sorted by row; a pair may stand twice.
    n
        The number of rows.
    known
        The codes lie below this.

    Returns
    -------
    ndarray of shape (words, n)
        63 codes to a word.
    """
    words = np.zeros((max(1, -(-known // _WORD)), n), dtype=np.int64)
    if rows.size:
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        held = np.int64(1) << (codes % _WORD)
        for place, word in enumerate(words):
            word[rows[starts]] = np.bitwise_or.reduceat(np.where(codes // _WORD == place, held, 0), starts)
    return words
