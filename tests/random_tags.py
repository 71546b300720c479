"""Random tagged responses for the tests of whatever reads tags files."""

from datetime import UTC, datetime, timedelta

import numpy as np

from data.responses import Response
from data.scale import NPS, Scale
from data.tags import Evidence, Tag, TaggedResponse

CODES = ("a.one", "a.two", "b", "b.one", "b.two.deep", "flat")
SEGMENTS = ("country", "plan")


def random_tags(
    seed: int, n: int, *, scale: Scale = NPS, weighted: bool = True, codes: tuple[str, ...] = CODES
) -> list[TaggedResponse]:
    """Give every kind of row: unscored, failed, silent, praising; people and response ids that repeat."""
    rng = np.random.default_rng(seed)

    def row(i: int) -> TaggedResponse:
        status = str(rng.choice(["tagged", "uncoded", "no_comment", "error"], p=[0.6, 0.15, 0.2, 0.05]))
        response = Response(
            response_id=f"r{rng.integers(0, n) if rng.random() < 0.05 else i}",
            score=None if rng.random() < 0.08 else float(rng.integers(scale.low, scale.high + 1)),
            comment=None if status == "no_comment" else f"comment {i}",
            responded_at=None
            if rng.random() < 0.1
            else datetime(2026, 1, 30, tzinfo=UTC) + timedelta(hours=int(rng.integers(0, 400))),
            respondent_id=None if rng.random() < 0.3 else f"p{rng.integers(0, max(1, n // 3))}",
            weight=float(rng.choice([0.0, 0.5, 1.0, 1.37, 40.0])) if weighted else 1.0,
            segments={name: str(rng.choice(["x", "y", "z"])) for name in SEGMENTS if rng.random() < 0.8},
        )
        found = () if status != "tagged" else tuple(_tag(rng, codes) for _ in range(rng.integers(1, 5)))
        return TaggedResponse(
            response, status, found, "reason-codes/1", 1, "broken" if status == "error" else None
        )

    return [row(i) for i in range(n)]


def _tag(rng: np.random.Generator, codes: tuple[str, ...]) -> Tag:
    polarity = str(rng.choice(["negative", "neutral", "positive"], p=[0.5, 0.1, 0.4]))
    return Tag(str(rng.choice(codes)), polarity, 0.5, (Evidence(0, 2, "co"),))
