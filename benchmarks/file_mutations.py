"""Documents broken in structure and bytes, each case made again by its seed and its number."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from fuzzed_documents import KINDS, TABLES, Dice


@dataclass(frozen=True)
class Case:
    """A broken document.

    Attributes
    ----------
    number
        Of the case; with the seed it makes the same again.
    kind
        What the document was meant to be: ``responses``, ``tags``, ``taxonomy`` ...
    suffix
        Of its file.
    content
        Its bytes.
    source
        Of a survey tool's event: its name.
    """

    number: int
    kind: str
    suffix: str
    content: bytes
    source: str = ""


def make_case(seed: int, number: int) -> Case:
    """Make a case: a document, whose structure or bytes or both are broken, up to three times."""
    dice = Dice(f"{seed}-{number}")
    kind, maker = dice.choice(KINDS)
    suffix, content, source = maker(dice)
    for _ in range(dice.choice([0, 1, 1, 1, 2, 3])):
        content = dice.choice(_WORKBOOK if suffix == ".xlsx" and dice.random() < 0.7 else _BYTES)(
            content, dice
        )
    if suffix in TABLES and dice.random() < 0.15:
        suffix, content = suffix + ".gz", _pack(content, dice)
    return Case(number, kind, suffix, content, source)


def _pack(content: bytes, dice: Dice) -> bytes:
    packed = gzip.compress(content, mtime=0)
    way = dice.randrange(6)
    if way == 0:
        return gzip.compress(packed, mtime=0)
    if way == 1:
        return packed[: dice.randrange(len(packed))]
    if way == 2:
        return packed + packed
    if way == 3:
        return packed + b"rubbish"
    if way == 4:  # a bomb: a hundred megabytes of one line
        return gzip.compress(content + b"a" * 10**8, compresslevel=1, mtime=0)
    return packed


# Ways to break bytes.


def _place(content: bytes, dice: Dice) -> int:
    return dice.randrange(len(content) + 1)


def _flip(content: bytes, dice: Dice) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice([1, 1, 5, 50]) if changed else 0):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _cut(content: bytes, dice: Dice) -> bytes:
    return content[: _place(content, dice)]


def _drop(content: bytes, dice: Dice) -> bytes:
    start = _place(content, dice)
    return content[:start] + content[start + dice.choice([1, 4, 200]) :]


def _double(content: bytes, dice: Dice) -> bytes:
    start = _place(content, dice)
    part = content[start : start + dice.choice([1, 40, 4000])]
    return content[:start] + part * dice.choice([2, 2, 50]) + content[start:]


def _splice(content: bytes, dice: Dice) -> bytes:
    other = dice.choice(KINDS)[1](dice)[1]
    return content[: _place(content, dice)] + other[_place(other, dice) :]


def _insert(content: bytes, dice: Dice) -> bytes:
    # fmt: off
    odd = [
        b"\0", b"\0" * 500, b"\xed\xa0\xbd", b"\xc0\x80", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1a", b"\r",
        b'"', b"'", b"\\", b"\\ud800", b"\\u0000", b"[" * 100_000, b'{"a":' * 50_000, b"(" * 5000,
        b"9" * 6000, b"1e999999", b"-0", b"NaN", b"Infinity", b",,,,", b"\t", b"\xf4\x90\x80\x80",
        b"\xe2\x80\xae", b"sep=;\n", b"a" * 10**6, b'"' + b"x" * 10**6, b"PK\x03\x04", b"PAR1",
        b"\x1f\x8b\x08", "\u2028".encode(), b"\x85", b"#", b"&lt;",
    ]
    # fmt: on
    start = _place(content, dice)
    return content[:start] + dice.choice(odd) + content[start:]


def _number(content: bytes, dice: Dice) -> bytes:
    odd = [
        b"1e400",
        b"-1",
        b"9" * 400,
        b"0.1e-999",
        b"NaN",
        b"1_000",
        b"0x1F",
        b"\xd9\xa3",
        b"1,5",
        b"-0.0",
        b"1e9",
    ]
    found = list(re.finditer(rb"\d+", content[:20_000]))
    if not found:
        return content
    one = dice.choice(found)
    return content[: one.start()] + dice.choice(odd) + content[one.end() :]


def _recode(content: bytes, dice: Dice) -> bytes:
    text = content.decode("utf-8", "replace")
    way = dice.choice(
        ["utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-7", "utf-8-sig", "shift-jis"]
    )
    return text.encode(way, "replace")


def _first_line_twice(content: bytes, _: Dice) -> bytes:
    head, end, _rest = content.partition(b"\n")
    return head + end + content


def _nothing(_: bytes, dice: Dice) -> bytes:
    return dice.choice(
        [b"", b"\n", b" ", b"\0", b"\xef\xbb\xbf", b"null", b"[]", b"{}", b'""', b"\n" * 10_000]
    )


# fmt: off
_BYTES = [
    _flip, _flip, _cut, _drop, _double, _splice, _insert, _insert, _number, _number, _recode,
    _first_line_twice, _nothing,
]
# fmt: on


# Ways to break a workbook inside, with the archive whole around it.


def _inside(content: bytes, dice: Dice) -> bytes:
    return _rezip(content, dice, lambda data: dice.choice(_BYTES)(data, dice))


def _cell_names(content: bytes, dice: Dice) -> bytes:
    odd = [
        b'r="XFD1048576"',
        b'r="A1048576"',
        b'r="ZZZZ1"',
        b'r="A0"',
        b'r="A99999999999"',
        b'r=""',
        b'r="1A"',
        b'r="XFD2"',
    ]
    name, count = dice.choice(odd), dice.choice([1, 1, 0])
    return _rezip(content, dice, lambda data: re.sub(rb'r="[A-Z]+\d+"', name, data, count=count))


def _types(content: bytes, dice: Dice) -> bytes:
    odd = [
        b't="s"',
        b't="n"',
        b't="e"',
        b't="b"',
        b't="d"',
        b't="inlineStr"',
        b't="str"',
        b't="zz"',
        b's="9999"',
        b's="-1"',
    ]
    return _rezip(content, dice, lambda data: re.sub(rb't="\w+"', dice.choice(odd), data))


def _entities(content: bytes, dice: Dice) -> bytes:
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (i, b"&l%d;" % (i - 1) * 10) for i in range(1, 10))
    odd = [
        b'<!DOCTYPE x [<!ENTITY l0 "ha">' + laughs + b"]>",
        b'<!DOCTYPE x [<!ENTITY l9 SYSTEM "file:///etc/passwd">]>',
    ]

    def put(data: bytes) -> bytes:
        head, mark, rest = data.partition(b"?>")
        declared = head + mark + dice.choice(odd) + rest if mark else dice.choice(odd) + data
        return re.sub(rb"<(v|t)>[^<]*", rb"<\1>&l9;", declared)

    return _rezip(content, dice, put)


def _swell(content: bytes, dice: Dice) -> bytes:
    size = dice.choice([10**7, 10**8])
    return _rezip(
        content, dice, lambda data: re.sub(rb"<t[^>]*>", lambda m: m[0] + b"A" * size, data, count=1)
    )


def _many_cells(content: bytes, dice: Dice) -> bytes:
    count = dice.choice([10**5, 10**6])
    return _rezip(
        content, dice, lambda data: data.replace(b"</row>", b'<c t="n"><v>1</v></c>' * count + b"</row>", 1)
    )


def _lose(content: bytes, dice: Dice) -> bytes:
    return _rezip(content, dice, lambda _: None)


def _rezip(content: bytes, dice: Dice, change: Callable[[bytes], bytes | None]) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # broken already
        return content
    names = [name for name in entries if name.endswith((".xml", ".rels"))]
    sheets = [name for name in names if "sheet" in name or "shared" in name.lower()]
    if not names:
        return content
    chosen = dice.choice(sheets if sheets and dice.random() < 0.8 else names)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            new = change(data) if name == chosen else data
            if new is not None:
                archive.writestr(zipfile.ZipInfo(name), new, zipfile.ZIP_DEFLATED)
    return file.getvalue()


_WORKBOOK = [
    _inside,
    _inside,
    _inside,
    _cell_names,
    _cell_names,
    _types,
    _entities,
    _swell,
    _many_cells,
    _lose,
]
