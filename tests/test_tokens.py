"""Batches hold every comment once and little padding."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.tokens import TokenizedComment, length_batches, memory_parts, pad, shuffled_batches

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=200).map(lambda x: np.array(x, np.int64))


@given(lengths, st.integers(50, 5000), st.integers(1, 64))
def test_length_batches_hold_each_comment_once_within_the_budget(values, tokens, most):
    groups = length_batches(values, tokens, most)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(values)))
    for group in groups:
        assert len(group) <= most
        assert len(group) == 1 or len(group) * values[group].max() <= tokens


@given(lengths, st.integers(1, 40), st.integers(0, 5))
def test_shuffled_batches_hold_each_comment_once(values, size, seed):
    groups = shuffled_batches(values, size, np.random.default_rng(seed))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(values)))
    assert all(len(group) <= size for group in groups)


def test_shuffled_batches_are_alike_in_length_and_differ_by_seed():
    values = np.random.default_rng(0).integers(5, 200, 3200)
    groups = shuffled_batches(values, 32, np.random.default_rng(1))
    padded = sum(len(group) * values[group].max() for group in groups)
    assert padded < 1.1 * values.sum()
    other = shuffled_batches(values, 32, np.random.default_rng(2))
    assert [g.tolist() for g in groups] != [g.tolist() for g in other]


def test_padding_is_masked():
    comments = [TokenizedComment(np.array([5, 6]), ()), TokenizedComment(np.array([7]), ())]
    ids, mask = pad(comments, 9)
    assert ids.tolist() == [[5, 6], [7, 9]]
    assert mask.tolist() == [[1, 1], [1, 0]]


@given(lengths, st.integers(1, 200_000))
def test_memory_parts_hold_each_comment_once_within_the_bound(values, most):
    batch = np.arange(len(values))
    parts = memory_parts(batch, values, most=most)
    assert np.concatenate(parts).tolist() == batch.tolist()
    for part in parts:
        assert len(part) == 1 or len(part) * int(values[part].max()) ** 2 <= most
    if len(values) * int(values.max()) ** 2 <= most:
        assert len(parts) == 1
