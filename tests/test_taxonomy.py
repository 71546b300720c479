"""The taxonomy: what a file may hold, the line of each mistake, and what each version knew."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data.errors import InputError, NotFoundError, WhyscoreError
from data.taxonomy import Migration, ReasonCode, Taxonomy, parent_of, parse_taxonomy, read_taxonomy

FULL = """\
name: telecom
version: 3
codes:
  - id: billing.unexpected-charge
    label: Unexpected charge
    definition: The bill holds a charge that the customer did not expect.
    includes: [hidden fees, price rise without notice]
    excludes: [price too high in general]
    examples: ["You billed me twice in March."]
  - {id: support}
  - id: support.wait_time.phone
migrations:
  - {version: 3, add: billing.unexpected-charge}
  - {version: 2, rename_label: support, to: Help from people}
"""


def codes(*ids, version=9, migrations=()):
    """Give a taxonomy file of some ids and some migrations, written one to a line."""
    lines = ["name: t", f"version: {version}", "codes:", *(f"  - id: {code}" for code in ids)]
    return "\n".join(lines + (["migrations:"] if migrations else []) + [f"  - {{{m}}}" for m in migrations])


def sentence(text):
    with pytest.raises(InputError) as caught:
        parse_taxonomy(text, "t.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("t.yaml, ").removeprefix("t.yaml: ")


def test_every_field_is_read(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode())
    taxonomy = read_taxonomy(path)
    assert (taxonomy.name, taxonomy.version) == ("telecom", 3)
    assert taxonomy.ids == ("billing.unexpected-charge", "support", "support.wait_time.phone")
    assert taxonomy["billing.unexpected-charge"].includes == ["hidden fees", "price rise without notice"]
    assert [migration.action for migration in taxonomy.migrations] == ["rename_label", "add"]


def test_only_the_id_is_required():
    taxonomy = parse_taxonomy("codes: [{id: support.wait_time}]")
    assert (taxonomy.name, taxonomy.version) == ("taxonomy", 1)
    assert taxonomy["support.wait_time"].name == "Wait time"


def test_half_an_emoji_is_read_as_a_replacement_character():
    taxonomy = parse_taxonomy('codes: [{id: a, label: "cut \\ud83d\\0"}]')
    assert taxonomy.label("a") == "cut \ufffd\ufffd"


def test_labels_are_readable_even_of_codes_that_are_not_there():
    taxonomy = parse_taxonomy(FULL)
    assert taxonomy.label("billing.unexpected-charge") == "Unexpected charge"
    assert taxonomy.label("billing.price-rise") == "Price rise"
    assert "billing" not in taxonomy
    assert [parent_of(code) for code in ("a.b.c", "a.b", "a")] == ["a.b", "a", None]


def test_files_that_are_not_there_or_not_text(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(NotFoundError, match="there is no such file"):
            read_taxonomy(path)
    path = tmp_path / "t.yaml"
    path.write_bytes("codes:\n  - id: a\n    label: Gebühr\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"t.yaml, row 3: the text is not UTF-8"):
        read_taxonomy(path)


# --- what is no taxonomy


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", "the file must hold 'codes', a list of codes with an 'id' each"),
        ("- id: a", "the file must hold 'codes'"),
        ("name: t", "column 'codes': codes: 'codes' is missing"),
        ("codes: []", "row 1, column 'codes': codes: list should have at least 1 item"),
        ("codes: a", "row 1, column 'codes': codes: input should be a valid list"),
        ("codes:\n  - id: a\n  - b\n", "row 3, column 'codes': codes.2: input should be"),
        ("codes:\n  - id: a\n  - label: B\n", "row 3, column 'id': codes.2.id: 'id' is missing"),
        (
            "codes:\n  - id: a\n    label: A\n  - id: b\n    label: 2024\n",
            "row 5, column 'label': codes.2.label: it is not a text; put it in quotation marks",
        ),
        ("codes:\n  - id: a\n    label: no\n", "row 3, column 'label': codes.1.label: it is not a text"),
        ("codes:\n  - id: 5\n", "row 2, column 'id': codes.1.id: it is not a text"),
        (
            "codes:\n  - id: a\n    exmaples: [x]\n",
            "row 3, column 'exmaples': codes.1.exmaples: 'exmaples' is not a field of the format",
        ),
        ("codes: [{id: a}]\nauthor: x\n", "row 2, column 'author': author: 'author' is not a field"),
        ("codes: [{id: a}]\n5: x\n", "row 2, column '5': 5: '5' is not a field of the format"),
        ("codes: [{id: a}]\nversion: 0\n", "row 2, column 'version': version: input should be greater than"),
        ("codes: [{id: a}]\nversion: '3'\n", "row 2, column 'version': version: input should be a valid int"),
        (
            "codes: [{id: a}]\nversion: true\n",
            "row 2, column 'version': version: input should be a valid int",
        ),
        (
            "codes:\n  - id: a\n    includes: [x, 5]\n",
            "row 3, column 'includes': codes.1.includes.2: it is not",
        ),
        (
            "codes:\n  - id: a.b\n  - id: c\n  - {id: a.b}\n",
            "row 4, column 'id': the id 'a.b' is used twice",
        ),
    ],
)
def test_files_of_another_shape(text, want):
    assert sentence(text).startswith(want)


@pytest.mark.parametrize("bad", ["A", "a b", "a.", ".a", "a..b", "a.b.c.d", "é", "-a", "a.-b", "a/b", "''"])
def test_ids_are_one_to_three_lower_case_names(bad):
    want = "row 5, column 'id': the id "
    assert sentence(codes("a", bad)).startswith(want)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("codes: [{id: a}\n", "row 2: the file is not YAML (expected ',' or ']'"),
        ("codes:\n\t- id: a\n", "row 2: the file is not YAML (found character '\\t'"),
        ("codes:\n  - id: a\n    id: b\n", "row 3: the file is not YAML ('id' stands twice)"),
        ("codes: [{id: a}]\nname: x\nname: y\n", "row 3: the file is not YAML ('name' stands twice)"),
        ("codes: [{id: a}]\n---\ncodes: [{id: b}]\n", "row 2: the file is not YAML (but found another doc"),
        ("codes: *a\n", "row 1: the file is not YAML (found undefined alias 'a')"),
        ("x: &x {id: a}\ncodes:\n  - <<: *x\n", "row 3: the file is not YAML ('<<' is not allowed)"),
        ("? [a]\n: b\n", "row 1: the file is not YAML (found unhashable key)"),
        ("codes:\n  - id: a\n    label: \x07\n", "row 3: the text holds a character that YAML refuses"),
        ("codes: [{id: a, label: 2024-13-45}]\n", "the file is not YAML that can be read"),
        ("codes: " + "[" * 5000, "the file is not YAML that can be read"),
        ("version: " + "9" * 5000, "the file is not YAML that can be read"),
        ("#" * (4 * 1024 * 1024 + 1), "the file is longer than 4 million characters; it is no taxonomy"),
    ],
)
def test_text_that_is_no_yaml(text, want):
    assert sentence(text).startswith(want)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:pathlib.Path.touch [{path}]",
        "!!python/object/apply:os.system ['touch {path}']",
        "!!python/object/new:os.system ['touch {path}']",
        "!!python/name:os.system ''",
        "!!python/module:os ''",
        "!!python/tuple [a]",
        "!custom {{id: a}}",
    ],
)
def test_yaml_that_would_build_an_object_is_refused_and_nothing_runs(tmp_path, tag):
    marker = tmp_path / "ran"
    said = sentence("name: t\ncodes:\n  - " + tag.format(path=marker))
    assert said.startswith("row 3: the file is not YAML (could not determine a constructor for the tag")
    assert not marker.exists()


def test_aliases_that_grow_without_bounds_are_refused_at_once():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    assert "is not a field" in sentence("\n".join([*lines, "codes: [{id: a}]"]))
    assert sentence("codes: &a [*a]\n").startswith("row 1, column 'codes'")


# --- migrations that contradict each other


NOT_THERE = "a migration names 'x', which is not among the codes"
CYCLE = "the migrations lead from 'a' round to itself (a cycle)"
STILL = "'a' went away in version 2 but is still among the codes"


@pytest.mark.parametrize(
    ("ids", "migrations", "row", "want"),
    [
        ("ab", ["version: 2, move: a, to: b", "version: 3, move: b, to: a"], 7, CYCLE),
        ("ab", ["version: 2, merge: [a, b], into: c", "version: 3, split: c, into: [a, b]"], 7, CYCLE),
        ("a", ["version: 2, add: x"], 6, NOT_THERE),
        ("a", ["version: 2, deprecate: x"], 6, NOT_THERE),
        ("a", ["version: 2, rename_label: x, to: Y"], 6, NOT_THERE),
        ("a", ["version: 2, add: a", "version: 2, move: b, to: x"], 7, NOT_THERE),
        ("ab", ["version: 2, move: a, to: b"], 7, STILL),
        ("ab", ["version: 2, merge: [a], into: b"], 7, STILL),
        ("a", ["version: 10, add: a"], 6, "a migration to version 10 stands in version 9"),
        ("a", ["version: 2"], 6, "each migration has exactly one of add, rename_label, merge, split, move, "),
        ("a", ["version: 2, add: a, deprecate: a"], 6, "each migration has exactly one of"),
        ("a", ["version: 2, merge: [], into: a"], 6, "a merge needs codes and 'into'"),
        ("a", ["version: 2, merge: [b]"], 6, "a merge needs codes and 'into'"),
        ("a", ["version: 2, split: b, into: []"], 6, "a split needs codes and 'into'"),
        ("a", ["version: 2, move: b"], 6, "a move needs codes and 'to'"),
        ("ab", ["version: 2, move: c, to: a, into: b"], 7, "a migration has 'into' or 'to', not both"),
        ("ab", ["version: 2, merge: [c], into: [a, b]"], 7, "a merge leads to one code"),
        ("ab", ["version: 2, deprecate: a, into: b"], 7, "'deprecate' leads to no other code"),
        ("ab", ["version: 2, add: a, to: b"], 7, "'add' leads to no other code"),
        ("a", ["version: 2, move: B C, to: a"], 6, "'B C' is not a code's id"),
    ],
)
def test_migrations_that_cannot_be(ids, migrations, row, want):
    said = sentence(codes(*ids, migrations=migrations))
    assert said.startswith(f"row {row}, column 'migrations': {want}")


def test_a_migration_of_another_shape_is_named_by_its_line():
    said = sentence(codes("a", migrations=["version: 2, add: a", "version: 3, ad: a"]))
    assert said == "row 7, column 'ad': migrations.2.ad: 'ad' is not a field of the format"
    said = sentence(codes("a", migrations=["version: 2, merge: a, into: a"]))
    assert said.startswith("row 6, column 'merge': migrations.1.merge: input should be a valid list")
    said = sentence(codes("a", migrations=["version: 2, move: b, to: [a]"]))
    assert said.startswith("row 6, column 'to': migrations.1.to: it is not a text")


def test_a_code_may_merge_into_itself_and_an_id_may_be_added_again():
    taxonomy = parse_taxonomy(codes("a", migrations=["version: 2, merge: [a, b], into: a"]))
    assert taxonomy.migrations[0].sources == ["a", "b"]
    again = codes("a", "b", migrations=["version: 2, move: a, to: b", "version: 3, add: a"])
    assert parse_taxonomy(again).ids == ("a", "b")


# --- what the versions knew


def test_each_version_knew_its_own_codes():
    taxonomy = parse_taxonomy(
        codes(
            "kept", "new", "c", "p.x", "p.y", "gone",
            migrations=[
                "version: 2, add: new",
                "version: 3, merge: [a, b], into: c",
                "version: 4, split: p, into: [p.x, p.y]",
                "version: 5, deprecate: gone",
                "version: 6, rename_label: kept",
            ],
        )
    )  # fmt: skip
    assert taxonomy.known_at(9) == {"kept", "new", "c", "p.x", "p.y", "gone"}
    assert {"p"} <= taxonomy.known_at(3)
    assert {"p", "a", "b"} <= taxonomy.known_at(2)
    assert not {"p", "a"} & taxonomy.known_at(4)
    assert "new" in taxonomy.known_at(2)
    assert "new" not in taxonomy.known_at(1)
    assert taxonomy.active == ("kept", "new", "c", "p.x", "p.y")


def test_a_code_that_came_back_is_active():
    taxonomy = parse_taxonomy(codes("a", migrations=["version: 2, deprecate: a", "version: 3, add: a"]))
    assert taxonomy.active == ("a",)


# --- round trip

NAME = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,5}", fullmatch=True)
IDS = st.lists(NAME, min_size=1, max_size=3).map(".".join)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
CODE = st.builds(
    ReasonCode,
    id=IDS,
    label=TEXT,
    definition=TEXT,
    includes=st.lists(TEXT, max_size=2),
    examples=st.lists(TEXT, max_size=2),
)


@settings(max_examples=60, deadline=None)
@example(
    "\x85",
    1,
    [ReasonCode(id="a", label="\u2028", definition="a\r\n b \x85 c", examples=[" x ", "\ufeff", "no"])],
)
@example("2024-01-01", 1, [ReasonCode(id="no", label="1e3"), ReasonCode(id="1e3"), ReasonCode(id="null")])
@given(TEXT, st.integers(1, 10**6), st.lists(CODE, min_size=1, max_size=4, unique_by=lambda code: code.id))
def test_a_taxonomy_reads_back_from_its_yaml(name, version, entries):
    added = tuple(Migration(version=version, add=code.id) for code in entries)
    relabelled = (Migration(version=version, rename_label=entries[0].id, to=name),)
    taxonomy = Taxonomy(name, version, tuple(entries), added + relabelled)
    assert parse_taxonomy(taxonomy.to_yaml()) == taxonomy


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(st.sampled_from(["codes:", "\n", "  - ", "id: ", "a", "b.c", "version: ", "2", "migrations:",
                                  "{", "}", "[", "]", "&x ", "*x", "<<: ", "!!python/name:os ", "? ", ": ",
                                  "add: ", "split: ", "into: ", "move: ", "merge: ", "'", "null", "\0"]),
                 max_size=30).map("".join),
    )
)  # fmt: skip
def test_any_text_is_a_taxonomy_or_one_sentence(text):
    said = ""
    try:
        assert parse_taxonomy(text).ids
    except WhyscoreError as error:
        said = str(error)
    assert "\n" not in said


def test_the_shipped_taxonomy_is_sound():
    from importlib.resources import files

    taxonomy = parse_taxonomy((files("data.sample") / "taxonomy.yaml").read_text("utf-8"))
    assert taxonomy.active == taxonomy.ids
    assert all(taxonomy[code].label and taxonomy[code].definition for code in taxonomy.ids)
