"""Masking: nothing planted is left, every place maps exactly, and other numbers stay."""

from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from stdnum import iban, luhn

from data.annotations import Annotation, CodeLabel
from data.errors import InputError
from data.masking import MaskedText, mask, mask_annotation, mask_response, mask_tagged, placeholder
from data.personal_data import KINDS, parse_kinds
from data.responses import Response
from data.tags import Evidence
from tests.stubs import StubTagger

WORDS = st.sampled_from(
    [
        "Billed",
        "the agent said",
        "naïve",
        "\U0001f620",
        "order 4711",
        "on 2026-04-07",
        "at 14:30",
        "£12.50,",
        "(50%)",
    ]
)
GAPS = st.sampled_from([" ", ". ", ": ", "\n", ", ", " \u2013 "])


@st.composite
def cards(draw):
    prefix, size, groups = draw(
        st.sampled_from(
            [
                ("4", 16, (4, 4, 4, 4)),
                ("4", 13, (4, 4, 4, 1)),
                ("53", 16, (4, 4, 4, 4)),
                ("2221", 16, (8, 8)),
                ("37", 15, (4, 6, 5)),
                ("36", 14, (4, 6, 4)),
                ("62", 19, (4, 4, 4, 4, 3)),
            ]
        )
    )
    body = prefix + draw(
        st.text("0123456789", min_size=size - len(prefix) - 1, max_size=size - len(prefix) - 1)
    )
    number, parts = body + luhn.calc_check_digit(body), []
    for group in groups:
        parts, number = [*parts, number[:group]], number[group:]
    return draw(st.sampled_from(["", " ", "-", "\u00a0"])).join(parts)


@st.composite
def ibans(draw):
    country, size = draw(st.sampled_from([("DE", 18), ("NL", None), ("GB", None), ("FR", 23), ("NO", 11)]))
    if size is None:
        bank = draw(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=4, max_size=4))
        rest = bank + draw(st.text("0123456789", min_size=10, max_size=10))
        rest += draw(st.text("0123456789", min_size=4, max_size=4)) if country == "GB" else ""
    else:
        rest = draw(st.text("0123456789", min_size=size, max_size=size))
    number = country + iban.calc_check_digits(f"{country}00{rest}") + rest
    assume(iban.is_valid(number, check_country=False))
    number = draw(st.sampled_from([str.upper, str.lower]))(number)
    gap = draw(st.sampled_from(["", " ", "-"]))
    return gap.join(number[i : i + 4] for i in range(0, len(number), 4))


EMAILS = st.builds(
    "{}@{}.{}".format,
    st.from_regex(r"[a-zA-Z][\w.+\-]{0,40}[a-z0-9]", fullmatch=True),
    st.from_regex(r"([a-z][a-z0-9\-]{0,10}[a-z0-9]\.){0,2}[a-zé][a-z0-9]{0,20}", fullmatch=True),
    st.sampled_from(["com", "co.uk", "museum", "рф", "xn--p1ai"]),
)
PHONES = st.sampled_from(
    ["+1 650-253-0000", "+44 20 7031 3000", "+4930303986300", "+33 (0)1 42 68 53 00", "+81 3-6384-9000"]
)
PLANTED = st.one_of(
    st.tuples(st.just("card"), cards()),
    st.tuples(st.just("iban"), ibans()),
    st.tuples(st.just("email"), EMAILS),
    st.tuples(st.just("phone"), PHONES),
)


@st.composite
def planted(draw):
    """A text of words and personal data, and the pieces that were planted."""
    pieces = draw(st.lists(PLANTED, max_size=3))
    text = draw(WORDS)
    for _, piece in pieces:
        text += draw(GAPS) + piece + draw(GAPS) + draw(WORDS)
    return text, pieces


@given(planted())
@example(("x +33 (0)1 42 68 53 00 (50%)", [("phone", "+33 (0)1 42 68 53 00")]))
def test_nothing_that_was_planted_is_left(case):
    text, pieces = case
    masked = mask(text, KINDS)
    for _, piece in pieces:
        assert piece not in masked.text
    if not pieces:
        assert masked.text == text
    assert mask(masked.text, KINDS).text == masked.text


@given(planted())
@example(("+49 30 303986300 4111 1111 1111 1111 jo@x.org", []))
def test_every_place_maps_exactly(case):
    text, _ = case
    masked = mask(text, KINDS)
    done = 0
    for piece in masked.replaced:
        assert done <= piece.start < piece.end
        start, end = masked.to_masked(piece.start, piece.end)
        assert masked.text[start:end] == placeholder(piece.kind)
        assert masked.to_original(start, end) == (piece.start, piece.end)
        inside = masked.to_original(start + 1, end - 1)
        assert inside == (piece.start, piece.end)
        for place in range(done, piece.start):
            assert_same_char(masked, text, place)
        done = piece.end
    for place in range(done, len(text)):
        assert_same_char(masked, text, place)
    assert masked.to_original(0, len(masked.text)) == (0, len(text))


def assert_same_char(masked: MaskedText, text, place):
    start, end = masked.to_masked(place, place + 1)
    assert end == start + 1
    assert masked.text[start] == text[place]
    assert masked.to_original(start, end) == (place, place + 1)


@given(st.text(max_size=200))
def test_any_text_is_masked_once_and_for_all(text):
    masked = mask(text, KINDS)
    assert mask(masked.text, KINDS).text == masked.text
    assert masked.to_original(0, len(masked.text)) == (0, len(text))


@given(cards())
def test_a_number_whose_check_digit_is_wrong_stays(card):
    digits = "".join(filter(str.isdigit, card))  # a part of groups may well be another card's number
    wrong = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    text = f"My order {wrong} is late"
    assert mask(text, KINDS).text == text


@pytest.mark.parametrize(
    "text",
    [
        "Order 1234567890123456 came late",
        "from 2026-04-07 to 2026-05-08, 14:30-15:45",
        "30.12.2024 30.12.2024 31.12.2024",
        "paid 1,234.56 + 99.00 EUR, 12.50 USD",
        "500 500 500 500 500",
        "ticket DE12345678901234567890",
        "apples @2.50 and @home, user@localhost",
        "ISBN 978-3-16-148410-0, tracking 00340434161094042557",
        "version 10.0.19045.3693, 192.168.100.200",
        "[card] [phone]",
        "",
    ],
)
def test_what_is_no_personal_data_stays(text):
    assert mask(text, KINDS) == MaskedText(text)


@pytest.mark.parametrize(
    ("text", "kinds", "expected"),
    [
        ("card 4111 1111 1111 1111, thanks", "card", "card [card], thanks"),
        ("12 4111-1111-1111-1111 34", "card", "12 [card] 34"),
        ("card:4111111111111111x", "card", "card:[card]x"),
        ("٤١١١ ١١١١ ١١١١ ١١١١", "card", "[card]"),
        ("IBANDE89370400440532013000 and me", "iban", "IBAN[iban] and me"),
        ("de89 3704 0044 0532 0130 00 and me", "iban", "[iban] and me"),
        ("write to Jo.Doe+x@mail.example.co.uk.", "email", "write to [email]."),
        ("jörg＠müller.de", "email", "[email]"),
        ("call +44 20 7031 3000 now", "phone", "call [phone] now"),
        ("call 020 7031 3000 now", "phone", "call 020 7031 3000 now"),
        ("call 020 7031 3000 now", "phone:GB", "call [phone] now"),
        ("4111111111111111 jo@x.org", "email", "4111111111111111 [email]"),
    ],
)
def test_each_kind_is_found_where_it_is_asked_for(text, kinds, expected):
    assert mask(text, parse_kinds([kinds])).text == expected


@pytest.mark.parametrize(
    "text", ["a" * 20_000 + "@", "1 " * 10_000, "4111 " * 4000, "DE89 " * 4000, "a@" * 10_000]
)
def test_long_texts_take_no_longer_than_they_are_long(text):
    assert mask(text, ("card", "iban", "email")).text


def test_kinds_are_checked_and_named_once():
    assert parse_kinds([" Card", "iban", "card", "phone:gb"]) == ("card", "iban", "phone:GB")
    for wrong in ("cards", "", "phone:XX", "card:GB", "phone:"):
        with pytest.raises(InputError, match="not something to mask"):
            parse_kinds([wrong])


COMMENT = "Billed 4111 1111 1111 1111 twice. The agent at jo@x.org was lovely, the price not."


def test_tags_of_the_masked_comment_come_back_as_tags_of_the_original():
    response = Response("r1", 3, COMMENT, segments={"region": "North", "contact": "jo@x.org"})
    masked = mask_response(response, KINDS)
    assert masked.response.comment == "Billed [card] twice. The agent at [email] was lovely, the price not."
    assert masked.response.segments == {"region": "North", "contact": "[email]"}
    (row,) = StubTagger().tag([masked.response])
    assert row.tags[0].evidence[0].text == "Billed [card] twice"
    back = masked.restore(row)
    assert back.response == response
    found = [evidence for tag in back.tags for evidence in tag.evidence]
    assert found[0].text == "Billed 4111 1111 1111 1111 twice"
    assert all(COMMENT[e.start : e.end] == e.text for e in found)


def test_evidence_of_the_original_names_the_same_words_in_the_masked_comment():
    (row,) = StubTagger().tag([Response("r1", 3, COMMENT)])
    half = replace(row.tags[0], evidence=(Evidence(10, 14, COMMENT[10:14]),))
    masked = mask_tagged(replace(row, tags=(half, *row.tags[1:])), KINDS, str)
    text = masked.response.comment
    assert masked.tags[0].evidence == (Evidence(7, 13, "[card]"),)
    assert all(text[e.start : e.end] == e.text for tag in masked.tags for e in tag.evidence)
    assert "4111" not in str(masked)
    assert mask_tagged(masked, KINDS, str) is masked


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("Billed 4111 1111", "Billed [card]"),
        ("1111 1111", "[card]"),
        ("mail jo@x", "mail [email]"),
        ("was lovely", "was lovely"),
    ],
)
def test_words_that_an_annotator_named_stay_words_of_the_masked_comment(words, kept):
    comment = "Billed 4111 1111 1111 1111 twice; mail jo@x.org, who was lovely."
    row = Annotation("r1", comment, (CodeLabel("billing.charge", "negative", words),), 1)
    masked = mask_annotation(row, KINDS)
    assert masked.labels[0].evidence == kept
    assert kept in masked.comment


def test_a_response_without_a_comment_keeps_none():
    assert mask_response(Response("r1"), KINDS).response == Response("r1")
