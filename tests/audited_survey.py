"""A survey whose model errs, with what people say of it: for the tests of audits."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np

from data.responses import Response
from data.tags import Tag, TaggedResponse
from data.taxonomy import parse_taxonomy

TAXONOMY_TEXT = """
name: shop
version: 2
codes:
  - {id: bill.late}
  - {id: bill.wrong}
  - {id: staff.rude}
  - {id: rare.thing}
"""
TAXONOMY = parse_taxonomy(TAXONOMY_TEXT)
CODES = TAXONOMY.active
RATES = (0.25, 0.1, 0.15, 0.01)


def survey(n=1200, seed=3, model="reason-codes/4", version=2):
    """Give tagged responses; a comment's words say which codes truly apply, and the model errs on them."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        score = int(rng.choice([2, 7, 10], p=[0.4, 0.3, 0.3]))
        when = datetime(2026, 4, 1, tzinfo=UTC) + timedelta(days=number % 60)
        region = "North" if number % 4 else "South"
        response = Response(f"r{number}", score, None, when, segments={"region": region})
        if rng.random() < 0.2:
            rows.append(TaggedResponse(response, "no_comment", (), model, version))
            continue
        true = rng.random(len(CODES)) < np.array(RATES) * (2 if score == 2 else 0.6)
        claimed = np.where(true, rng.random(len(CODES)) < 0.7, rng.random(len(CODES)) < 0.03)
        comment = f"No. {number}: {' '.join(code for code, holds in zip(CODES, true, strict=True) if holds)}"
        tags = tuple(Tag(code, "negative", 0.9) for code, holds in zip(CODES, claimed, strict=True) if holds)
        response = Response(f"r{number}", score, comment, when, segments={"region": region})
        rows.append(TaggedResponse(response, "tagged" if tags else "uncoded", tags, model, version))
    return rows


def said_of(comment):
    """Give the codes that people find in a comment."""
    return [code for code in CODES if re.search(rf"\b{re.escape(code)}\b", comment)]
