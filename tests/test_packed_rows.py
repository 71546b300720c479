"""Rows of several comments: each stands in one place, nothing is lost, and little is padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.batch_shapes import BatchShapes
from model.packed_rows import PackedRows

OPENVINO = {"tokens": 384, "few": True}
lengths = st.lists(st.integers(1, 700), max_size=120)


def ids_of(lengths):
    """Give ids by which each token of each comment can be told."""
    return [1000 * place + np.arange(1, length + 1) for place, length in enumerate(lengths)]


@given(lengths=lengths, few=st.booleans(), tokens=st.sampled_from([64, 512, 1024]))
def test_each_comment_is_found_whole_where_the_head_looks_for_it(lengths, few, tokens):
    layout, ids = PackedRows(0, tokens, few), ids_of(lengths)
    spoken = []
    for batch in layout.plan(lengths):
        inputs = layout.inputs(batch, ids)
        assert inputs["input_ids"].shape == (batch.height, batch.length)
        assert inputs["places"].shape == (batch.spoken, batch.longest)
        assert inputs["input_ids"].size <= tokens or batch.height == 1
        flat = {name: one.ravel() for name, one in inputs.items()}
        for place, row in enumerate(batch.rows):
            where = inputs["places"][place]
            where = where[where >= 0]
            assert flat["input_ids"][where].tolist() == ids[row].tolist()
            assert flat["position_ids"][where].tolist() == list(range(lengths[row]))
            assert set(flat["segments"][where]) == {place + 1}
            assert (flat["segments"] == place + 1).sum() == lengths[row]
            assert where[0] // batch.length == where[-1] // batch.length  # it is not broken at a row's end
            spoken.append(int(row))
    assert sorted(spoken) == list(range(len(lengths)))


def test_filler_is_the_padding_token_of_no_comment_and_has_a_mean():
    layout = PackedRows(7, **OPENVINO)
    lengths = [40] * 9
    (batch,) = layout.plan(lengths)
    inputs = layout.inputs(batch, ids_of(lengths))
    assert (inputs["input_ids"][inputs["segments"] == 0] == 7).all()
    assert batch.spoken > len(batch.rows)
    assert ((inputs["places"] >= 0).sum(1)[len(batch.rows) :] == 1).all()


@given(lengths=st.lists(st.integers(2, 64), min_size=1, max_size=200))
def test_few_shapes_are_few(lengths):
    for batch in PackedRows(0, **OPENVINO).plan(lengths):
        assert batch.length in (16, 32, 48, 64, 96, 128)
        assert batch.height <= 384 // batch.length
        assert batch.spoken in (1, 2, 4, 8, 16, 32, 64) or batch.spoken % 64 == 0
        assert batch.longest in (16, 32, 64)


@given(longest=st.integers(100, 512), n=st.integers(1, 400), few=st.booleans())
def test_a_long_comment_among_many_short_ones_does_not_blow_up_what_the_head_reads(longest, n, few):
    for batch in PackedRows(0, 1024, few).plan([longest] + [4] * n):
        assert batch.spoken * batch.longest <= 4096


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("length", [70, 150, 180, 300])
def test_long_comments_of_one_length_are_read_as_tightly_as_one_in_a_row(length, few):
    packed = PackedRows(0, 384, few).plan([length] * 200)
    padded = BatchShapes(0, 384, few).plan([length] * 200)
    assert sum(one.height * one.length for one in packed) <= sum(one.height * one.length for one in padded)
    assert len(packed) <= len(padded)


@pytest.mark.parametrize(("n", "most"), [(1000, 1.04), (32, 1.2), (1, 1.35)])
def test_little_is_spent_on_padding(n, most):
    rng = np.random.default_rng(0)
    spent = used = 0
    for _ in range(20):
        lengths = rng.gamma(1.2, 28.0, n).astype(int).clip(max=250) + 3
        spent += sum(batch.height * batch.length for batch in PackedRows(0, **OPENVINO).plan(lengths))
        used += lengths.sum()
    assert spent / used < most


def test_a_lone_comment_is_padded_to_its_own_length_and_not_to_a_rows():
    (batch,) = PackedRows(0, **OPENVINO).plan([21])
    assert (batch.height, batch.length, batch.spoken) == (1, 32, 1)


def test_short_comments_stand_behind_a_long_one():
    (batch,) = PackedRows(0, **OPENVINO).plan([30, 97])
    assert (batch.rows.tolist(), batch.starts.tolist(), batch.length) == ([1, 0], [0, 97], 128)
