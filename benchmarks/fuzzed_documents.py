"""Well-formed documents of every format that the product reads, some with a value or two that are odd.

Each maker gives the suffix of a file, its bytes, and for what is sent over HTTP the source or the address.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.sample import sample_path
from tests import events

Dice = random.Random
Made = tuple[str, bytes, str]

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".parquet")
COMMENTS = [
    "Billed twice, but the agent was lovely.",
    'They said "never again", and I agree; twice',
    "Zu teuer \u2013 und der Ton \U0001f621",
    "two\nlines, \u200bzero width",
    '=HYPERLINK("http://x","y")',
    "N/A",
    "  ",
    "e\u0301 \u05d0\u05d1 \u0627\u0644",
]
# fmt: off
ODD_VALUES: list[Any] = [
    None, True, 0, -1, 10**30, -(10**4000), 1e308, 5e-324, "", " ", "\0", "\ud83d", "\udc00x", "NaN",
    "1e999999", "\u202eevil", "a" * 70_000, "9" * 5000, [], {}, [[]], {"": {}}, [None] * 300,
    {"a": {"b": {"c": [1]}}}, "2026-02-30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "../../etc/passwd", "\u00b2", "\u0663",
]
# fmt: on


def _rows(dice: Dice) -> list[dict[str, Any]]:
    rows = []
    for number in range(dice.choice([1, 3, 20])):
        row: dict[str, Any] = {
            "response_id": f"r{number}",
            "score": dice.randrange(11),
            "comment": dice.choice(COMMENTS),
            "responded_at": f"2026-04-{1 + number:02}",
            "respondent_id": f"p{number % 3}",
            "weight": dice.choice([1, 2.5]),
            "Shop": dice.choice(["North", "=1+1", "S\u00fcd"]),
        }
        rows.append(row)
    return rows


def _odd(value: Any, dice: Dice) -> Any:
    """Break a JSON value somewhere."""
    if dice.random() < 0.3 or not isinstance(value, dict | list) or not value:
        return dice.choice(ODD_VALUES)
    if isinstance(value, dict):
        name = dice.choice(list(value))
        way = dice.randrange(5)
        if way == 0:
            return {key: inner for key, inner in value.items() if key != name}
        if way == 1:
            return value | {
                dice.choice(["", "\ud800", "x" * 5000, "status", "tags"]): dice.choice(ODD_VALUES)
            }
        return value | {name: _odd(value[name], dice)}
    place = dice.randrange(len(value))
    return [*value[:place], _odd(value[place], dice), *value[place + 1 :]]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def _lines(rows: list[Any], dice: Dice) -> bytes:
    if dice.random() < 0.5:
        place = dice.randrange(len(rows))
        rows = [*rows[:place], _odd(rows[place], dice), *rows[place + 1 :]]
    return b"".join(_json(row) + b"\n" for row in rows)


def _separated(rows: list[dict[str, Any]], separator: str, dice: Dice) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, lineterminator=dice.choice(["\n", "\r\n", "\r"]))
    names = list(rows[0])
    if dice.random() < 0.2:
        names[-1] = dice.choice([names[0], "", "status", "Q1: Why?\nReally?", "a" * 5000])
    writer.writerow(names)
    for row in rows:
        cells = list(row.values())
        if dice.random() < 0.1:
            cells[dice.randrange(len(cells))] = str(dice.choice(ODD_VALUES))[:5000].replace("\ud83d", "?")
        writer.writerow([str(cell).encode("utf-8", "replace").decode() for cell in cells])
    return file.getvalue().encode(dice.choice(["utf-8"] * 5 + ["utf-8-sig", "utf-16"]), "replace")


def _workbook(rows: list[dict[str, Any]], dice: Dice) -> bytes:
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=dice.random() < 0.3)
    sheet = book.create_sheet() if book.write_only else book.active
    sheet.append(list(rows[0]))
    odd = [datetime(2026, 4, 1), date(1900, 1, 1), timedelta(days=9), True, 1e308, "=1/0", "#REF!", None]
    for row in rows:
        cells = [
            ILLEGAL_CHARACTERS_RE.sub("", cell) if isinstance(cell, str) else cell for cell in row.values()
        ]
        if dice.random() < 0.3:
            cells[dice.randrange(len(cells))] = dice.choice(odd)
        sheet.append(cells)
    if not book.write_only and dice.random() < 0.2:
        sheet.merge_cells("A1:C2")
    file = io.BytesIO()
    book.save(file)
    return timeless(file.getvalue())


def timeless(content: bytes) -> bytes:
    """Give a workbook without the times at which it was made, so that it can be made again."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(file, "w") as made:
        for name in given.namelist():
            data = re.sub(rb"20\d\d-\d\d-\d\dT[\d:]+Z", b"2026-04-01T00:00:00Z", given.read(name))
            made.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _parquet(rows: list[dict[str, Any]], dice: Dice) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(rows)
    count = table.num_rows
    odd = [
        ("Shop", pa.array([[1, 2]] * count)),
        ("Shop", pa.array([{"a": 1}] * count)),
        ("Shop", pa.array([b"\xff\xfe"] * count)),
        ("score", pa.array([Decimal("3.50")] * count)),
        ("score", pa.array([float("nan")] * count)),
        ("score", pa.array(["3"] * count).dictionary_encode()),
        ("responded_at", pa.array([2**62] * count, pa.timestamp("ns"))),
        ("responded_at", pa.array([-(2**62)] * count, pa.timestamp("us", "UTC"))),
        ("responded_at", pa.array([datetime(2026, 4, 1, tzinfo=UTC)] * count)),
        ("weight", pa.nulls(count)),
        ("weight", pa.array([2**63 - 1] * count)),
        ("comment", pa.array([7] * count)),
        ("response_id", pa.array([timedelta(days=1)] * count)),
    ]
    if dice.random() < 0.6:
        name, column = dice.choice(odd)
        table = table.set_column(table.column_names.index(name), name, column)
    file = io.BytesIO()
    pq.write_table(table, file, compression=dice.choice(["snappy", "zstd", "none", "gzip"]))
    return file.getvalue()


def _table(rows: list[dict[str, Any]], dice: Dice, suffixes: list[str]) -> Made:
    suffix = dice.choice(suffixes)
    if suffix in (".jsonl", ".ndjson"):
        return suffix, _lines(rows, dice), ""
    if suffix in (".csv", ".tsv"):
        return suffix, _separated(rows, "\t" if suffix == ".tsv" else dice.choice(",,;|"), dice), ""
    return suffix, (_workbook if suffix == ".xlsx" else _parquet)(rows, dice), ""


def _responses(dice: Dice) -> Made:
    return _table(_rows(dice), dice, list(TABLES))


def _tags(dice: Dice) -> Made:
    tag = {"code": "billing.charge", "polarity": "negative", "probability": 0.9}
    tag["evidence"] = [{"start": 0, "end": 6, "text": "Billed"}]  # type: ignore[assignment]
    more = {"status": "tagged", "tags": [tag], "model": "reason-codes/1", "taxonomy_version": 1}
    rows = [row | more | {"comment": COMMENTS[0]} for row in _rows(dice)]
    if dice.random() < 0.4:
        rows = [row | {"tags": json.dumps(row["tags"])} for row in rows]
        return _table(rows, dice, [".csv", ".xlsx", ".parquet"])
    return _table(rows, dice, [".jsonl", ".ndjson"])


def _annotations(dice: Dice) -> Made:
    with sample_path("annotations.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(dice.choice([1, 5, 30])), strict=False)]
    return ".jsonl", _lines(rows, dice), ""


def _audit(dice: Dice) -> Made:
    design = {
        "id": "0123456789ab",
        "model": "reason-codes/1",
        "taxonomy_version": 1,
        "drawn_at": "2026-05-01T10:00:00Z",
        "stratify": "score",
        "seed": 1,
        "drawn": 5,
        "frame_size": 10,
        "frame_digest": "0123456789abcdef" * 2,
    }
    label = {"code": "billing.charge", "polarity": "negative"}
    rows = [
        {
            "response_id": f"r{i}",
            "comment": COMMENTS[0],
            "taxonomy_version": 1,
            "codes": [label] * (i % 2),
            "audit": design | {"item": i + 1, "inclusion_probability": 0.5, "stratum": i % 3},
        }
        for i in range(5)
    ]
    return ".jsonl", _lines(rows, dice), ""


def _taxonomy(dice: Dice) -> Made:
    return ".yaml", _broken_yaml(sample_path("taxonomy.yaml").read_text(encoding="utf-8"), dice), ""


def _connectors(dice: Dice) -> Made:
    return ".yaml", _broken_yaml(events.CONNECTORS, dice), ""


def _laugh(level: int) -> str:
    """Give a line of a bomb: each level holds the one before nine times."""
    return f"b{level}: &l{level + 1} [{','.join([f'*l{level}'] * 9)}]\n"


def _broken_yaml(text: str, dice: Dice) -> bytes:
    lines = text.splitlines(keepends=True)
    # fmt: off
    odd = [
        "a: &a [*a]\n", "<<: {a: b}\n", "  - \t- x\n", "? [complex]\n: key\n",
        "!!python/object:os.system x\n", "&x [*y]\n", "version: 1e999\n",
        "version: 0x7fffffffffffffffffff\n", "- " * 3000 + "x\n", "{" * 3000, "name: 2026-13-45\n",
        "id: !!binary aGk\n", "\ufeff", "--- \n---\n", "'open\n", "id: 012\n", "id: yes\n",
        "a: &l1 [x,x,x,x,x,x,x,x,x]\n" + "".join(map(_laugh, range(1, 9))),
    ]
    # fmt: on
    for _ in range(dice.choice([0, 1, 2])):
        place = dice.randrange(len(lines))
        way = dice.randrange(4)
        if way == 0:
            del lines[place : place + dice.choice([1, 3])]
        elif way == 1:
            lines.insert(place, lines[dice.randrange(len(lines))] if lines else "")
        elif way == 2:
            lines.insert(place, dice.choice(odd))
        else:
            lines[place] = re.sub(r":.*", ": " + str(dice.choice(ODD_VALUES))[:200], lines[place])
        lines = lines or ["\n"]
    return "".join(lines).encode("utf-8", "surrogatepass")


def _benchmarks(dice: Dice) -> Made:
    rows = [{"metric": "NPS", "value": 30, "label": "peers", "low": 20, "high": 40, "n": 500}]
    return _table(rows, dice, [".csv", ".xlsx", ".jsonl"])


def _event(dice: Dice) -> Made:
    source = dice.choice(["delighted", "shop-form", "asknicely", "surveymonkey", "desk"])
    makers: dict[str, Callable[[], Any]] = {
        "delighted": events.delighted,
        "shop-form": events.typeform,
        "asknicely": events.asknicely,
        "surveymonkey": events.surveymonkey,
        "desk": events.desk,
    }
    event = makers[source]()
    return ".json", _json(_odd(event, dice) if dice.random() < 0.7 else event), source


def _body(dice: Dice) -> Made:
    """Make the JSON of a request; the source names its address."""
    rows = _rows(dice)
    label = {"code": "support.attitude", "polarity": "negative"}
    annotation = {"response_id": "r1", "comment": "x", "taxonomy_version": 3, "codes": [label]}
    bodies: dict[str, Any] = {
        "POST /v1/tag": {"responses": rows, "operating_point": "balanced"},
        "POST /v1/responses": {"responses": rows, "mask": ["email"]},
        "POST /v1/annotations": {"annotations": [annotation]},
        "PUT /v1/responses/r1": rows[0],
        "PATCH /v1/responses/r1": {"score": 3, "comment": "x"},
        "POST /v1/webhook-subscriptions": {"url": "https://example.com/x", "events": ["response.created"]},
        "POST /v1/session": {"key": "wsk_x"},
    }
    address = dice.choice(list(bodies))
    body = bodies[address]
    return ".json", _json(_odd(body, dice) if dice.random() < 0.8 else body), address


KINDS: list[tuple[str, Callable[[Dice], Made]]] = [
    ("responses", _responses),
    ("responses", _responses),
    ("responses", _responses),
    ("tags", _tags),
    ("annotations", _annotations),
    ("audit", _audit),
    ("taxonomy", _taxonomy),
    ("connectors", _connectors),
    ("benchmarks", _benchmarks),
    ("event", _event),
    ("body", _body),
]
