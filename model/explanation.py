"""Explanations: why a comment has a tag, and by how much it missed another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.annotations import POLARITIES, Polarity
from data.tags import Evidence
from model.comment_tagger import CommentTagger
from model.decision import decide
from model.evidence import find_evidence
from model.operating_points import BALANCED, PointName

Floats = NDArray[np.floating[Any]]

NEAR = 3
"""Codes that a comment did not get, of which an explanation tells too."""


@dataclass(frozen=True, slots=True)
class WordWeight:
    """A word of the comment, and what it adds to a pair's score or takes from it.

    Attributes
    ----------
    start, end, text
        Its place, in code points.
    weight
        In logits. Of a model that was exported before it gave this: the word's share of the attention.
    """

    start: int
    end: int
    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class ExplainedPair:
    """How one (code, polarity) was decided.

    Attributes
    ----------
    code, polarity
        The pair; of each code its likeliest polarity.
    definition
        What the taxonomy says of the code; its label where it does not define it.
    tagged
        Whether `probability` reaches `threshold` and the model does not abstain.
    probability, threshold
        Calibrated, and that of the operating point.
    evidence
        The clause that carries the pair, whether it is tagged or not.
    words
        What each word adds, in the order of the comment.
    rest
        What no word decides: the definition, and how common the pair is. `rest` and the words sum to `score`;
        None where the model does not tell.
    score
        The network's logit, before calibration.
    """

    code: str
    polarity: Polarity
    definition: str
    tagged: bool
    probability: float
    threshold: float
    evidence: tuple[Evidence, ...]
    words: tuple[WordWeight, ...]
    rest: float | None
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a comment was read.

    Attributes
    ----------
    abstained
        Whether the model says nothing of it.
    surprise, most_surprise
        How surprising its word pieces are after the training comments, in nats for each, and from where on
        the model abstains; None where the model does not know its training comments.
    pairs
        The tags, likeliest first, then the codes that came nearest to their threshold.
    """

    abstained: bool
    surprise: float | None
    most_surprise: float | None
    pairs: tuple[ExplainedPair, ...]


def explain(
    tagger: CommentTagger, comment: str, point: PointName = BALANCED, near: int = NEAR
) -> Explanation:
    """Explain the tags of a comment, and the codes that came nearest to being tagged.

    Parameters
    ----------
    tagger
        The model.
    comment
        Not blank.
    point
        The operating point.
    near
        How many codes without a tag to explain.

    Raises
    ------
    ModelError
        If the model has no such operating point.
    """
    thresholds = tagger.description.threshold_array(point)
    tokens = tagger.tokenize([comment])
    reading = tagger.engine.read(tokens)
    probabilities = tagger.description.calibrate(reading.probabilities)
    abstained = bool(tagger.abstains([comment])[0])
    chosen = decide(probabilities, thresholds)[0] & (not abstained)
    words = _words(tagger, comment)
    found = []
    for code, polarity in _worth_telling(probabilities[0], thresholds, chosen, near):
        contribution = reading.contribution[0][code, polarity]
        weights = _weigh(comment, words, contribution)
        score = float(reading.logits[0, code, polarity])
        known = tagger.taxonomy[tagger.description.codes[code]]
        found.append(
            ExplainedPair(
                code=known.id,
                polarity=POLARITIES[polarity],
                definition=known.definition or known.label or known.id,
                tagged=bool(chosen[code, polarity]),
                probability=round(float(probabilities[0, code, polarity]), 4),
                threshold=round(float(thresholds[code, polarity]), 4),
                evidence=find_evidence(comment, tokens[0].offsets, contribution),
                words=weights,
                rest=round(score - sum(word.weight for word in weights), 4) if reading.exact else None,
                score=round(score, 4),
            )
        )
    known_words = tagger.novelty
    return Explanation(
        abstained,
        None if known_words is None else round(float(known_words.surprise(tokens)[0]), 4),
        None if known_words is None else round(known_words.threshold, 4),
        tuple(found),
    )


def _worth_telling(
    probabilities: Floats, thresholds: Floats, chosen: NDArray[np.bool_], near: int
) -> list[tuple[int, int]]:
    """Give the tagged pairs, likeliest first, then each other code's likeliest, nearest first."""
    likeliest = probabilities.argmax(axis=-1)
    pairs = [(code, int(polarity)) for code, polarity in enumerate(likeliest)]
    tagged = sorted((pair for pair in pairs if chosen[pair]), key=lambda pair: -probabilities[pair])
    others = sorted(
        (pair for pair in pairs if not chosen[pair]), key=lambda pair: thresholds[pair] - probabilities[pair]
    )
    return tagged + others[:near]


def _words(tagger: CommentTagger, comment: str) -> list[tuple[int, int, list[int]]]:
    """Give the place of each word as the tokenizer cuts them, and the numbers of its tokens."""
    (tokens,) = tagger.tokenize([comment])
    encoded = tagger.tokenizer.encode(tagger.description.prefix + comment)
    found: dict[int, tuple[int, int, list[int]]] = {}
    for number, ((start, end), word) in enumerate(zip(tokens.offsets, encoded.word_ids, strict=True)):
        if end > start and word is not None:
            first, last, numbers = found.get(word, (start, end, []))
            found[word] = (min(first, start), max(last, end), [*numbers, number])
    return list(found.values())


def _weigh(
    comment: str, words: list[tuple[int, int, list[int]]], contribution: Floats
) -> tuple[WordWeight, ...]:
    return tuple(
        WordWeight(start, end, comment[start:end], round(float(contribution[numbers].sum()), 4))
        for start, end, numbers in words
    )
