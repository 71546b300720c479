"""The cheap peers: TF-IDF under linear SVMs, and frozen sentence embeddings under logistic regressions.

Both learn one binary model for each (code, polarity), from the annotations that know the code; their C and
their thresholds are chosen on the comments that the product, too, sets apart for that, and they are then
fitted again on all training comments. Where each comment has one code, they are multi-class. A code that is
unseen is found by its definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from definitions import by_definition
from measurement import Part, Prediction, Problem, empty_probabilities, score, set_apart, thresholds_of
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion
from sklearn.svm import LinearSVC

from model.decision import decide
from model.encoder import resolve_encoder

Features = Any
"""A matrix of shape (n_comments, n_features), sparse or not, of rows of length 1."""


@dataclass(frozen=True)
class LinearPeer:
    """A linear model over fixed features.

    Attributes
    ----------
    estimator
        An untrained scikit-learn classifier with a parameter C and a decision function.
    strengths
        The values of C to choose from.
    steepness
        What a decision value is multiplied with before the logistic function makes it a probability.
    """

    estimator: Any
    strengths: tuple[float, ...]
    steepness: float = 1.0

    def read(self, problem: Problem, train: Features, held: Features) -> Prediction:
        """Choose C and thresholds, fit on all training comments, and read the held-out part."""
        fitting, validation = set_apart(problem.train)
        fit, tune = problem.train.rows(fitting), problem.train.rows(validation)
        tried = []
        for strength in self.strengths:
            guessed = self.fit_and_score(problem, fit, train[fitting], strength, train[validation])
            thresholds = thresholds_of(guessed, tune)
            tried.append((score(guessed, tune, thresholds, problem.single), strength, thresholds))
        reached, strength, thresholds = max(tried, key=lambda one: one[0])
        probabilities = self.fit_and_score(problem, problem.train, train, strength, held)
        notes = {"C": strength, "validation": round(reached, 4)}
        return Prediction(probabilities, decide(probabilities, thresholds), notes)

    def fit_and_score(
        self, problem: Problem, part: Part, features: Features, strength: float, held: Features
    ) -> NDArray[np.float64]:
        """Fit on a part, known pairs only, and give the probabilities of other comments' pairs."""
        probabilities = empty_probabilities(problem, held.shape[0])
        estimator = clone(self.estimator).set_params(C=strength)
        if problem.single:
            model = estimator.fit(features, part.present.any(axis=-1).argmax(axis=-1))
            probabilities[:, model.classes_, 0] = expit(self.steepness * model.decision_function(held))
            return probabilities
        for code, polarity in np.argwhere(part.present.any(axis=0)):
            known = np.flatnonzero(part.known[:, code])
            truth = part.present[known, code, polarity] > 0
            if truth.any() and not truth.all():
                model = clone(estimator).fit(features[known], truth)
                probabilities[:, code, polarity] = expit(self.steepness * model.decision_function(held))
        return probabilities


SVM = LinearPeer(LinearSVC(max_iter=5000, random_state=0), (0.1, 0.3, 1.0, 3.0), steepness=2.0)
LOGISTIC = LinearPeer(LogisticRegression(max_iter=2000), (1.0, 10.0, 100.0))


def tfidf_svm(problem: Problem, seed: int) -> Prediction:
    """TF-IDF of words and pairs of words, and of 2 to 5 characters within words, under linear SVMs."""
    del seed  # nothing in it is drawn
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, strip_accents="unicode")
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True)
    union = FeatureUnion([("words", words), ("characters", characters)])
    train = union.fit_transform(problem.train.comments).tocsr()
    return _read(problem, SVM, train, lambda texts: union.transform(texts).tocsr())


def untuned_svm(problem: Problem, seed: int) -> Prediction:
    """TF-IDF of words under linear SVMs, both as scikit-learn has them: nothing chosen, nothing tuned."""
    del seed
    vectorizer = TfidfVectorizer()
    train = vectorizer.fit_transform(problem.train.comments).tocsr()
    held = vectorizer.transform(problem.held.comments).tocsr()
    probabilities = SVM.fit_and_score(problem, problem.train, train, 1.0, held)
    return Prediction(probabilities, probabilities > 0.5)


def frozen_logistic(problem: Problem, seed: int) -> Prediction:
    """Sentence embeddings of the packaged encoder, as it comes, under logistic regressions."""
    del seed
    return _read(problem, LOGISTIC, embed(problem.train.comments), embed)


def _read(
    problem: Problem, peer: LinearPeer, train: Features, features: Callable[[Sequence[str]], Features]
) -> Prediction:
    held = features(problem.held.comments)
    if problem.unseen:
        return by_definition(problem, train, held, features, clone(peer.estimator))
    return peer.read(problem, train, held)


_embeddings: dict[str, NDArray[np.float32]] = {}


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Give sentence embeddings of length 1, shape (n, width); each text is read once in a process."""
    missing = [text for text in dict.fromkeys(texts) if text not in _embeddings]
    if missing:
        vectors = _sentence_transformer().encode(missing, batch_size=64, normalize_embeddings=True)
        _embeddings.update(zip(missing, vectors, strict=True))
    return np.stack([_embeddings[text] for text in texts])


@cache
def _sentence_transformer() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(resolve_encoder().folder), device="cpu")
