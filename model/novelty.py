"""Novelty: whether a comment is written in words like those that the model was trained on.

On comments this tells other languages, keyboard mashing and code from ordinary ones at least as well as the
distance of their mean token states from those of the training (``docs/quality.md``), and it needs no more
than the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError
from model.tokens import TokenizedComment

NOVELTY = "novelty.safetensors"

# A comment's few words are weighed with this many usual ones, so that a single odd word says little.
_USUAL_WORDS = 5.0
# The share of training comments that are allowed to look strange, each seen as if it were not among them.
_STRANGE = 0.005
_LEAST = 200

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Novelty:
    """How often each word piece stood in the training comments, and how much surprise is too much.

    Attributes
    ----------
    ids, counts
        Word pieces and how often each stood there, shape (pieces,), by id.
    vocabulary
        How many ids the tokenizer has.
    threshold
        Mean surprise, in nats for each word piece, above which a comment is unlike the training comments.
    """

    ids: Counts
    counts: Counts
    vocabulary: int
    threshold: float

    def unlike(self, comments: Sequence[TokenizedComment]) -> NDArray[np.bool_]:
        """Tell which comments are unlike those of the training, shape (n,)."""
        found: NDArray[np.bool_] = self.surprise(comments) > self.threshold
        return found

    def surprise(self, comments: Sequence[TokenizedComment]) -> NDArray[np.float64]:
        """Give the mean surprise of each comment's word pieces, shape (n,).

        A piece is as surprising as it was rare; the pieces that were never there share the probability that
        Good (1953, "The population frequencies of species") leaves to what is unseen: the share of pieces
        seen once.
        """
        table = self._table
        return np.array([_mean_surprise(table[_pieces(comment)], self._usual) for comment in comments])

    @cached_property
    def _table(self) -> NDArray[np.float64]:
        """Give the surprise of every piece, by id."""
        table = np.full(self.vocabulary, self._unseen)
        table[self.ids] = -np.log(self.counts * self._scale)
        return table

    @cached_property
    def _new(self) -> float:
        once = max(1, int((self.counts == 1).sum()))
        return min(once / float(self.counts.sum()), 0.99)

    @cached_property
    def _scale(self) -> float:
        return (1.0 - self._new) / float(self.counts.sum())

    @cached_property
    def _unseen(self) -> float:
        return float(-np.log(self._new / max(1, self.vocabulary - len(self.ids))))

    @cached_property
    def _usual(self) -> float:
        shares = self.counts / self.counts.sum()
        return float(-(shares * np.log(self.counts * self._scale)).sum())

    def _left_out(self, own: Counts, counts: Counts) -> float:
        """Give the surprise of a training comment to the others; `counts` are of every piece, by id."""
        kinds, place, times = np.unique(own, return_inverse=True, return_counts=True)
        rest = counts[kinds] - times
        known = -np.log(np.maximum(rest, 1) * self._scale)
        return _mean_surprise(np.where(rest > 0, known, self._unseen)[place], self._usual)

    def write(self, folder: Path) -> None:
        """Write it into a model folder."""
        from safetensors.numpy import save_file

        about = {"vocabulary": str(self.vocabulary), "threshold": repr(self.threshold)}
        save_file({"ids": self.ids, "counts": self.counts}, str(folder / NOVELTY), metadata=about)


def fit_novelty(comments: Sequence[TokenizedComment], vocabulary: int) -> Novelty | None:
    """Count the word pieces of training comments, and find how surprising they are themselves.

    Parameters
    ----------
    comments
        Of the training.
    vocabulary
        How many ids the tokenizer has.

    Returns
    -------
    Novelty or None
        Its threshold lets 0.5% of these comments look strange, each seen as if it were not among them. None
        where there are fewer than 200: too few to tell.
    """
    if len(comments) < _LEAST:
        return None
    pieces = [_pieces(comment) for comment in comments]
    counts = np.bincount(np.concatenate(pieces), minlength=vocabulary).astype(np.int64)
    ids = np.flatnonzero(counts).astype(np.int64)
    if not len(ids):
        return None
    found = Novelty(ids, counts[ids], vocabulary, np.inf)
    surprises = [found._left_out(own, counts) for own in pieces]
    return replace(found, threshold=float(np.quantile(surprises, 1.0 - _STRANGE)))


def read_novelty(folder: Path) -> Novelty | None:
    """Read it from a model folder; None where the model has none.

    Raises
    ------
    ModelError
        If the file is broken.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / NOVELTY
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="numpy") as file:
            about = file.metadata()
            ids, counts = (file.get_tensor(name) for name in ("ids", "counts"))
            found = Novelty(ids, counts, int(about["vocabulary"]), float(about["threshold"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError("what the model knows of its training comments cannot be read", file=path) from error
    if len(ids) != len(counts) or not len(ids) or not 0 <= ids.min() <= ids.max() < found.vocabulary:
        raise ModelError("what the model knows of its training comments does not fit together", file=path)
    return found


def _pieces(comment: TokenizedComment) -> Counts:
    """Give the ids of a comment's own word pieces, without the special tokens around them."""
    own = [end > start for start, end in comment.offsets]
    return comment.ids[np.array(own, np.bool_)]


def _mean_surprise(surprise: NDArray[np.float64], usual: float) -> float:
    return float((surprise.sum() + _USUAL_WORDS * usual) / (len(surprise) + _USUAL_WORDS))
