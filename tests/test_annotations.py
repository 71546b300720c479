"""Annotations: what people may say of a comment, and how it reads in the terms of a later taxonomy."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.annotations import (
    POLARITIES,
    Annotation,
    CodeLabel,
    Target,
    ever_known,
    read_annotations,
    to_target,
    write_annotations,
)
from data.cells import is_blank
from data.errors import InputError, NotFoundError, WhyscoreError
from data.taxonomy import Migration, ReasonCode, Taxonomy

PLAIN = Taxonomy("t", 3, tuple(ReasonCode(id=code) for code in ("billing.charge", "support.attitude", "p")))
COMMENT = "Billed twice, but the agent was lovely. 🙂"


def taxonomy(ids, *migrations, version=9):
    made = tuple(Migration(version=number, **change) for number, change in migrations)
    return Taxonomy("t", version, tuple(ReasonCode(id=code) for code in ids.split()), made)


@pytest.fixture
def write(tmp_path):
    def write_lines(*records, name="a.jsonl"):
        path = tmp_path / name
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write_lines


def sentence(path, of=PLAIN):
    with pytest.raises(InputError) as caught:
        list(read_annotations(path, of))
    said = str(caught.value)
    assert "\n" not in said
    assert "lovely" not in said
    return said.removeprefix(f"{path}, ").removeprefix(f"{path}: ")


# --- reading


def test_every_field_is_read(write):
    path = write(
        {
            "response_id": "r1",
            "comment": COMMENT,
            "taxonomy_version": 2,
            "annotator": "ana",
            "score": 3,
            "codes": [
                {"code": "billing.charge", "evidence": "Billed twice"},
                {"code": "support.attitude", "polarity": "positive"},
                "p",
            ],
        }
    )
    assert list(read_annotations(path, PLAIN)) == [
        Annotation(
            "r1",
            COMMENT,
            (
                CodeLabel("billing.charge", "negative", "Billed twice"),
                CodeLabel("support.attitude", "positive"),
                CodeLabel("p"),
            ),
            2,
            "ana",
        )
    ]


def test_no_code_is_a_review_too_and_the_version_is_the_present_one(write):
    (row,) = read_annotations(write({"comment": COMMENT, "codes": []}), PLAIN)
    assert (row.labels, row.taxonomy_version, row.annotator) == ((), 3, None)


def test_ids_are_kept_even_0_and_stable_where_there_is_none(write):
    path = write(
        {"response_id": 0, "comment": "x", "codes": []},
        {"comment": "y", "codes": []},
        {"response_id": " ", "comment": "y", "codes": ["p"]},
        {"comment": "x", "codes": []},
    )
    zero, first, second, other = (row.response_id for row in read_annotations(path, PLAIN))
    assert zero == "0"
    assert first == second == "comment-a1fce4363854ff888cff"  # SHA-256 of "y"
    assert other != first


def test_annotations_are_json_lines_that_are_there(write, tmp_path):
    with pytest.raises(NotFoundError, match="there is no such file"):
        list(read_annotations(tmp_path / "none.jsonl", PLAIN))
    assert sentence(write("comment", name="a.csv")).startswith("annotations are JSON lines")


def good(**change):
    return {"response_id": "r", "comment": COMMENT, "taxonomy_version": 3, "codes": []} | change


@pytest.mark.parametrize(
    ("record", "want"),
    [
        (good(comment=" \u200b"), "'comment': an annotation needs the text of its comment"),
        (good(comment=5), "'comment': an annotation needs the text of its comment"),
        (good(comment=None), "'comment': an annotation needs the text of its comment"),
        (good(taxonomy_version=4), "'taxonomy_version': version 4 is newer than the taxonomy's own, 3"),
        (good(taxonomy_version=0), "'taxonomy_version': the version is not a whole number from 1"),
        (good(taxonomy_version="3"), "'taxonomy_version': the version is not a whole number from 1"),
        (good(taxonomy_version=True), "'taxonomy_version': the version is not a whole number from 1"),
        (good(codes=None), "'codes': 'codes' is not a list; an empty list says that none applies"),
        (good(codes={"code": "p"}), "'codes': 'codes' is not a list"),
        (good(codes=[5]), "'codes': each entry is an object like"),
        (good(codes=[{"polarity": "negative"}]), "'codes': each entry is an object like"),
        (good(codes=[{"code": ["p"]}]), "'codes': each entry is an object like"),
        (
            good(codes=["p", "billing.chrage"]),
            "'codes': the taxonomy has no code 'billing.chrage' (did you mean 'billing.charge'?)",
        ),
        (
            good(codes=[{"code": "p", "polarity": "bad"}]),
            "'codes': the polarity of 'p' is not one of negative,",
        ),
        (good(codes=[{"code": "p", "polarity": None}]), "'codes': the polarity of 'p' is not one of"),
        (good(codes=[{"code": "p", "polarity": []}]), "'codes': the polarity of 'p' is not one of"),
        (
            good(codes=[{"code": "p", "polarty": "positive"}]),
            "'codes': 'polarty' of 'p' is not one of code, polarity, evidence",
        ),
        (
            good(codes=[{"code": "p", "evidence": "was rude"}]),
            "'codes': the evidence of 'p' is not a part of",
        ),
        (good(codes=[{"code": "p", "evidence": "BILLED"}]), "'codes': the evidence of 'p' is not a part of"),
        (good(codes=[{"code": "p", "evidence": ""}]), "'codes': the evidence of 'p' is not a part of"),
        (good(codes=[{"code": "p", "evidence": 5}]), "'codes': the evidence of 'p' is not a part of"),
    ],
)
def test_what_an_annotation_cannot_say(write, record, want):
    assert sentence(write(good(), record)).startswith(f"row 2, column {want}")


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ('{"comment": "lovely"', "row 2: the line is not JSON ("),
        (
            '{"comment": "lovely", "codes": [], "codes": ["p"]}',
            "row 2: the line is not JSON (the key 'codes'",
        ),
        ('["lovely"]', "row 2: the line is not a JSON object"),
        (
            '{"comment": "lovely", "codes": [{"code": "p", "code": "q"}]}',
            "row 2: the line is not JSON (the key",
        ),
    ],
)
def test_lines_that_cannot_be_read(write, line, want):
    assert sentence(write(good(), line)).startswith(want)


def test_a_code_must_have_been_there_in_the_annotations_version(write):
    changed = taxonomy("b c new", (3, {"add": "new"}), (5, {"move": "a", "to": "b"}))
    assert ever_known(changed) == {"a", "b", "c", "new"}

    def label(code, version):
        return write(good(codes=[code], taxonomy_version=version))

    assert len(list(read_annotations(label("a", 4), changed))) == 1
    assert sentence(label("a", 5), changed).endswith("the taxonomy had no code 'a' in version 5")
    assert len(list(read_annotations(label("new", 3), changed))) == 1
    assert sentence(label("new", 2), changed).endswith("the taxonomy had no code 'new' in version 2")


def test_annotations_are_read_lazily(write):
    rows = read_annotations(write(good(), "broken"), PLAIN)
    assert next(rows).response_id == "r"
    with pytest.raises(InputError):
        next(rows)


# --- round trip

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
IDS = st.text("abcxyz-0189_é", min_size=1, max_size=10)


@st.composite
def annotations(draw):
    comment = draw(TEXT.filter(lambda text: not is_blank(text)))
    start = draw(st.integers(0, len(comment) - 1))
    evidence = st.none() | st.integers(start + 1, len(comment)).map(lambda end: comment[start:end])
    label = st.builds(CodeLabel, st.sampled_from(PLAIN.ids), st.sampled_from(POLARITIES), evidence)
    labels = tuple(draw(st.lists(label, max_size=3)))
    return Annotation(draw(IDS), comment, labels, draw(st.integers(1, 3)), draw(st.none() | IDS))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(annotations(), max_size=4), st.sampled_from(["a.jsonl", "a.ndjson.gz"]))
def test_annotations_read_back(tmp_path, rows, name):
    write_annotations(rows, tmp_path / name)
    assert list(read_annotations(tmp_path / name, PLAIN)) == rows


def test_gzip_is_written_where_the_name_says_so_and_half_an_emoji_is_replaced(tmp_path):
    row = Annotation("r", "cut \ud83d", (CodeLabel("p", "negative", "\ud83d"),), 3, "ana\udc00")
    write_annotations([row], tmp_path / "a.jsonl.gz")
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).endswith(b"\n")
    (read,) = read_annotations(tmp_path / "a.jsonl.gz", PLAIN)
    assert read == Annotation("r", "cut \ufffd", (CodeLabel("p", "negative", "\ufffd"),), 3, "ana\ufffd")


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="the file cannot be written"):
        write_annotations([], tmp_path / "none" / "a.jsonl")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["p", COMMENT, "negative"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["code", "polarity", "evidence", "codes", "comment"]), inner)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_an_annotation_or_one_sentence(tmp_path, value):
    path = tmp_path / "a.jsonl"
    record = value if isinstance(value, dict) else good(codes=value)
    path.write_text(json.dumps(record) + "\n")
    said = ""
    try:
        for row in read_annotations(path, PLAIN):
            assert to_target(row, PLAIN).unknown == frozenset()
    except WhyscoreError as error:
        said = str(error)
    assert "\n" not in said


# --- in the terms of a later taxonomy


def target(of, version, *labels):
    """Carry an annotation of some labels, such as ``a`` or ``+a`` (positive), forward."""
    made = tuple(
        CodeLabel(label.lstrip("+"), "positive" if label[0] == "+" else "negative") for label in labels
    )
    found = to_target(Annotation("r", "x", made, version), of)
    shown = {("+" if polarity == "positive" else "") + code for code, polarity in found.labels}
    return shown, set(found.unknown)


def test_an_annotation_of_the_present_version_stays_as_it_is():
    assert target(PLAIN, 3, "p", "+p") == ({"p", "+p"}, set())


def test_a_code_added_later_is_unknown_not_absent():
    of = taxonomy("a new", (3, {"add": "new"}))
    assert target(of, 2, "a") == ({"a"}, {"new"})
    assert target(of, 3, "a") == ({"a"}, set())


def test_merged_and_moved_codes_become_their_successors():
    of = taxonomy("c m", (2, {"merge": ["a", "b"], "into": "c"}), (3, {"move": "c0", "to": "m"}))
    assert target(of, 1, "a", "+b", "c0") == ({"c", "+c", "m"}, set())
    assert target(of, 1) == (set(), set())
    assert target(of, 2, "c0") == ({"m"}, set())


def test_a_merge_of_an_unknown_code_is_unknown_unless_another_of_its_codes_applied():
    of = taxonomy("c", (2, {"add": "b"}), (3, {"merge": ["a", "b"], "into": "c"}))
    assert target(of, 1) == (set(), {"c"})
    assert target(of, 1, "a") == ({"c"}, set())
    assert target(of, 2) == (set(), set())


def test_which_part_of_a_split_applied_is_unknown_and_where_none_did_none_does():
    of = taxonomy("a x y", (2, {"split": "p", "into": ["x", "y"]}))
    assert target(of, 1, "p", "a") == ({"a"}, {"x", "y"})
    assert target(of, 1, "a") == ({"a"}, set())


def test_the_parts_of_a_split_of_an_unknown_code_are_unknown():
    of = taxonomy("x y", (2, {"add": "p"}), (3, {"split": "p", "into": ["x", "y"]}))
    assert target(of, 1) == (set(), {"x", "y"})
    assert target(of, 2) == (set(), set())


def test_a_deprecated_id_that_another_code_takes_over_means_that_code_alone():
    of = taxonomy("a", (2, {"deprecate": "a"}), (3, {"move": "b", "to": "a"}))
    assert target(of, 1, "a") == (set(), set())
    assert target(of, 1, "+b") == ({"+a"}, set())
    of = taxonomy("x", (2, {"add": "x"}), (3, {"deprecate": "x"}), (4, {"move": "b", "to": "x"}))
    assert target(of, 1) == (set(), set())


def test_a_split_that_keeps_its_own_id():
    of = taxonomy("p x", (2, {"split": "p", "into": ["p", "x"]}))
    assert target(of, 1, "p") == (set(), {"p", "x"})
    assert target(of, 1) == (set(), set())


def test_deprecated_codes_are_dropped():
    of = taxonomy("a old", (2, {"deprecate": "old"}), (3, {"add": "n"}))
    assert target(of, 1, "a", "old")[0] == {"a"}
    assert target(of, 2, "old")[0] == set()


def test_a_label_of_an_id_that_means_something_else_now_is_unknown():
    of = taxonomy("a b", (2, {"move": "a", "to": "b"}), (3, {"add": "a"}))
    assert target(of, 1, "a") == ({"b"}, {"a"})
    of = taxonomy("a", (2, {"deprecate": "a"}), (3, {"add": "a"}))
    assert target(of, 1, "a") == (set(), {"a"})


def test_renaming_a_label_changes_nothing():
    of = taxonomy("a", (2, {"rename_label": "a", "to": "Other"}))
    assert target(of, 1, "+a") == ({"+a"}, set())


def test_every_kind_of_migration_in_sequence():
    of = taxonomy(
        "cost.fees cost.level help.wait help.people new",
        (2, {"add": "wait"}),
        (3, {"merge": ["rude", "staff"], "into": "people"}),
        (4, {"move": "people", "to": "help.people"}),
        (5, {"move": "wait", "to": "help.wait"}),
        (6, {"split": "price", "into": ["cost.fees", "cost.level"]}),
        (7, {"add": "new"}),
        (8, {"add": "odd"}),
        (9, {"deprecate": "odd"}),
    )
    assert target(of, 1, "rude", "+staff", "price") == (
        {"help.people", "+help.people"},
        {"help.wait", "cost.fees", "cost.level", "new"},
    )
    assert target(of, 2, "wait") == ({"help.wait"}, {"new"})
    assert target(of, 5, "price", "help.wait") == ({"help.wait"}, {"cost.fees", "cost.level", "new"})
    assert target(of, 7, "cost.fees", "+new") == ({"cost.fees", "+new"}, set())
    assert target(of, 8, "odd") == (set(), set())


MIGRATED = taxonomy(
    "n c x y m old",
    (2, {"add": "n"}),
    (3, {"merge": ["a", "b"], "into": "c"}),
    (4, {"split": "p", "into": ["x", "y"]}),
    (5, {"move": "l", "to": "m"}),
    (6, {"deprecate": "old"}),
)


@given(st.integers(1, 9), st.data())
def test_a_target_speaks_of_active_codes_and_never_twice_of_one(version, data):
    known = sorted(MIGRATED.known_at(version))
    label = st.builds(CodeLabel, st.sampled_from(known), st.sampled_from(POLARITIES))
    labels = tuple(data.draw(st.lists(label, max_size=5)))
    found = to_target(Annotation("r", "x", labels, version), MIGRATED)
    applied = {code for code, _ in found.labels}
    assert isinstance(found, Target)
    assert applied | found.unknown <= set(MIGRATED.active)
    assert not applied & found.unknown
    assert version < 6 or not found.unknown
