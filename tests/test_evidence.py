"""Evidence is a part of the comment, cut at clauses, with offsets in code points."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.evidence import clauses, find_evidence


def spread(comment, focus):
    """Give one token a word, with attention on the words of `focus`."""
    offsets, weights, at = [(0, 0)], [0.0], 0
    for word in comment.split(" "):
        offsets.append((at, at + len(word)))
        weights.append(1.0 if word.strip(".,!") in focus else 0.01)
        at += len(word) + 1
    return offsets, np.array(weights)


def test_the_attended_clause_is_the_evidence():
    comment = "Billed twice, but the agent was lovely."
    for focus, expected in (({"Billed", "twice"}, "Billed twice"), ({"lovely"}, "the agent was lovely")):
        (found,) = find_evidence(comment, *spread(comment, focus))
        assert found.text == expected
        assert comment[found.start : found.end] == expected


def test_a_token_that_begins_with_the_blank_before_its_word_belongs_to_the_word():
    comment = "Price fine - awful"  # as tokenizers of ModernBERT's kind cut it
    (found,) = find_evidence(comment, [(0, 5), (5, 10), (10, 12), (12, 18)], np.array([0.1, 0.1, 0.0, 2.0]))
    assert found.text == "awful"


def test_offsets_count_code_points():
    comment = "😡😡 ruined. Überhaupt niemand da!"
    (found,) = find_evidence(comment, *spread(comment, {"niemand"}))
    assert found.text == "Überhaupt niemand da"
    assert comment[found.start : found.end] == found.text


def test_neighbours_attended_alike_are_joined():
    comment = "Hold for an hour, then cut off. Nice shop."
    (found,) = find_evidence(comment, *spread(comment, {"Hold", "hour", "cut", "off"}))
    assert found.text == "Hold for an hour, then cut off"


@given(st.text(max_size=80), st.lists(st.floats(0, 1), min_size=1, max_size=100))
def test_any_text_gives_a_part_of_itself_or_nothing(comment, weights):
    offsets = [(i, i + 1) for i in range(len(comment))]
    found = find_evidence(comment, offsets, np.resize(np.array(weights), len(comment)))
    assert bool(found) == bool(clauses(comment))
    for evidence in found:
        assert comment[evidence.start : evidence.end] == evidence.text
        assert evidence.text.strip()
