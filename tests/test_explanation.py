"""Explanations: words that sum to the score, and the command that shows them."""

import json
from dataclasses import replace

import pytest

from model.explanation import explain
from serving.tagging import load_tagger

COMMENT = "so the overcharged. then it was"


@pytest.fixture(scope="module")
def reader(trained_home):
    return load_tagger(None, trained_home).reader


def test_the_tags_come_first_and_are_those_of_tagging(reader):
    found = explain(reader, COMMENT, near=1)
    (tag,) = reader.tag([COMMENT])[0]
    first, second = found.pairs
    assert (first.code, first.polarity, first.probability) == (tag.code, tag.polarity, tag.probability)
    assert (first.evidence, first.tagged, first.definition) == (tag.evidence, True, "A charge")
    assert first.probability >= first.threshold
    assert not second.tagged
    assert second.probability < second.threshold


def test_words_and_rest_sum_to_the_score(reader):
    for pair in explain(reader, COMMENT).pairs:
        assert [word.text for word in pair.words] == ["so", "the", "overcharged", ".", "then", "it", "was"]
        assert all(COMMENT[word.start : word.end] == word.text for word in pair.words)
        assert pair.rest + sum(word.weight for word in pair.words) == pytest.approx(pair.score, abs=1e-3)
    first = explain(reader, COMMENT).pairs[0]
    assert first.words[2].weight > 0 > first.rest


def test_an_abstention_leaves_no_pair_tagged(reader):
    found = explain(reader, "überrascht vom Ärger gewesen zuletzt sehr")
    assert found.abstained
    assert found.surprise > found.most_surprise
    assert not any(pair.tagged for pair in found.pairs)
    assert explain(replace(reader, novelty=None), COMMENT).surprise is None


def test_the_command_shows_it(whyscore, trained_home):
    code, out, err = whyscore("explain", COMMENT, home=trained_home.home)
    assert (code, err) == (0, "")
    for shown in ("tagged", "billing.charge negative", "A charge", "overcharged", "= score"):
        assert shown in out
    code, out, err = whyscore("explain", "überrascht vom Ärger gewesen zuletzt sehr")
    assert code == 0
    assert "left without a tag" in err


def test_the_command_gives_json(whyscore, trained_home):
    run = ("explain", COMMENT, "--operating-point", "high_recall", "--json")
    code, out, err = whyscore(*run, home=trained_home.home)
    found = json.loads(out)
    assert (code, err, found["model"]) == (0, "", "reason-codes/1@high_recall")
    assert (found["comment"], found["abstained"]) == (COMMENT, False)
    assert found["pairs"][0]["words"][2]["text"] == "overcharged"


@pytest.mark.parametrize(
    ("comment", "sentence"),
    [("  ", "there is no comment to explain"), ("x" * 99_999, "99999 characters"), ("\ud800", "surrogate")],
)
def test_what_cannot_be_read_is_one_sentence(whyscore, trained_home, comment, sentence):
    code, out, err = whyscore("explain", comment, home=trained_home.home)
    assert (code, out) == (2, "")
    assert sentence in err
