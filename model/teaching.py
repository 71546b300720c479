"""A teacher: a model, usually of a larger encoder, whose probabilities stand beside the annotations."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from data.annotations import POLARITIES
from model.checkpoint import Checkpoint, CheckpointPlace, read_checkpoint, write_checkpoint
from model.comment_tagger import CommentTagger
from model.devices import processes
from model.fitting import Fold
from model.tokens import TokenizedComment

Arrays = NDArray[np.float32]
Tokenizes = Callable[[Sequence[str]], list[TokenizedComment]]

_KEPT = 2048  # comments after which it is kept what they were read as
_READ = "probabilities"
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True)
class Teacher:
    """A model that says, with probabilities, what another one is to learn.

    A probability tells more than an annotation does: what is nearly so, and what the annotator may have
    missed (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network"). And it can be
    had for comments that nobody annotated.

    Attributes
    ----------
    tagger
        The teacher.
    weights
        SHA-256 of its weights.
    unreviewed
        Comments without annotations, which it reads as well.
    share
        What its probability counts where somebody annotated the comment; the annotation counts the rest.
    further
        How many comments without annotations there are to be for each annotated one. Where `unreviewed` are
        fewer, others are made of the annotated ones' sentences (Jiao et al. 2020, "TinyBERT", who make
        theirs by replacing words).
    most
        Comments without annotations that it reads at most.
    on_read
        Told how many comments it has read, and of how many.
    """

    tagger: CommentTagger
    weights: str
    unreviewed: tuple[str, ...] = ()
    share: float = 0.7
    further: float = 3.0
    most: int = 20_000
    on_read: Callable[[int, int], None] | None = None

    def knows(self, codes: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which of some codes it knows, shape (n_codes,)."""
        return np.isin(codes, self.tagger.description.codes)

    def digest(self) -> str:
        """Give a hash of what it is, and of what it reads besides the annotated comments."""
        found = hashlib.sha256(f"{self.weights} {self.share} {self.further} {self.most}".encode())
        for comment in self.unreviewed:
            found.update(hashlib.sha256(comment.encode("utf-8", "replace")).digest())
        return found.hexdigest()

    def read(
        self, comments: Sequence[str], codes: Sequence[str], place: CheckpointPlace | None = None
    ) -> Arrays:
        """Give its probabilities, shape (n_comments, n_codes, n_polarities); 0 of codes that it lacks.

        At `place` it keeps what it has read, so that after a kill it goes on from there.
        """
        told = np.zeros((len(comments), len(codes), len(POLARITIES)), np.float32)
        own = self.tagger.description.codes
        columns = [own.index(code) for code in codes if code in own]
        parts = [] if place is None else _taken_up(place)
        done = sum(map(len, parts))
        while done < len(comments):
            part = comments[done : done + _KEPT]
            parts.append(self.tagger.probabilities(part, self._telling(done, len(comments))))
            done += len(part)
            if place is not None and processes().is_main:
                read = {_READ: torch.from_numpy(np.concatenate(parts))}
                write_checkpoint(place.path, place.key, Checkpoint(read, {}))
        if parts:
            told[:, self.knows(codes)] = np.concatenate(parts)[:, columns]
        return told

    def _telling(self, before: int, total: int) -> Callable[[int, int], None]:
        def tell(done: int, _: int) -> None:
            if self.on_read is not None:
                self.on_read(before + done, total)

        return tell

    def teach(
        self,
        fold: Fold,
        comments: Sequence[str],
        codes: Sequence[str],
        tokenize: Tokenizes,
        seed: int,
        place: CheckpointPlace | None = None,
    ) -> Fold:
        """Let its probabilities stand beside the annotations, and add comments that nobody annotated.

        Parameters
        ----------
        fold, comments
            What people annotated, and its texts.
        codes
            In the order of the fold.
        tokenize
            As the learner reads comments.
        seed
            Decides which sentences stand together.
        place
            Where it keeps what it has read, as `read` does.

        Returns
        -------
        Fold
            First the comments of the one given, then the further ones. Where an annotation does not know a
            code and the teacher does, the teacher alone is heard.
        """
        wanted = min(self.most, max(round(self.further * len(comments)), len(self.unreviewed)))
        more = list(self.unreviewed[:wanted])
        more += recombined(comments, wanted - len(more), seed)
        told = self.read([*comments, *more], codes, place)
        own, knows = len(comments), self.knows(codes).astype(np.float32)
        heard = np.where(fold.known > 0, self.share, 1.0) * knows
        mixed = fold.present + heard[..., None] * (told[:own] - fold.present)
        known = np.concatenate([np.maximum(fold.known, knows), np.tile(knows, (len(more), 1))])
        return Fold(
            [*fold.comments, *tokenize(more)],
            np.concatenate([mixed, told[own:]]).astype(np.float32),
            known.astype(np.float32),
        )


def _taken_up(place: CheckpointPlace) -> list[Arrays]:
    found = read_checkpoint(place.path, place.key)
    return [] if found is None else [found.tensors[_READ].numpy()]


def recombined(comments: Sequence[str], n: int, seed: int) -> list[str]:
    """Make comments of the sentences of others, each of some of one's and some of another's.

    Parameters
    ----------
    comments
        What there is to draw from; the same one may be drawn again.
    n
        How many to make.
    seed
        Decides the draws.

    Returns
    -------
    list of str
        `n` comments, or none where `comments` have no word.
    """
    parts = [[s.strip() for s in _SENTENCE_END.split(comment) if s.strip()] for comment in comments]
    parts = [sentences for sentences in parts if sentences]
    rng, made = np.random.default_rng(seed), list[str]()
    while len(made) < n and parts:
        one, other = (parts[i] for i in rng.integers(len(parts), size=2))
        some = [[s for s in one if rng.random() < 0.6], [s for s in other if rng.random() < 0.4]]
        chosen = [s for place in rng.permutation(2) for s in some[place]]
        if chosen:
            made.append(" ".join(chosen))
    return made
