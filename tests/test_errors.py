"""The sentence of an error: its place, then what is wrong, on one line."""

import copy

import pytest

from data.errors import InputError, MissingExtraError, ModelError, NotFoundError


@pytest.mark.parametrize(
    ("place", "want"),
    [
        ({}, "it is wrong"),
        ({"file": "a  b.csv"}, "a  b.csv: it is wrong"),
        ({"file": "a.csv", "row": 3, "column": "score"}, "a.csv, row 3, column 'score': it is wrong"),
        ({"column": "What could\nwe do? "}, "column 'What could we do?': it is wrong"),
        ({"column": "x" * 100}, f"column '{'x' * 79}\u2026': it is wrong"),
    ],
)
def test_the_sentence_names_the_place(place, want):
    assert str(InputError("it is\nwrong", **place)) == want


def test_every_error_of_the_family_ends_a_command_and_a_request():
    for kind in (InputError, NotFoundError, ModelError):
        assert (kind.exit_code, 400 <= kind.status < 600) == (2, True)
    assert str(MissingExtraError("Training", "train")) == (
        "Training needs packages that are not there; run in Whyscore's folder: "
        "pip install -c constraints.txt '.[train]'"
    )


def test_an_error_can_be_rebuilt_as_process_pools_do():
    assert str(copy.copy(InputError("wrong", file="a.csv", row=3, column="score"))) == (
        "a.csv, row 3, column 'score': wrong"
    )
    error = MissingExtraError("Training", "train")
    assert str(copy.copy(error)) == str(error)
