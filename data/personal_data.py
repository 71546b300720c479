"""Where a text holds card numbers, IBANs, mail addresses and phone numbers; check digits tell them apart.

A number counts only where its check digit, its issuer's or country's form or its numbering plan agrees, so
order numbers, dates and prices stay. Mail addresses have no check digit: whatever looks like one is one,
since a stricter test could only let some through.

References
----------
ISO/IEC 7812-1:2017. Identification cards: Identification of issuers (card numbers, the Luhn check).
ISO 13616-1:2020. Financial services: International bank account number (IBAN).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from stdnum import iban, luhn

from data.errors import InputError

KINDS = ("card", "iban", "email", "phone")


class Found(NamedTuple):
    """A piece of personal data in a text: code points ``start`` to ``end``, and its kind of `KINDS`."""

    start: int
    end: int
    kind: str


def parse_kinds(names: Iterable[str]) -> tuple[str, ...]:
    """Check what is to be found, and give each kind once.

    Parameters
    ----------
    names
        Of `KINDS`. ``phone`` alone means numbers with ``+`` and a country code; ``phone:GB`` means also
        those as people in that country (ISO 3166, two letters) write them.

    Raises
    ------
    InputError
        If there is no such kind or country.
    """
    kinds: dict[str, None] = {}
    for name in names:
        kind, colon, region = name.strip().partition(":")
        kind, region = kind.casefold(), region.upper()
        if kind not in KINDS or (colon and (kind != "phone" or not _is_region(region))):
            raise InputError(
                f"'{name.strip()}' is not something to mask; there are {', '.join(KINDS)}, "
                "and phone:XX with a country's two letters"
            )
        kinds[f"{kind}:{region}" if colon else kind] = None
    return tuple(kinds)


def _is_region(region: str) -> bool:
    from phonenumbers import SUPPORTED_REGIONS

    return region in SUPPORTED_REGIONS


def find_personal_data(text: str, kinds: Iterable[str]) -> list[Found]:
    """Find personal data in a text; pieces may overlap.

    Parameters
    ----------
    text
        Any text; the time taken grows with its length, not faster.
    kinds
        As `parse_kinds` gives them.
    """
    found = []
    for name in kinds:
        kind, _, region = name.partition(":")
        places = _phones(text, region or None) if kind == "phone" else _FINDERS[kind](text)
        found += [Found(start, end, kind) for start, end in places]
    return found


# Cards: the first four digits and the lengths that issuers give out.
_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    (2200, 2204, frozenset(range(16, 20))),  # Mir
    (2221, 2720, frozenset({16})),  # Mastercard
    (3000, 3059, frozenset(range(14, 20))),  # Diners
    (3095, 3095, frozenset(range(14, 20))),
    (3400, 3499, frozenset({15})),  # American Express
    (3528, 3589, frozenset(range(16, 20))),  # JCB
    (3600, 3699, frozenset(range(14, 20))),
    (3700, 3799, frozenset({15})),
    (3800, 3999, frozenset(range(14, 20))),
    (4000, 4999, frozenset({13, 16, 19})),  # Visa
    (5000, 5099, frozenset(range(13, 20))),  # Maestro
    (5100, 5599, frozenset({16})),
    (5600, 5899, frozenset(range(13, 20))),
    (6000, 6999, frozenset(range(13, 20))),  # Maestro, Discover, UnionPay, RuPay
)
_LONGEST_CARD = 19
_NUMBER = re.compile(r"\d+")
# What people put between the groups of a number: blanks, hyphens and dashes, a dot.
_GAP = re.compile(r"[\s.\-\u2010-\u2015\u2212]{1,3}")


def _cards(text: str) -> Iterator[tuple[int, int]]:
    groups = list(_NUMBER.finditer(text))
    for place, first in enumerate(groups):
        digits = ""
        for last, group in enumerate(groups[place : place + _LONGEST_CARD]):
            if last and not _GAP.fullmatch(text, groups[place + last - 1].end(), group.start()):
                break
            if len(digits) + len(group.group()) > _LONGEST_CARD:
                break
            if last == 1 and len(digits) < 4 or last > 1 and len(groups[place + last - 1].group()) < 3:
                break  # cards are written in groups of four to six: dates and lists of sums are not
            digits += _plain_digits(group.group())
            if _is_card(digits):
                yield first.start(), group.end()


def _plain_digits(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(unicodedata.decimal(digit)) for digit in digits)


def _is_card(digits: str) -> bool:
    if not 13 <= len(digits) <= _LONGEST_CARD:
        return False
    issued = any(low <= int(digits[:4]) <= high and len(digits) in sizes for low, high, sizes in _ISSUERS)
    return issued and bool(luhn.is_valid(digits))


_IBAN_START = re.compile(r"(?:(?<![^\W_])|(?<=IBAN))[A-Z]{2}[0-9]{2}", re.IGNORECASE | re.ASCII)
_SHORTEST_IBAN, _LONGEST_IBAN = 15, 34


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for start in _IBAN_START.finditer(text):
        compact, ends = "", []
        for place in range(start.start(), min(len(text), start.start() + 3 * _LONGEST_IBAN)):
            char = text[place]
            if char.isascii() and char.isalnum():
                compact += char
                ends.append(place + 1)
            elif not _GAP.fullmatch(char) or not _GAP.fullmatch(text, ends[-1], place + 1):
                break
            if len(compact) == _LONGEST_IBAN:
                break
        for size in range(len(compact), _SHORTEST_IBAN - 1, -1):
            if _has_iban_check(compact[:size]) and iban.is_valid(compact[:size], check_country=False):
                yield start.start(), ends[size - 1]
                break


def _has_iban_check(compact: str) -> bool:
    """Tell whether the check digits agree, which is quicker than to look the country's form up."""
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


_AT = re.compile("[@\uff20]")
_LOCAL_PART = re.compile(r"[\w!#$%&'*+/=?^`{|}~.\-]+\Z")
_DOMAIN = re.compile(
    r"(?:[^\W_](?:[\w\-]{0,62})[.\u3002\uff0e]){1,8}(?:xn--[a-z0-9\-]{2,59}|[^\W\d_]{2,63})", re.IGNORECASE
)
_LONGEST_LOCAL_PART = 64


def _emails(text: str) -> Iterator[tuple[int, int]]:
    for at in _AT.finditer(text):
        before = max(0, at.start() - _LONGEST_LOCAL_PART)
        local = _LOCAL_PART.search(text[before : at.start()])
        domain = _DOMAIN.match(text, at.end())
        if local and domain:
            yield before + local.start(), domain.end()


def _phones(text: str, region: str | None) -> Iterator[tuple[int, int]]:
    if region is None and "+" not in text and "\uff0b" not in text:
        return
    from phonenumbers import Leniency, PhoneNumberMatcher

    done = 0
    for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
        yield from _missed_phones(text, done, match.start)
        yield match.start, match.end
        done = match.end
    yield from _missed_phones(text, done, len(text))


def _missed_phones(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Find numbers that the matcher gives up on for what follows them: ``+33 (0)1 42 68 53 00 (50%)``."""
    from phonenumbers import NumberParseException, is_valid_number, parse

    for international in _INTERNATIONAL.finditer(text, start, end):
        first = international.start()
        ends = [digits.end() for digits in _NUMBER.finditer(text, first, international.end())]
        for last in reversed(ends):  # the longest number that there is
            try:
                if is_valid_number(parse(text[first:last])):
                    yield first, last
                    break
            except NumberParseException:
                continue


# A plus and what may stand in a number of fifteen digits.
_INTERNATIONAL = re.compile(r"[+\uff0b][\d\s().\-\u2010-\u2015\u2212/]{7,40}")

_FINDERS: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = {
    "card": _cards,
    "iban": _ibans,
    "email": _emails,
}
