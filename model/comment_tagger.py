"""Comments to tags: tokenize, score, decide, and find the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.annotations import POLARITIES
from data.tags import Tag
from data.taxonomy import Taxonomy
from model.abstention import abstains
from model.decision import decide
from model.description import ModelDescription, read_description, read_model_taxonomy
from model.encoder import load_tokenizer
from model.engine import Engine
from model.engine_choice import choose_engine
from model.engine_record import EngineName
from model.evidence import find_evidence
from model.labels import LabelSpace
from model.novelty import Novelty, read_novelty
from model.operating_points import BALANCED, PointName
from model.tokens import TokenizedComment, tokenize

_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model says of a comment.

    Attributes
    ----------
    tags
        Likeliest first; none where it abstains.
    abstained
        Whether the comment is unlike those of the training, so that the model says nothing of it.
    """

    tags: tuple[Tag, ...]
    abstained: bool = False


@dataclass(frozen=True)
class CommentTagger:
    """A model folder made ready to read comments, without torch.

    Attributes
    ----------
    description, taxonomy
        What the model says of itself, and the reason codes it was trained on.
    engine
        What computes.
    novelty
        What the training comments were like; None where that is not known, and then no comment is new.
    engine_name
        Which one it is.
    """

    description: ModelDescription
    taxonomy: Taxonomy
    engine: Engine
    tokenizer: Any
    novelty: Novelty | None = None
    engine_name: EngineName = "onnx"

    @classmethod
    def load(
        cls,
        folder: str | Path,
        threads: int | None = None,
        engine: EngineName | Literal["auto"] = "onnx",
        home: Path | None = None,
    ) -> CommentTagger:
        """Load a model folder.

        Parameters
        ----------
        folder
            As ``whyscore train`` makes it.
        threads
            Processor threads; all cores where None.
        engine
            What computes; ``auto`` takes the quickest on this processor that loses no quality.
        home
            Where it is remembered which one that is; None measures every time.

        Raises
        ------
        ModelError
            If the folder does not hold a whole model.
        """
        folder = Path(folder)
        description = read_description(folder)
        taxonomy = read_model_taxonomy(folder)
        tokenizer = load_tokenizer(folder, description.max_tokens)
        name, opened = choose_engine(folder, description.pad_id, threads, engine, home)
        return cls(description, taxonomy, opened, tokenizer, read_novelty(folder), name)

    @property
    def labels(self) -> LabelSpace:
        """The codes of the model, in the order of its outputs."""
        return LabelSpace(self.description.codes)

    def tokenize(self, comments: Sequence[str]) -> list[TokenizedComment]:
        """Tokenize comments as the network reads them."""
        return tokenize(self.tokenizer, comments, self.description.prefix)

    def probabilities(
        self, comments: Sequence[str], on_read: Callable[[int, int], None] | None = None
    ) -> NDArray[np.float32]:
        """Give the calibrated probability of every pair, shape (n_comments, n_codes, n_polarities).

        Parameters
        ----------
        comments
            As many as there are: they are read in parts, so that memory does not grow with them.
        on_read
            Told after each part how many comments are read, and of how many.
        """
        if not comments:
            return np.zeros((0, *self.labels.shape), np.float32)
        told = []
        # An engine also says what every token adds to every code, which for all at once would not fit.
        for first in range(0, len(comments), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            reading = self.engine.read(self.tokenize(comments[part]))
            told.append(self.description.calibrate(reading.probabilities))
            if on_read is not None:
                on_read(min(part.stop, len(comments)), len(comments))
        return np.concatenate(told)

    def choose(self, comments: Sequence[str], point: PointName = BALANCED) -> NDArray[np.bool_]:
        """Give the pairs that reach their threshold, shape (n_comments, n_codes, n_polarities).

        Also of comments of which `tag` says nothing.
        """
        return decide(self.probabilities(comments), self.description.threshold_array(point))

    def tag(self, comments: Sequence[str], point: PointName = BALANCED) -> list[tuple[Tag, ...]]:
        """Give the tags of comments, as `verdicts` does."""
        return [verdict.tags for verdict in self.verdicts(comments, point)]

    def verdicts(self, comments: Sequence[str], point: PointName = BALANCED) -> list[Verdict]:
        """Tag comments; one that stands several times is read once.

        Parameters
        ----------
        comments
            Texts, none of them blank.
        point
            The operating point, which sets the thresholds.

        Returns
        -------
        list of Verdict
            One for each comment.

        Raises
        ------
        ModelError
            If the model has no such operating point.
        """
        distinct = list(dict.fromkeys(comments))
        thresholds = self.description.threshold_array(point)
        verdicts = dict(zip(distinct, self._read_distinct(distinct, thresholds), strict=True))
        return [verdicts[comment] for comment in comments]

    def abstains(self, comments: Sequence[str]) -> NDArray[np.bool_]:
        """Tell of which comments the model says nothing, shape (n_comments,)."""
        return abstains(comments, self.tokenize(comments), self.novelty)

    def _read_distinct(self, comments: list[str], thresholds: NDArray[np.float64]) -> list[Verdict]:
        if not comments:
            return []
        tokens = self.tokenize(comments)
        reading = self.engine.read(tokens)
        probabilities = self.description.calibrate(reading.probabilities)
        abstained = abstains(comments, tokens, self.novelty)
        chosen = decide(probabilities, thresholds) & ~abstained[:, None, None]
        found: list[list[Tag]] = [[] for _ in comments]
        for row, code, polarity in np.argwhere(chosen):
            found[row].append(
                Tag(
                    code=self.description.codes[code],
                    polarity=POLARITIES[polarity],
                    probability=round(float(probabilities[row, code, polarity]), 4),
                    evidence=find_evidence(
                        comments[row], tokens[row].offsets, reading.contribution[row][code, polarity]
                    ),
                )
            )
        return [
            Verdict(tuple(sorted(tags, key=lambda tag: (-tag.probability, tag.code))), bool(silent))
            for tags, silent in zip(found, abstained, strict=True)
        ]
