"""Prediction: rows in their order, whatever the batches, and the same in company."""

import numpy as np
import pytest
import torch

from model import prediction
from model.prediction import autocast, bf16_pays, predict_network


@pytest.fixture(scope="module")
def tokens(classifier, annotations):
    rng = np.random.default_rng(0)
    comments = [row.comment for row in annotations[:40]] + ["", "fee", " ".join(["queue"] * 80)]
    return classifier.tokenize([comments[i] for i in rng.permutation(len(comments))])


def test_rows_keep_their_order_and_lengths(classifier, tokens):
    probabilities, attention = predict_network(classifier.network_, tokens, 0)
    assert probabilities.shape == (43, 3, 3)
    for i in (0, 7, 42):
        alone, looked = predict_network(classifier.network_, [tokens[i]], 0)
        np.testing.assert_allclose(probabilities[i], alone[0], atol=1e-5)
        np.testing.assert_allclose(attention[i], looked[0], atol=1e-5)
    for weights, comment in zip(attention, tokens, strict=True):
        assert weights.shape == (3, len(comment.ids))
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-4)


def test_what_stands_on_padding_does_not_matter(classifier, tokens):
    one, _ = predict_network(classifier.network_, tokens, 0)
    other, _ = predict_network(classifier.network_, tokens, 5)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_no_comments_are_no_rows(classifier):
    probabilities, attention = predict_network(classifier.network_, [], 0)
    assert probabilities.shape == (0, 3, 3)
    assert attention == []


def test_half_precision_is_near(classifier, tokens):
    exact, _ = predict_network(classifier.network_, tokens, 0)
    near, _ = predict_network(classifier.network_, tokens, 0, "bf16")
    np.testing.assert_allclose(near, exact, atol=0.1)
    assert not np.array_equal(near, exact)


def test_bf16_is_chosen_where_it_is_faster(monkeypatch):
    """On a clock that stands still nothing is faster; on one that favours the second product it is."""
    monkeypatch.setattr(prediction.time, "perf_counter", lambda: 0.0)
    assert not bf16_pays(torch.device("cpu"))
    ticks = iter([*(float(x) for i in range(5) for x in (i, i + 0.1)), *(float(x) for x in range(10))])
    monkeypatch.setattr(prediction.time, "perf_counter", lambda: next(ticks))
    assert bf16_pays(torch.device("cpu"))


def test_the_precision_is_that_of_the_context():
    left, right = torch.ones(2, 2), torch.ones(2, 2)
    with autocast(torch.device("cpu"), "bf16"):
        assert (left @ right).dtype == torch.bfloat16
    with autocast(torch.device("cpu"), "fp32"):
        assert (left @ right).dtype == torch.float32
