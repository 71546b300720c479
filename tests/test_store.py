from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from data.responses import Response
from data.store import UpsertResult
from data.store_rows import canonical
from data.tags import STATUSES, Evidence, Tag, TaggedResponse
from tests.stores import emptied
from tests.stubs import STRANGE, response, tagged

# What is written comes back, once.

words = st.text(st.characters(), max_size=20)  # also what no database can hold
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.none() | st.just(UTC))
numbers = st.floats(0, 10) | st.integers(0, 10)
tag_rows = st.builds(
    Tag,
    st.sampled_from(["a.one", "a.two", "b"]),
    st.sampled_from(["negative", "neutral", "positive"]),
    st.floats(0, 1),
    st.lists(st.builds(Evidence, st.integers(0, 9), st.integers(0, 9), words), max_size=2).map(tuple),
)
rows = st.builds(
    TaggedResponse,
    st.builds(
        Response,
        st.sampled_from(["r1", "r2", "r3", "R1", "r%", "é"]),
        st.none() | numbers,
        st.none() | words,
        st.none() | moments,
        st.none() | names,
        numbers,
        st.dictionaries(names, names, max_size=3),
    ),
    st.sampled_from(STATUSES),
    st.lists(tag_rows, max_size=4).map(tuple),
    st.none() | st.just("reason-codes/7"),
    st.none() | st.integers(1, 9),
    st.none() | words,
)


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(rows, max_size=5), min_size=1, max_size=4))
def test_writing_twice_is_writing_once(shared_store, batches):
    store = emptied(shared_store)
    for rows in batches:
        store.upsert(rows)
        once, version = list(store.tagged()), store.version()
        again = store.upsert(rows)
        assert again == UpsertResult(0, 0, len({row.response.response_id for row in rows}))
        assert (list(store.tagged()), store.version()) == (once, version)
    latest = {row.response.response_id: canonical(row) for rows in batches for row in rows}
    assert {row.response.response_id: row for row in store.tagged()} == latest
    assert store.count() == len(latest)


def test_upsert_tells_created_updated_and_unchanged_apart(store):
    assert store.upsert([tagged("r1"), tagged("r2")]) == UpsertResult(2, 0, 0)
    assert store.upsert([tagged("r1"), tagged("r2", 9), tagged("r3")]) == UpsertResult(1, 1, 1)
    assert store.upsert([]) == UpsertResult(0, 0, 0)
    assert [row.response.score for row in store.tagged()] == [3, 9, 3]


def test_the_later_row_of_an_id_in_a_batch_wins_and_its_tags_replace_the_others(store):
    store.upsert([tagged("r1", comment="Billed twice, the price too")])
    assert store.upsert(
        [tagged("r1", comment="no words"), tagged("r1", comment="The agent")]
    ) == UpsertResult(0, 1, 0)
    (row,) = store.tagged()
    assert [tag.code for tag in row.tags] == ["support.attitude"]


def test_the_version_grows_with_changes_alone(store):
    before = store.version()
    store.upsert([tagged("r1")])
    changed = store.version()
    store.upsert([tagged("r1")])
    assert before < changed == store.version()


def test_a_batch_is_written_whole_or_not_at_all(store):
    store.upsert([tagged("r1", 3)])
    broken = replace(tagged("r2"), tags=(Tag("a", "negative", None),))
    with pytest.raises(TypeError):
        store.upsert([tagged("r1", 9), broken])

    @event.listens_for(store._engine, "before_cursor_execute")
    def fail_late(connection, cursor, statement, *_):
        if statement.startswith("UPDATE changes"):
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        store.upsert([tagged("r1", 9), tagged("r2")])
    assert [(row.response.response_id, row.response.score) for row in store.tagged()] == [("r1", 3)]


def test_what_no_database_can_hold_becomes_the_same_mark_in_each(store):
    comment = "Billed\0 twice \ud83d"
    row = replace(
        tagged("r\0", comment=comment, segments={"a\0": "b\0"}),
        error="e\0",
        tags=(Tag("a", "negative", 0.5, (Evidence(0, 7, "Billed\0"),)),),
    )
    assert store.upsert([row]) == UpsertResult(1, 0, 0)
    assert store.upsert([row]) == UpsertResult(0, 0, 1)
    (found,) = store.tagged()
    assert (found.response.response_id, found.error) == ("r\ufffd", "e\ufffd")
    assert found.response.comment == "Billed\ufffd twice \ufffd"
    assert found.response.segments == {"a\ufffd": "b\ufffd"}
    (part,) = found.tags[0].evidence
    assert found.response.comment[part.start : part.end] == part.text


def test_streams_are_sorted_by_code_points_on_every_server(store):
    ids = ["b", "B", "a", "Z", "é", "z", "_", "10", "9", "ß", "\U0001f600", "\uffee"]
    store.upsert([tagged(key, responded_at=datetime(2026, 4, 1, tzinfo=UTC)) for key in ids])
    assert [row.response.response_id for row in store.tagged(batch=3)] == sorted(ids)
    newest = store.comments(limit=100)
    assert [row.response.response_id for row in newest.rows] == sorted(ids, reverse=True)


def test_times_come_back_in_utc(store):
    noon = datetime(2026, 4, 6, 12, tzinfo=timezone(timedelta(hours=2)))
    store.upsert([tagged("r1", responded_at=noon)])
    (row,) = store.tagged()
    assert row.response.responded_at == noon
    assert row.response.responded_at.isoformat() == "2026-04-06T10:00:00+00:00"


def test_streaming_goes_through_every_batch_and_sees_one_state(store):
    store.upsert([tagged(f"r{i:03}") for i in range(25)])
    stream = store.tagged(batch=4)
    first = next(stream)
    store.upsert([tagged("r024", 9), tagged("r999")])
    rows = [first, *stream]
    assert [row.response.response_id for row in rows] == [f"r{i:03}" for i in range(25)]
    assert rows[-1].response.score == 3
    assert all(len(row.tags) == 1 for row in rows)


def test_statistics_are_read_without_texts(store):
    store.upsert([tagged("r1"), tagged("r2", comment=None)])
    one, two = store.tagged(texts=False)
    assert (one.response.comment, one.tags[0].evidence) == (None, ())
    assert (one.status, one.tags[0].code) == ("tagged", "billing.unexpected-charge")
    assert (two.status, two.tags) == ("no_comment", ())


def test_an_abstention_is_kept(store):
    strange = tagged("r1", comment=STRANGE)
    store.upsert([strange, tagged("r2")])
    assert [row.abstained for row in store.tagged()] == [True, False]
    assert store.tagged_before([response("r1", comment=STRANGE)], model="stub/1", taxonomy_version=3) == {
        "r1": strange
    }
    store.upsert([replace(strange, abstained=False)])
    assert [row.abstained for row in store.tagged()] == [False, False]


# What a model has read need not be read again.


def test_tagged_before_gives_what_the_same_model_said_of_the_same_words(store):
    failed = replace(tagged("r4"), status="error", tags=(), error="why")
    store.upsert([tagged("r1"), tagged("r2"), tagged("r3", comment=None), failed])
    asked = [response("r1", 10), response("r2", comment="Billed thrice"), response("r3", comment=None)]
    found = store.tagged_before([*asked, response("r4"), response("r5")], model="stub/1", taxonomy_version=3)
    assert set(found) == {"r1", "r3"}
    assert found["r1"].response.score == 10
    assert found["r1"].tags == tagged("r1").tags
    assert store.tagged_before(asked, model="stub/2", taxonomy_version=3) == {}
    assert store.tagged_before(asked, model="stub/1", taxonomy_version=4) == {}
