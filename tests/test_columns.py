"""Columns: which one holds which field, and what is said where none or several do."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.cells import tidy_name
from data.columns import FIELDS, match_columns
from data.errors import InputError


def test_columns_are_found_in_other_spellings():
    assert match_columns(["Response ID", "SCORE", "Comment:", "region"], {}, "f") == {
        "response_id": "Response ID",
        "score": "SCORE",
        "comment": "Comment:",
    }
    assert match_columns(["SCORE", "score"], {}, "f") == {"score": "score"}


def test_a_mapped_column_is_found_whatever_its_blanks():
    header = ["What could\nwe do better? ", "Comment"]
    wanted = {"comment": "What could we  do better?"}
    assert match_columns(header, wanted, "f") == {"comment": "What could\nwe do better? "}


def test_a_column_holds_one_field_alone():
    assert match_columns(["score", "comment"], {"comment": "score"}, "f") == {"comment": "score"}


@pytest.mark.parametrize(
    ("header", "wanted", "want"),
    [
        (["scor"], {"score": "Scroe"}, "row 1, column 'Scroe': there is no such column (did you mean 'scor'"),
        (["a"], {"coment": "a"}, "--map knows no field 'coment' (did you mean 'comment'?); the fields are"),
        (["a"], {"score": "a", "comment": "a"}, "column 'a': --map uses the column for two fields"),
        (["Score", "SCORE"], {}, "row 1, column 'score': the columns 'Score' and 'SCORE' could both be it; "),
        (["Comments"], {}, "row 1, column 'comment': there is no column 'comment' (did you mean 'Comments'"),
    ],
)  # fmt: skip
def test_columns_that_are_not_found(header, wanted, want):
    with pytest.raises(InputError) as caught:
        match_columns(header, wanted, "f", ["comment"])
    assert str(caught.value).removeprefix("f, ").startswith(want)


@given(
    st.lists(st.text(max_size=12), max_size=8),
    st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=12), max_size=3),
)
@example(["Score", "score "], {})
def test_any_header_gives_distinct_columns_or_a_sentence(header, wanted):
    try:
        found = match_columns(header, wanted, "f")
    except InputError:
        return
    assert set(found) <= set(FIELDS)
    assert set(found.values()) <= set(header)
    assert len(set(found.values())) == len(found)
    assert all(tidy_name(found[name]) == tidy_name(column) for name, column in wanted.items())
