"""Digests of responses: the same by rows and by columns, and another for every change."""

import dataclasses
import hashlib
import stat

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.responses import Response
from data.row_digests import DigestKey, RowDigester, read_key
from data.scale import NPS
from data.scratch_database import DatabaseLimits
from data.tag_intake import open_answers
from data.tags import Tag, TaggedResponse, read_tags, write_tags
from model.file_ranking import PERIODS
from model.periods import with_periods
from tests.random_tags import SEGMENTS, random_tags

KEY = DigestKey("0123456789abcdef" * 2)
ONE = DatabaseLimits(threads=1, memory_mb=256)


def by_rows(path, by=None, listing=None):
    digester = RowDigester(KEY, by)
    for _ in digester.watch(with_periods(read_tags(path))):
        pass
    if listing is not None:
        digester.write(listing)
    return digester.result()


def by_columns(path, by=None, listing=None):
    with open_answers(path, NPS, [by] if by else [], periods=PERIODS, limits=ONE) as answers:
        return answers.digests(KEY, by, listing)


def digests(*rows):
    digester = RowDigester(KEY)
    assert list(digester.watch(rows)) == list(rows)
    return digester.result()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 200),
    by=st.sampled_from([None, "country", "month"]),
    odd=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), min_size=4, max_size=4),
    weight=st.floats(0, 1e15),
)
def test_columns_give_the_digests_of_rows(tmp_path, seed, n, by, odd, weight):
    rows = random_tags(seed, n)
    response = Response("id" + odd[0], 3.0, odd[1], None, odd[2], weight, {"country": odd[3]})
    rows.append(TaggedResponse(response, "tagged", (Tag("c" + odd[0], "negative", 0.5),), odd[3], None))
    write_tags(rows, tmp_path / "t.parquet", SEGMENTS)
    expected = by_rows(tmp_path / "t.parquet", by, tmp_path / "rows.parquet")
    assert by_columns(tmp_path / "t.parquet", by) == expected
    assert by_columns(tmp_path / "t.parquet", by, tmp_path / "columns.parquet") == expected
    first, second = (
        pq.read_table(tmp_path / name).sort_by("response_id") for name in ("rows.parquet", "columns.parquet")
    )
    assert first.to_pylist() == second.to_pylist()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "columns.parquet",
        "rows.parquet",
        "t.parquet",
    ]


def test_a_hash_is_what_the_page_of_formats_says():
    text = f"{KEY.digits}text:2:r1Good."
    assert KEY.hash("text", "r1", "Good.") == int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)
    row = TaggedResponse(
        Response("r1", 7.0, "Good.", None, "p", 1.5),
        "tagged",
        (
            Tag("b", "negative", 0.5),
            Tag("a", "neutral", 0.5),
            Tag("c", "positive", 0.5),
            Tag("b", "positive", 1),
        ),
    )
    found = digests(row)
    assert found.sums == {
        "text": KEY.hash("text", "r1", "Good."),
        "tags": KEY.hash("tags", "r1", "tagged\x1ea\x1fb\x1ec"),
        "answer": KEY.hash("answer", "r1", "7.0\x1e1.5\x1ep\x1e"),
    }
    assert found.models == {(None, None): 1}
    assert found.to_dict()["text"] == f"{found.sums['text']:032x}"


ROW = TaggedResponse(Response("r1", 3.0, "x", None, "p"), "tagged", (Tag("a", "negative", 0.5),), "m/1", 1)


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"response": dataclasses.replace(ROW.response, response_id="r2")}, ["text", "tags", "answer"]),
        ({"response": dataclasses.replace(ROW.response, comment="y")}, ["text"]),
        ({"response": dataclasses.replace(ROW.response, comment=None)}, ["text"]),
        ({"response": dataclasses.replace(ROW.response, score=None)}, ["answer"]),
        ({"response": dataclasses.replace(ROW.response, weight=2.0)}, ["answer"]),
        ({"response": dataclasses.replace(ROW.response, respondent_id=None)}, ["answer"]),
        ({"tags": (Tag("a", "positive", 0.5),)}, ["tags"]),
        ({"tags": (Tag("b", "negative", 0.5),)}, ["tags"]),
        ({"status": "uncoded", "tags": ()}, ["tags"]),
        ({"tags": (Tag("a", "neutral", 0.9),)}, []),
    ],
)
def test_a_change_shows_where_it_is(change, kinds):
    first, second = digests(ROW), digests(dataclasses.replace(ROW, **change))
    assert [kind for kind in first.sums if first.sums[kind] != second.sums[kind]] == kinds


def test_order_says_nothing_and_the_latest_row_counts():
    rows = random_tags(4, 60)
    latest = {row.response.response_id: row for row in rows}
    assert digests(*rows) == digests(*reversed(latest.values()))
    assert digests(*rows).rows == len(latest)


def test_another_key_gives_other_hashes_and_another_name():
    other = DigestKey("f" * 32)
    assert KEY.hash("text", "r", "x") != other.hash("text", "r", "x")
    assert KEY.name != other.name
    assert KEY.digits not in str(RowDigester(KEY).result().to_dict())


def test_a_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "home" / "manifest.key"
    key = read_key(path)
    assert read_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("secret")
    with pytest.raises(InputError, match="holds no key"):
        read_key(path)


def test_a_listing_that_cannot_be_written_is_a_sentence(tmp_path):
    write_tags([ROW], tmp_path / "t.parquet")
    for take in (by_rows, by_columns):
        with pytest.raises(InputError, match="cannot be written"):
            take(tmp_path / "t.parquet", None, tmp_path / "no" / "rows.parquet")
