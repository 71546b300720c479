"""The measurement of evidence: its figures by hand, and the whole of it on the tiny model."""

from dataclasses import replace

import numpy as np
import pytest

from tests import benchmark_modules  # isort: skip  # noqa: F401

from evidence import agreement, collect, interval, measure_agreement, measure_deletion, words_in

from model.comment_tagger import CommentTagger
from model.registry import find_model
from tests.conftest import WORDS


def test_words_and_their_agreement():
    comment = "It's billed twice, but lovely."
    assert words_in(comment, [(0, 17)]) == {0, 1, 2}
    assert words_in(comment, [(5, 10)]) == set()
    f1, overlap_share, overlap = agreement(frozenset({0, 1, 2}), frozenset({1, 2, 3, 4}))
    assert (f1, overlap_share, overlap) == (pytest.approx(4 / 7), pytest.approx(2 / 5), 1.0)
    assert agreement(frozenset(), frozenset({1})) == (0.0, 0.0, 0.0)


def test_the_interval_draws_comments_not_spans():
    values = np.repeat([0.0, 1.0], 50)
    alone = interval(values, range(100))
    together = interval(values, [0] * 50 + [1] * 50)
    assert alone["mean"] == together["mean"] == 0.5
    assert alone["high"] - alone["low"] < 0.25
    assert (together["low"], together["high"]) == (0.0, 1.0)


def test_evidence_of_a_model_that_goes_by_words(trained_home, annotations):
    tagger = CommentTagger.load(find_model("models:/reason-codes/1", trained_home).folder, 1)
    rows = []
    for row in annotations[400:]:
        clauses = row.comment.split(". ")
        labels = [
            replace(label, evidence=clause)
            for label in row.labels
            for clause in clauses
            if set(clause.split()) & set(WORDS[label.code, label.polarity])
        ]
        rows.append(replace(row, labels=tuple(labels)))
    marked, tags = collect(tagger, rows)
    found = measure_agreement(marked)["several clauses, tagged"]
    assert found["spans"] > 50
    assert found["evidence"]["f1"]["mean"] > 0.75 > found["random clause"]["f1"]["mean"] + 0.2
    assert found["whole comment"]["overlap"]["mean"] == 1.0
    deletion = measure_deletion(tagger, [row.comment for row in rows], tags)
    assert deletion["evidence"]["mean"] > deletion["random"]["mean"] + 0.2
