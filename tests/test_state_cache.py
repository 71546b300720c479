"""Kept token states: the encoder's own, read once, bounded, and never trusted."""

import os
import shutil

import numpy as np
import pytest
import torch

from model.encoder import load_backbone, load_tokenizer
from model.state_cache import StateCache, encoder_digest
from model.tokens import tokenize

COMMENTS = ["my fee was awful", "again", "the queue. it was so so bad", "my fee was awful", "", "Again"]


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return load_backbone(tiny_encoder, pretrained=True).eval(), load_tokenizer(tiny_encoder, 64)


@pytest.fixture
def read(encoder, tmp_path):
    """Give a function that asks for states and gives them, with the number of comments that were read."""
    backbone, tokenizer = encoder

    def states(comments=COMMENTS, most=10**9, digest="a" * 64):
        told = [0]
        cache = StateCache(tmp_path / "states", most)
        tokens = tokenize(tokenizer, comments)
        found = cache.states(backbone, digest, comments, tokens, 0, lambda done, _: told.append(done))
        return found, told[-1]

    return states


def kept(tmp_path):
    return sorted(path for path in (tmp_path / "states").rglob("*") if path.is_file())


def expected(encoder, comment):
    backbone, tokenizer = encoder
    ids = torch.tensor([tokenizer.encode(comment).ids])
    with torch.no_grad():
        return backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].numpy()


def test_states_are_the_encoders_in_half_precision(read, encoder):
    found, number = read()
    assert number == 5  # one stands twice
    assert len(found) == len(COMMENTS)
    for place, comment in zip(found.places, COMMENTS, strict=True):
        assert place.dtype == np.float16
        np.testing.assert_allclose(place, expected(encoder, comment), atol=5e-3)
    states, mask = found.batch([2, 1])
    assert states.dtype == torch.float32
    assert mask.sum(1).tolist() == found.lengths[[2, 1]].tolist()
    assert not states[1, int(mask[1].sum()) :].any()
    assert np.array_equal(states[0].numpy(), found.places[2].astype(np.float32))


def test_what_was_read_once_is_not_read_again(read):
    first, _ = read()
    second, number = read([*COMMENTS, "a new one"])
    assert number == 1
    assert all(np.array_equal(a, b) for a, b in zip(first.places, second.places, strict=False))
    assert read([*COMMENTS, "a new one"])[1] == 0


def test_another_encoder_reads_for_itself(read, encoder):
    backbone, tokenizer = encoder
    read()
    assert read(digest="b" * 64)[1] == 5
    own = encoder_digest(backbone, tokenizer, "")
    assert own == encoder_digest(backbone, tokenizer, "")
    assert own != encoder_digest(backbone, tokenizer, "query: ")
    with torch.no_grad():
        weight = next(backbone.parameters())
        weight[0, 0] += 1
        assert own != encoder_digest(backbone, tokenizer, "")
        weight[0, 0] -= 1


def test_it_may_be_deleted_at_any_time(read, tmp_path):
    first, _ = read()
    shutil.rmtree(tmp_path / "states")
    second, number = read()
    assert number == 5
    assert all(np.array_equal(a, b) for a, b in zip(first.places, second.places, strict=True))


def test_a_broken_part_is_made_anew(read, tmp_path):
    for ending, junk in ((".index.npy", b"junk"), (".states.npy", b""), (".states.npy", None)):
        read()
        (path,) = (path for path in kept(tmp_path) if path.name.endswith(ending))
        if junk is None:
            np.save(path, np.zeros((3, 32), np.float16))  # too short
        else:
            path.write_bytes(junk)
        found, number = read()
        assert number == 5
        assert len(found.places[2]) > 3
        assert len(kept(tmp_path)) == 2


def test_pickled_files_are_not_opened(read, tmp_path):
    read()
    (path,) = (path for path in kept(tmp_path) if path.name.endswith(".index.npy"))
    np.save(path, np.array([object()]), allow_pickle=True)
    assert read()[1] == 5


def test_it_stays_within_its_size_and_what_is_oldest_goes(read, tmp_path):
    """Parts of other encoders count too; what is in use stays."""
    for age, digest in ((300, "a"), (200, "b"), (100, "c")):
        read(digest=digest * 64)
        for path in (tmp_path / "states" / (digest * 32)).iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    one = sum(path.stat().st_size for path in kept(tmp_path)) // 3
    read(digest="a" * 64, most=3 * one)  # used again: now the youngest
    read(digest="d" * 64, most=3 * one + one // 2)
    assert {path.parent.name[0] for path in kept(tmp_path)} == {"a", "c", "d"}
    assert sum(path.stat().st_size for path in kept(tmp_path)) <= 3 * one + one // 2


@pytest.mark.parametrize("most", [0, 500])
def test_what_has_no_room_is_read_all_the_same_and_not_kept(read, encoder, tmp_path, most):
    found, number = read(most=most)
    assert number == 5
    assert not kept(tmp_path)
    np.testing.assert_allclose(found.places[0], expected(encoder, COMMENTS[0]), atol=5e-3)
    assert read(most=most)[1] == 5


def test_what_a_killed_run_left_is_swept_after_a_day(read, tmp_path):
    read()
    folder = kept(tmp_path)[0].parent
    young, old = folder / "1f.part", folder / "2f.states.npy"
    for path in (young, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    read(["another"])
    assert young.exists()
    assert not old.exists()


def test_an_interrupted_reading_leaves_nothing_half_written(encoder, tmp_path):
    backbone, tokenizer = encoder
    cache = StateCache(tmp_path / "states", 10**9)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.states(backbone, "a" * 64, COMMENTS, tokenize(tokenizer, COMMENTS), 0, stop)
    assert not kept(tmp_path)
