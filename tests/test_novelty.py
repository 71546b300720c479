"""Novelty: comments in words unlike those of the training, and what a model says of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ModelError
from model.abstention import abstains
from model.novelty import NOVELTY, fit_novelty, read_novelty
from model.tokens import TokenizedComment

PIECES = 300


def comment(*ids):
    """Give a comment of these pieces between two special tokens."""
    offsets = ((0, 0), *((i, i + 1) for i in range(len(ids))), (0, 0))
    return TokenizedComment(np.array([1, *ids, 2]), offsets)


def ordinary(n, seed=0):
    """Give comments of 3 to 30 pieces, common ones far more often than rare ones; ids from 10 to 259."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 251)
    sizes = random.integers(3, 31, n)
    return [comment(*(10 + random.choice(250, size, p=shares / shares.sum()))) for size in sizes]


@pytest.fixture(scope="module")
def novelty():
    return fit_novelty(ordinary(1500), PIECES)


def test_ordinary_comments_pass_and_strange_ones_do_not(novelty):
    assert novelty.unlike(ordinary(3000, seed=1)).mean() < 0.01
    random = np.random.default_rng(2)
    strange = [comment(*random.integers(260, PIECES, 8)) for _ in range(50)]
    assert novelty.unlike(strange).all()


def test_a_single_odd_word_says_little(novelty):
    assert not novelty.unlike([comment(10, 11, 12, 10, 11, 13, 299)]).any()
    assert not novelty.unlike([comment(), comment(10)]).any()


def test_surprise_is_the_mean_of_the_pieces_with_five_usual_ones():
    seen = [comment(10, 10, 10, 11)] * 200
    found = fit_novelty(seen, PIECES)
    new = 1 / 800  # nothing stood there once; Good's estimate is kept above 0
    common, rare, unseen = (-math.log(x) for x in (0.75 * (1 - new), 0.25 * (1 - new), new / (PIECES - 2)))
    usual = 0.75 * common + 0.25 * rare
    surprise = found.surprise([comment(11), comment(12, 12)])
    np.testing.assert_allclose(surprise, [(rare + 5 * usual) / 6, (2 * unseen + 5 * usual) / 7])


def test_each_training_comment_is_seen_as_if_it_were_not_among_them():
    # Every comment has a piece of its own: counted among the rest it would be no surprise.
    seen = [comment(10, 11, 20 + i) for i in range(250)]
    found = fit_novelty(seen, 30_000)
    assert found.threshold > found.surprise(seen).max()
    assert not found.unlike([comment(10, 11, 299)]).any()


def test_few_comments_tell_nothing():
    assert fit_novelty(ordinary(199), PIECES) is None
    assert fit_novelty([comment()] * 300, PIECES) is None


def test_what_is_written_reads_back(novelty, tmp_path):
    assert read_novelty(tmp_path) is None
    novelty.write(tmp_path)
    found = read_novelty(tmp_path)
    comments = ordinary(100, seed=3)
    np.testing.assert_array_equal(found.surprise(comments), novelty.surprise(comments))
    assert found.threshold == novelty.threshold


def test_a_broken_file_is_one_sentence(novelty, tmp_path):
    (tmp_path / NOVELTY).write_bytes(b"half")
    with pytest.raises(ModelError, match="cannot be read"):
        read_novelty(tmp_path)
    novelty.write(tmp_path)
    from safetensors.numpy import save_file

    about = {"vocabulary": "5", "threshold": "1.0"}
    save_file({"ids": np.array([9]), "counts": np.array([1])}, str(tmp_path / NOVELTY), metadata=about)
    with pytest.raises(ModelError, match="fit together"):
        read_novelty(tmp_path)


@pytest.mark.parametrize("text", ["...", "10/10", "n/a", "-", "5", ":)", "?!", "A", "1 2 3", " "])
def test_nothing_is_said_of_a_comment_without_a_word(text):
    assert abstains([text], [comment(10)], None).all()


@pytest.mark.parametrize("text", ["ok", "No", "👍", "好", "ठीक है", "ดีมาก", "да", "été", "a1 bc"])
def test_a_word_or_a_picture_in_any_script_can_be_read(text):
    assert not abstains([text], [comment(10)], None).any()


@given(st.lists(st.text(), max_size=5))
def test_any_texts_get_an_answer_each(texts):
    assert abstains(texts, [comment(10)] * len(texts), None).shape == (len(texts),)


def test_a_trained_model_abstains_and_an_old_one_does_not(trained_home):
    from dataclasses import replace

    from data.responses import Response
    from serving.tagging import load_tagger

    tagger = load_tagger(None, trained_home)
    texts = ["so the overcharged. then it was", "überrascht vom Ärger gewesen zuletzt sehr", "...", ""]
    rows = tagger.tag([Response(f"r{i}", comment=text) for i, text in enumerate(texts)])
    assert [row.status for row in rows] == ["tagged", "uncoded", "uncoded", "no_comment"]
    assert [row.abstained for row in rows] == [False, True, True, False]
    old = replace(tagger.reader, novelty=None)
    assert [verdict.abstained for verdict in old.verdicts(texts[:2])] == [False, False]
    assert old.tag(texts[:1])[0] == rows[0].tags
