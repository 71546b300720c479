"""Evidence: the part of a comment that carries a code, read from what its tokens add to the score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.tags import Evidence

# A clause ends at punctuation, a line break, or before a word that turns to something else.
_BREAK = re.compile(
    r"[.!?;:\n]+|,(?=\s)|\s[-–—]\s|\s(?=(?:and|so|but|although|though|however|because|while|whereas|yet|except)\b)",
    re.IGNORECASE,
)
_TRIM = re.compile(
    r"^(?:[\s\W_]+|(?:and|but|although|though|however|because|while|yet|so)\b)+", re.IGNORECASE
)
# A neighbour that adds this share of what the best clause adds belongs to the evidence too.
_JOIN = 0.25


def clauses(comment: str) -> list[tuple[int, int]]:
    """Cut a comment into clauses.

    Returns
    -------
    list of (start, end)
        Offsets in code points; between them lies nothing but punctuation and blanks.
    """
    spans, start = [], 0
    for cut in [*_BREAK.finditer(comment), None]:
        end = len(comment) if cut is None else cut.start()
        if comment[start:end].strip():
            spans.append((start, end))
        start = end if cut is None else cut.end()
    return spans


def find_evidence(
    comment: str, offsets: Sequence[tuple[int, int]], contribution: NDArray[np.floating[Any]]
) -> tuple[Evidence, ...]:
    """Give the clause that adds most to a pair's score, with neighbours that add nearly as much.

    Parameters
    ----------
    comment
        The text as it was tokenized.
    offsets
        Place of each token in the text; (0, 0) for special tokens.
    contribution
        What each token adds to the pair's logit, shape (tokens,); what speaks against it counts as nothing.

    Returns
    -------
    tuple of Evidence
        One span; empty for a comment without a word.
    """
    spans = clauses(comment)
    if not spans:
        return ()
    mass = clause_sums(spans, offsets, np.maximum(contribution, 0.0))
    first = last = int(mass.argmax())
    enough = _JOIN * mass[first]
    while first > 0 and mass[first - 1] >= enough:
        first -= 1
    while last + 1 < len(spans) and mass[last + 1] >= enough:
        last += 1
    return (tidy_span(comment, spans[first][0], spans[last][1]),)


def clause_sums(
    spans: Sequence[tuple[int, int]],
    offsets: Sequence[tuple[int, int]],
    contribution: NDArray[np.floating[Any]],
) -> NDArray[np.float64]:
    """Sum what tokens add over each clause, shape (clauses,); special tokens belong to none.

    A token belongs where it ends: those of some tokenizers begin with the blank before the word.
    """
    sums = np.zeros(len(spans))
    starts = np.array([start for start, _ in spans])
    for (start, end), weight in zip(offsets, contribution, strict=False):
        if end > start:
            sums[max(0, int(np.searchsorted(starts, end - 1, side="right")) - 1)] += float(weight)
    return sums


def tidy_span(comment: str, start: int, end: int) -> Evidence:
    """Give a part of a comment without the blanks, marks and joining words at its ends."""
    lead = _TRIM.match(comment[start:end])
    if lead and lead.end() < end - start:
        start += lead.end()
    end = start + len(comment[start:end].rstrip())
    return Evidence(start, end, comment[start:end])
