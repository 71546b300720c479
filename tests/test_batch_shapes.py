"""Batches: every comment once, within the budget, and little padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.batch_shapes import BatchShapes, allowed_heights

lengths = st.lists(st.integers(1, 512), max_size=120)


@given(lengths=lengths, few=st.booleans(), tokens=st.sampled_from([64, 512, 1024]))
def test_each_comment_stands_in_one_batch_that_holds_it(lengths, few, tokens):
    batches = BatchShapes(0, tokens, few).plan(lengths)
    assert sorted(int(row) for batch in batches for row in batch.rows) == list(range(len(lengths)))
    for batch in batches:
        assert batch.length >= max(lengths[row] for row in batch.rows)
        assert batch.height >= len(batch.rows)
        assert batch.height * batch.length <= tokens or batch.height == 1


@given(lengths=st.lists(st.integers(2, 64), min_size=1, max_size=200))
def test_few_shapes_are_few(lengths):
    batches = BatchShapes(few=True).plan(lengths)
    for batch in batches:
        assert batch.height in allowed_heights(1024, batch.length)
        assert batch.length in (8, 16, 24, 32, 40, 48, 64)


@pytest.mark.parametrize(("few", "most"), [(False, 1.06), (True, 1.15)])
def test_little_is_spent_on_padding(few, most):
    lengths = np.random.default_rng(0).gamma(3.0, 9.0, 1000).astype(int) + 3
    batches = BatchShapes(few=few).plan(lengths)
    assert sum(batch.height * batch.length for batch in batches) / lengths.sum() < most


def test_a_short_comment_is_not_padded_to_a_long_ones_length():
    short, long = BatchShapes().plan([8, 200, 8, 8])
    assert (sorted(short.rows), short.length) == ([0, 2, 3], 8)
    assert (list(long.rows), long.length) == ([1], 200)


def test_lengths_that_hardly_differ_are_read_together():
    assert len(BatchShapes().plan([10, 13, 15])) == 1


def test_filler_has_a_token_so_that_its_mean_is_a_number():
    shapes = BatchShapes(few=True)
    (batch,) = shapes.plan([5, 5, 5] * 40)[:1]
    tokens, mask = shapes.inputs(batch, [np.arange(1, 6)] * 120).values()
    assert tokens.shape == mask.shape == (batch.height, batch.length)
    assert (mask.sum(1) >= 1).all()
    assert mask[: len(batch.rows)].sum() == 5 * len(batch.rows)
