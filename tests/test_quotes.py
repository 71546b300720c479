from hypothesis import given
from hypothesis import strategies as st

from data.responses import Response
from data.scale import NPS
from data.tags import Evidence, Tag, TaggedResponse
from serving.quotes import Quotes, excerpt, marked


def quote(comment, start=0, end=1):
    tag = Tag("a", "negative", 0.9, (Evidence(start, end, ""),))
    row = TaggedResponse(Response("r", 2.0, comment), "tagged", (tag,), "m", 1)
    (found,) = Quotes(NPS).read([row]).of("a")
    return found


LONG = "I waited and waited. " * 20 + "Then they billed me twice. " + "Nobody called back. " * 20


def test_an_excerpt_holds_the_evidence_and_cuts_between_words():
    start = LONG.index("billed")
    short = excerpt(quote(LONG, start, start + 12), 120)
    assert "billed me twice" in short
    assert short[0] == short[-1] == "\u2026"
    assert len(short) <= 122
    assert short.strip("\u2026") in LONG
    assert set(short.strip("\u2026").split()) <= set(LONG.split())


def test_a_short_comment_stays_whole_on_one_line():
    assert excerpt(quote("Billed\n\ntwice "), 100) == "Billed twice"


@given(
    st.text(min_size=1, max_size=300).filter(str.strip),
    st.integers(-5, 400),
    st.integers(1, 200),
)
def test_an_excerpt_is_part_of_the_comment(comment, start, length):
    short = excerpt(quote(comment, start, start + 5), length)
    assert len(short) <= length + 2
    assert short.strip("\u2026").strip() in " ".join(comment.split()) or "\u2026" in comment


def test_there_are_quotes_only_where_something_was_kept():
    assert not Quotes(NPS)
    happy = TaggedResponse(Response("r", 10.0, "Lovely"), "uncoded", (), "m", 1)
    assert not Quotes(NPS).read([happy])
    assert Quotes(NPS).read([TaggedResponse(Response("r", 1.0, "Hm"), "uncoded", (), "m", 1)])


def test_marked_parts_join_to_the_comment():
    assert marked("abc", [Evidence(1, 2, "")]) == [("a", False), ("b", True), ("c", False)]
