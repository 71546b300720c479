import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from tests.stores import emptied
from tests.stubs import tagged


def ids(page):
    return [row.response.response_id for row in page.rows]


@pytest.fixture
def filled(store):
    store.upsert(
        [
            tagged("r1", 2, "Billed twice", segments={"region": "North", 'a"b:c': "x"}),
            tagged("r2", 9, "Billed well, lovely", segments={"region": "South"}),
            tagged("r3", 7, "The agent was lovely, the price was not", segments={"region": "North"}),
            tagged("r4", None, "nothing to say"),
            tagged("r5", 2, None, responded_at=None),
        ]
    )
    return store


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["r5", "r4", "r3", "r2", "r1"]),  # r5 has no date: it was received just now
        ({"order": "lowest_score"}, ["r5", "r1", "r3", "r2", "r4"]),
        ({"code": "billing.unexpected-charge"}, ["r2", "r1"]),
        ({"code": "billing"}, ["r2", "r1"]),
        ({"code": "bill"}, []),
        ({"code": "billing.%"}, []),
        ({"code": "support", "polarity": "positive"}, ["r3"]),
        ({"code": "support", "polarity": "non_positive"}, []),
        ({"polarity": "non_positive"}, ["r3", "r2", "r1"]),
        ({"segment": ("region", "North")}, ["r3", "r1"]),
        ({"segment": ("region", "north")}, []),
        ({"segment": ('a"b:c', "x")}, ["r1"]),
        ({"segment": ("nope", "x")}, []),
        ({"status": "no_comment"}, ["r5"]),
        ({"status": "uncoded"}, ["r4"]),
        ({"since": datetime(2026, 4, 1, 3, tzinfo=UTC)}, ["r4", "r3"]),
        ({"until": datetime(2026, 4, 1, 3, tzinfo=UTC)}, ["r2", "r1"]),
    ],
)
def test_comments_meet_every_condition(filled, wanted, found):
    assert ids(filled.comments(**wanted)) == found


@settings(max_examples=40, deadline=None)
@given(
    data=st.lists(
        st.tuples(st.none() | st.integers(0, 3), st.none() | st.integers(0, 3)), min_size=1, max_size=15
    ),
    order=st.sampled_from(["newest", "lowest_score"]),
    limit=st.integers(1, 6),
)
def test_pages_are_the_whole_list_cut_up(shared_store, data, order, limit):
    day = datetime(2026, 4, 1, tzinfo=UTC)
    rows = [
        tagged(f"r{i}", score, responded_at=None if days is None else day + timedelta(days))
        for i, (score, days) in enumerate(data)
    ]
    store = emptied(shared_store)
    store.upsert(rows)
    everything = ids(store.comments(order=order, limit=100))
    assert sorted(everything) == sorted(row.response.response_id for row in rows)
    found, cursor = [], None
    while True:
        page = store.comments(order=order, limit=limit, after=cursor)
        assert 1 <= len(page.rows) <= limit
        found += ids(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == everything


def test_what_is_written_between_two_pages_moves_nothing(store):
    store.upsert([tagged(f"r{i}") for i in range(1, 7)])
    first = store.comments(limit=3)
    store.upsert([tagged("r99"), tagged("r5", 9)])
    assert ids(first) + ids(store.comments(limit=3, after=first.cursor)) == [
        "r6",
        "r5",
        "r4",
        "r3",
        "r2",
        "r1",
    ]


@settings(max_examples=100, deadline=None)
@given(cursor=st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: raw.hex()))
def test_a_cursor_that_no_page_gave_is_refused(cursor, shared_store):
    with pytest.raises(InputError, match="cursor"):
        shared_store.comments(after=cursor)


NOW = "2026-04-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "position",
    [
        ["newest", NOW],
        ["newest", NOW, 5],
        ["newest", NOW, "half a \ud83d"],
        ["newest", NOW, "r1", "more"],
        ["newest", "yesterday", "r1"],
        ["newest", 5, "r1"],
        ["newest", "0001-01-01T00:00:00+12:00", "r1"],
        ["newest", None, NOW, "r1"],
        ["lowest_score", NOW, "r1"],
        ["lowest_score", "x", NOW, "r1"],
        ["lowest_score", float("nan"), NOW, "r1"],
        ["lowest_score", [], NOW, "r1"],
        ["oldest", NOW, "r1"],
        {"newest": NOW},
        "newest",
        5,
    ],
)
def test_a_forged_cursor_is_refused(shared_store, position):
    cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")
    order = "lowest_score" if "lowest_score" in str(position) else "newest"
    with pytest.raises(InputError, match="cursor"):
        shared_store.comments(order=order, after=cursor)


def test_cursors_that_were_given_before_still_lead_on(store):
    store.upsert([tagged(name) for name in ("\u8a9e1", "\u8a9e2")])
    (first,) = store.comments(limit=1).rows
    position = ["newest", first.response.responded_at.isoformat(), first.response.response_id]
    before = base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")
    assert ids(store.comments(after=before)) == ["\u8a9e1"]


def test_a_cursor_of_another_order_is_refused(store):
    store.upsert([tagged("r1"), tagged("r2")])
    cursor = store.comments(limit=1).cursor
    assert ids(store.comments(after=cursor)) == ["r1"]
    with pytest.raises(InputError, match="cursor"):
        store.comments(order="lowest_score", after=cursor)


def test_segments_are_listed_with_their_values(filled):
    assert filled.segments() == {'a"b:c': ["x"], "region": ["North", "South"]}
    assert filled.has_segment('a"b:c')
    assert filled.has_segment("region")
    assert not filled.has_segment("regio")
