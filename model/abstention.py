"""Abstention: comments of which a model had better say nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.novelty import Novelty
from model.tokens import TokenizedComment


def abstains(
    comments: Sequence[str], tokens: Sequence[TokenizedComment], novelty: Novelty | None
) -> NDArray[np.bool_]:
    """Tell of which comments to say nothing: no word is in them, or words unlike those of the training.

    Parameters
    ----------
    comments, tokens
        The same comments as texts and as the network reads them.
    novelty
        What the training comments were like; None where that is not known.

    Returns
    -------
    ndarray of shape (n_comments,)
    """
    wordless = np.array([not _says_something(comment) for comment in comments], np.bool_)
    if novelty is None or not len(comments):
        return wordless
    found: NDArray[np.bool_] = wordless | novelty.unlike(tokens)
    return found


def _says_something(comment: str) -> bool:
    """Tell whether there is a word or a picture, and not digits, marks and single letters alone.

    Two letters in a row are a word; where letters have no case, as in Chinese or Hindi, one may be.
    """
    kinds = [unicodedata.category(char) for char in comment]
    if "Lo" in kinds or "So" in kinds:
        return True
    return any(one[0] == two[0] == "L" for one, two in pairwise(kinds))
