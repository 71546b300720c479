"""Makes a Parquet tags file of any size, the same one every time: what `benchmarks/scale.py` ranks.

Invented answers of a company with 30 codes and 6 segments: 65% with a comment, up to four codes each, real
evidence beside every tag, weights that differ, 3% without a score; 30% of the answers come from people who
gave two or more. Country, plan and age belong to the person, the other segments to the answer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.annotations import POLARITIES
from data.tags import parquet_schema

AREAS = (
    "billing",
    "delivery",
    "product",
    "support",
    "app",
    "price",
    "store",
    "account",
    "contract",
    "network",
)
CODES = tuple(f"{area}.{what}" for area in AREAS for what in ("mistake", "waiting", "attitude"))
SEGMENTS = {"country": 8, "plan": 4, "age": 6, "channel": 4, "product": 10, "touchpoint": 12}
PERSONAL = ("country", "plan", "age")
BLOCK = 131_072
_SCORES = (0.05, 0.02, 0.02, 0.03, 0.03, 0.06, 0.06, 0.10, 0.18, 0.20, 0.25)
_PHRASES = [
    f"The {thing} was {how} again and nobody could tell me {what}"
    for thing in ("bill", "parcel", "agent", "app", "queue", "contract", "shop", "line")
    for how in ("wrong", "late", "fine", "lovely", "rude", "far too slow", "out of order")
    for what in ("why", "when it ends", "whom to call", "what it costs", "how long it takes")
]
_QUOTED = 14  # characters of a phrase that are the evidence


def write_answers(path: Path, rows: int, seed: int = 0) -> None:
    """Write a tags file of that many rows, in the layout of ``whyscore tag -o tags.parquet``."""
    schema = parquet_schema(tuple(SEGMENTS))
    partial = path.with_suffix(".partial")
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for first in range(0, rows, BLOCK):
            rng = np.random.default_rng((seed, first))
            block = _block(rng, first, min(BLOCK, rows - first), rows)
            writer.write_table(pa.table(block, schema=schema))
    partial.replace(path)


def _block(rng: np.random.Generator, first: int, n: int, rows: int) -> dict[str, pa.Array]:
    score = rng.choice(11, n, p=_SCORES).astype(float)
    commented, failed = rng.random(n) < 0.65, rng.random(n) < 0.001
    read = commented & ~failed
    sizes = np.where(read & (rng.random(n) < 0.85), np.minimum(4, 1 + rng.poisson(0.5, n)), 0)
    number = np.arange(first, first + n)
    shared = rng.random(n) < 0.30
    person = np.where(shared, rng.integers(0, max(1, rows * 3 // 25), n), rows + number)
    status = np.select([~commented, failed, sizes > 0], ["no_comment", "error", "tagged"], "uncoded")
    phrases = pa.array(_PHRASES)
    texts = [phrases.take(pa.array(rng.integers(0, len(_PHRASES), n))) for _ in range(2)]
    comment = pc.binary_join_element_wise(*texts, pa.array(number).cast(pa.string()), ". ")
    day = rng.integers(0, 180 * 86_400, n).astype("timedelta64[s]")
    return {
        "response_id": _named("r", number),
        "score": _some(pa.array(score), rng.random(n) < 0.97),
        "comment": _some(comment, commented),
        "responded_at": pa.array((np.datetime64("2026-01-01", "us") + day).astype("datetime64[us]")).cast(
            pa.timestamp("us", tz="UTC")
        ),
        "respondent_id": _some(_named("p", person), rng.random(n) < 0.95),
        "weight": pa.array(np.round(rng.gamma(4.0, 0.25, n), 3)),
        **{name: _segment(rng, name, person) for name in SEGMENTS},
        "status": pa.array(status),
        "tags": _tags(rng, sizes, score),
        "model": pa.array(["reason-codes/7"] * n),
        "taxonomy_version": pa.array(np.full(n, 3)),
        "error": _some(pa.array(["the comment is too long"] * n), commented & failed),
        "abstained": pa.array((status == "uncoded") & (rng.random(n) < 0.05)),
    }


def _tags(rng: np.random.Generator, sizes: NDArray[np.int64], score: NDArray[np.float64]) -> pa.Array:
    offsets = np.append(0, np.cumsum(sizes)).astype(np.int32)
    m = int(offsets[-1])
    often = 1.0 / np.arange(1, len(CODES) + 1) ** 0.8
    code = rng.choice(len(CODES), m, p=often / often.sum())
    happy = np.repeat(score >= 9, sizes)
    praise = rng.random(m) < np.where(happy, 0.7, 0.15)
    polarity = np.where(praise, POLARITIES.index("positive"), POLARITIES.index("negative"))
    polarity = np.where(~praise & (rng.random(m) < 0.1), POLARITIES.index("neutral"), polarity)
    quoted = pc.utf8_slice_codeunits(pa.array(_PHRASES), 0, _QUOTED)
    evidence = pa.StructArray.from_arrays(
        [
            pa.array(np.zeros(m, dtype=np.int64)),
            pa.array(np.full(m, _QUOTED)),
            quoted.take(pa.array(rng.integers(0, len(_PHRASES), m))),
        ],
        names=["start", "end", "text"],
    )
    tags = pa.StructArray.from_arrays(
        [
            pa.array(CODES).take(pa.array(code)),
            pa.array([str(name) for name in POLARITIES]).take(pa.array(polarity)),
            pa.array(np.round(rng.uniform(0.3, 1.0, m), 4)),
            pa.ListArray.from_arrays(pa.array(np.arange(m + 1, dtype=np.int32)), evidence),
        ],
        names=["code", "polarity", "probability", "evidence"],
    )
    return pa.ListArray.from_arrays(pa.array(offsets), tags)


def _segment(rng: np.random.Generator, name: str, person: NDArray[np.int64]) -> pa.Array:
    size = SEGMENTS[name]
    drawn = rng.integers(0, size, person.size)
    # Every 33rd answer says nothing; a person's own segments are a function of the person.
    own = (person * 2_654_435_761 + len(name) * 97) // 7 % (33 * size)
    place = np.where(own < size, -1, own % size) if name in PERSONAL else drawn
    blank = place < 0 if name in PERSONAL else rng.random(person.size) < 0.03
    return _some(pa.array([f"{name} {i}" for i in range(size)]).take(pa.array(np.maximum(0, place))), ~blank)


def _named(letter: str, number: NDArray[np.int64]) -> pa.Array:
    return pc.binary_join_element_wise(letter, pa.array(number).cast(pa.string()), "")


def _some(values: pa.Array, kept: NDArray[np.bool_]) -> pa.Array:
    return pc.if_else(pa.array(kept), values, None)
