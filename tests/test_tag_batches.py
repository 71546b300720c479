"""Columns of a tags file: what they hold, and the same sentence for a bad row as reading rows gives."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.cells import BLANKS, parse_text
from data.code_sets import CodeSets, words_of
from data.scale import NPS
from data.tag_batches import TagColumns, tidied
from data.tag_schema import UnfitColumnsError
from data.tags import STATUSES, read_tags, write_tags
from tests.random_tags import SEGMENTS, random_tags
from tests.tags_on_disk import sentence

KIND = pa.struct(
    [
        ("code", pa.string()),
        ("polarity", pa.string()),
        ("probability", pa.float64()),
        (
            "evidence",
            pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("text", pa.string())])),
        ),
    ]
)
TAG = {"code": "c", "polarity": "negative", "probability": 0.5, "evidence": []}


def write_rows(path, *changes):
    """Write good rows, each with its change."""
    good = {"response_id": "r", "score": 3.0, "weight": 1.0, "status": "tagged", "tags": [TAG]}
    rows = [good | {"response_id": f"r{i}"} | change for i, change in enumerate(changes)]
    table = pa.Table.from_pylist(
        rows,
        pa.schema(
            [
                ("response_id", pa.string()),
                ("score", pa.float64()),
                ("weight", pa.float64()),
                ("status", pa.string()),
                ("tags", pa.list_(KIND)),
            ]
        ),
    )
    pq.write_table(table, path, row_group_size=2)
    return path


def test_columns_hold_what_the_rows_hold(tmp_path):
    rows = random_tags(3, 300)
    write_tags(rows, tmp_path / "t.parquet", SEGMENTS)
    columns = TagColumns(tmp_path / "t.parquet", NPS, SEGMENTS)
    seen = 0
    for batch in columns.batches():
        codes, values = list(columns.codes), {name: list(columns.values[name]) for name in SEGMENTS}
        for i in range(batch.score.size):
            row = rows[batch.first_row + i]
            of_row = batch.tag_rows == i
            found = zip(batch.tag_codes[of_row], batch.tag_praises[of_row], strict=True)
            assert [(codes[c], bool(p)) for c, p in found] == [
                (t.code, t.polarity == "positive") for t in row.tags
            ]
            assert batch.response_id[i].as_py() == row.response.response_id
            assert batch.respondent_id[i].as_py() == row.response.respondent_id
            assert batch.weight[i] == row.response.weight
            assert STATUSES[batch.status[i]] == row.status
            assert (None if np.isnan(batch.score[i]) else batch.score[i]) == row.response.score
            for name in SEGMENTS:
                assert values[name][batch.segments[name][i]] == row.response.segments.get(name, "")
            seen += 1
    assert seen == 300


@pytest.mark.parametrize(
    "change",
    [
        {"score": 11.0},
        {"score": float("inf")},
        {"weight": -1.0},
        {"weight": 1e16},
        {"status": "done"},
        {"status": None},
        {"status": "uncoded"},
        {"tags": []},
        {"tags": None},
        {"tags": [None]},
        {"tags": [TAG | {"code": None}]},
        {"tags": [TAG | {"polarity": "cross"}]},
        {"tags": [TAG | {"probability": 1.5}]},
        {"tags": [TAG, TAG | {"probability": None}]},
    ],
    ids=json.dumps,
)
def test_a_bad_row_is_named_as_reading_rows_names_it(tmp_path, change):
    path = write_rows(tmp_path / "t.parquet", {}, {}, {}, change, {"score": 99.0})
    said = sentence(path)
    assert said.startswith("row 5, column")
    with pytest.raises(Exception, match="row 5, column") as caught:
        list(TagColumns(path, NPS).batches())
    assert str(caught.value).endswith(said)


def test_a_row_without_an_id_is_for_the_rows(tmp_path):
    path = write_rows(tmp_path / "t.parquet", {}, {"response_id": " "})
    assert len(list(read_tags(path))) == 2
    with pytest.raises(UnfitColumnsError):
        list(TagColumns(path, NPS).batches())


@pytest.mark.parametrize("how", [{}, {"use_compliant_nested_type": False}, {"version": "1.0"}])
def test_whoever_wrote_the_lists(tmp_path, how):
    table = pq.read_table(write_rows(tmp_path / "t.parquet", {}, {"tags": [TAG, TAG]}))
    pq.write_table(table, tmp_path / "u.parquet", **how)
    (batch,) = TagColumns(tmp_path / "u.parquet", NPS).batches()
    assert batch.tag_rows.tolist() == [0, 1, 1]


@given(
    st.lists(st.none() | st.text(alphabet=st.sampled_from([*"ab é\0", *BLANKS[:6], BLANKS[-1]]), max_size=6))
)
def test_texts_are_tidied_as_cells_are(texts):
    column = pa.array(["skipped", *texts], pa.string()).slice(1)
    assert tidied(column).to_pylist() == [parse_text(text) for text in texts]


@given(
    st.integers(1, 200).flatmap(
        lambda known: st.tuples(
            st.just(known), st.lists(st.frozensets(st.integers(0, known - 1), max_size=5), max_size=12)
        )
    )
)
def test_sets_of_codes_keep_their_number(case):
    known, wanted = case
    sets = CodeSets()
    numbers = []
    for part in (wanted[:5], wanted[5:], wanted):
        pairs = [(row, code) for row, codes in enumerate(part) for code in sorted(codes)]
        rows, codes = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        numbers.append(sets.numbers(words_of(rows, codes, len(part), known)).tolist())
    assert numbers[0] + numbers[1] == numbers[2]
    found: dict[int, set[int]] = {number: set() for number in range(len(sets))}
    for number, code in zip(*sets.members(), strict=True):
        found[int(number)].add(int(code))
    assert [found[number] for number in numbers[2]] == [set(codes) for codes in wanted]
    assert len(sets) == len({frozenset(), *wanted})
