"""Topics that no code covers yet: BERTopic over the comments of detractors and passives without a code."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import MissingExtraError
from data.scale import Scale
from data.tags import TaggedResponse
from data.text import normalise
from model.encoder import EncoderSource, resolve_encoder

LEAST_COMMENTS = 30
_LEAST_WORDS = 3


@dataclass(frozen=True)
class UncodedComment:
    """A comment that no code explains, with what its response lost."""

    response_id: str
    comment: str
    loss: float


@dataclass(frozen=True)
class Topic:
    """A group of like comments.

    Attributes
    ----------
    number
        Largest first, from 0.
    words
        What sets the group apart (c-TF-IDF), strongest first.
    size
        Comments in it.
    points_lost
        What its responses lose of the metric, of all scored responses; None where that base is unknown.
    response_ids
        Of all its comments.
    examples
        The comments nearest to its centre.
    """

    number: int
    words: tuple[str, ...]
    size: int
    points_lost: float | None
    response_ids: tuple[str, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Topics:
    """The topics of some comments, and how many belong to none."""

    topics: tuple[Topic, ...]
    comments: int
    outliers: int
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the topics as plain JSON values."""
        return asdict(self)


def uncoded_comments(rows: Iterable[TaggedResponse], scale: Scale) -> list[UncodedComment]:
    """Pick the comments that no code explains: uncoded, of a detractor or passive, of three words or more.

    Parameters
    ----------
    rows
        Tagged responses; of an id that stands twice the last is taken.
    scale
        Of the scores.
    """
    found: dict[str, UncodedComment | None] = {}
    for row in rows:
        response = row.response
        found[response.response_id] = None
        if row.status != "uncoded" or response.comment is None or response.score is None:
            continue
        loss = float(scale.loss([response.score])[0])
        if loss > 0 and len(normalise(response.comment).split()) >= _LEAST_WORDS:
            found[response.response_id] = UncodedComment(response.response_id, response.comment, loss)
    return [comment for comment in found.values() if comment is not None]


class TopicModel:
    """Finds topics with BERTopic (Grootendorst 2022, arXiv 2203.05794).

    Parameters
    ----------
    encoder
        Embeds the comments; as `model.encoder.resolve_encoder` takes it.
    seed
        Makes the topics repeatable.

    Attributes
    ----------
    model_
        The fitted BERTopic; None before `fit`, or where there were too few comments.
    """

    def __init__(self, encoder: str | None = None, seed: int = 0) -> None:
        self.encoder = encoder
        self.seed = seed
        self.model_: Any = None

    def fit(self, comments: Sequence[UncodedComment], n_scored: int | None = None) -> Topics:
        """Find the topics of comments.

        Parameters
        ----------
        comments
            From `uncoded_comments`.
        n_scored
            All scored responses, the base of points lost.

        Returns
        -------
        Topics
            Empty, with a note, where there are fewer than 30 comments.

        Raises
        ------
        MissingExtraError
            If BERTopic is not installed.
        """
        if len(comments) < LEAST_COMMENTS:
            note = f"{len(comments)} uncoded comments are too few for topics; {LEAST_COMMENTS} are the least"
            return Topics((), len(comments), len(comments), note)
        texts = [comment.comment for comment in comments]
        embeddings = embed(texts, resolve_encoder(self.encoder))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # UMAP and numba warn about their own insides
            self.model_ = _bertopic(len(texts), self.seed)
            assigned, _ = self.model_.fit_transform(texts, embeddings)
        return self._topics(comments, np.asarray(assigned), embeddings, n_scored)

    def save(self, folder: str | Path, topics: Topics) -> None:
        """Write the topics as JSON and, where there is one, the topic model as safetensors."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(topics.to_dict(), ensure_ascii=False, indent=2)
        (folder / "topics.json").write_text(text + "\n", encoding="utf-8")
        if self.model_ is not None:
            # It warns that no embedding model is saved: that is the encoder, which is resolved by name.
            logging.getLogger("BERTopic").setLevel(logging.ERROR)
            self.model_.save(
                str(folder / "bertopic"),
                serialization="safetensors",
                save_ctfidf=True,
                save_embedding_model=False,
            )

    def _topics(
        self,
        comments: Sequence[UncodedComment],
        assigned: NDArray[np.int64],
        embeddings: NDArray[np.float32],
        n_scored: int | None,
    ) -> Topics:
        topics = []
        sizes = {int(t): int((assigned == t).sum()) for t in set(assigned.tolist()) if t >= 0}
        for number, topic in enumerate(sorted(sizes, key=lambda t: (-sizes[t], t))):
            rows = np.flatnonzero(assigned == topic)
            centre = embeddings[rows].mean(axis=0)
            nearest = rows[np.argsort(-(embeddings[rows] @ centre), kind="stable")[:5]]
            words = [word for word, weight in self.model_.get_topic(topic) if word and weight > 0]
            members = [comments[int(i)] for i in rows]
            loss = sum(member.loss for member in members)
            topics.append(
                Topic(
                    number,
                    tuple(words[:8]),
                    len(rows),
                    None if not n_scored else 100.0 * loss / n_scored,
                    tuple(member.response_id for member in members),
                    tuple(comments[int(i)].comment for i in nearest),
                )
            )
        return Topics(tuple(topics), len(comments), int((assigned < 0).sum()))


def embed(texts: Sequence[str], source: EncoderSource) -> NDArray[np.float32]:
    """Embed texts with sentence-transformers.

    Returns
    -------
    ndarray of shape (n, width)
        Of unit length.

    Raises
    ------
    MissingExtraError
        If sentence-transformers is not installed.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtraError("the topic model", "train") from error
    model = SentenceTransformer(str(source.folder), device="cpu", local_files_only=True)
    vectors: NDArray[np.float32] = model.encode(
        list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=64
    )
    return vectors


def _bertopic(n: int, seed: int) -> Any:
    try:
        from bertopic import BERTopic
        from hdbscan import HDBSCAN
        from sklearn.feature_extraction.text import CountVectorizer
        from umap import UMAP
    except ImportError as error:
        raise MissingExtraError("the topic model", "train") from error
    smallest = max(8, n // 100)
    return BERTopic(
        umap_model=UMAP(
            n_neighbors=min(15, n - 1), n_components=5, min_dist=0.0, metric="cosine", random_state=seed
        ),
        hdbscan_model=HDBSCAN(
            min_cluster_size=smallest, min_samples=max(3, smallest // 3), prediction_data=True
        ),
        vectorizer_model=CountVectorizer(stop_words="english", ngram_range=(1, 2)),
        calculate_probabilities=False,
        verbose=False,
    )
