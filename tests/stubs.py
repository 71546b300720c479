"""What stands in for a model in tests: a tagger that goes by key words, and rows for the store."""

import re
from datetime import UTC, datetime, timedelta

from data.responses import Response
from data.tags import Evidence, Tag, TaggedResponse
from data.taxonomy import parse_taxonomy

TAXONOMY = parse_taxonomy(
    """
name: stub
version: 3
codes:
  - {id: billing.unexpected-charge, label: Unexpected charge}
  - {id: pricing.too-expensive, label: Too expensive}
  - {id: support.attitude, label: Attitude of staff}
"""
)
WORDS = {
    "billed": "billing.unexpected-charge",
    "price": "pricing.too-expensive",
    "agent": "support.attitude",
}
STRANGE = "qwrtp"
"""The comment that it abstains from."""


class StubTagger:
    """Tags by key word; a part with "lovely" in it is praise. It counts the comments that it reads."""

    def __init__(self, name="stub/1", max_comment_chars=2000):
        self.name, self.taxonomy, self.max_comment_chars = name, TAXONOMY, max_comment_chars
        self.read = 0

    def at(self, point):
        return self if point == "balanced" else StubTagger(f"{self.name}@{point}", self.max_comment_chars)

    def tag(self, responses):
        return [self._tag(response) for response in responses]

    def _tag(self, response):
        comment = response.comment
        if comment is None or not comment.strip():
            return TaggedResponse(response, "no_comment", (), self.name, 3)
        self.read += 1
        if len(comment) > self.max_comment_chars:
            return TaggedResponse(response, "error", (), self.name, 3, "the comment is too long")
        tags = tuple(
            Tag(
                WORDS[part.group(1).lower()],
                "positive" if "lovely" in part.group() else "negative",
                0.9,
                (Evidence(part.start(), part.end(), part.group()),),
            )
            for part in re.finditer(rf"({'|'.join(WORDS)})[^,.]*", comment, re.IGNORECASE)
        )
        status, strange = "tagged" if tags else "uncoded", comment == STRANGE
        return TaggedResponse(response, status, tags, self.name, 3, abstained=strange)


def response(key, score=3, comment="Billed twice", **more):
    """Give a response whose date follows from the number in its id."""
    day = datetime(2026, 4, 1, tzinfo=UTC) + timedelta(hours=int(re.sub(r"\D", "", key) or 0))
    return Response(key, score, comment, more.pop("responded_at", day), **more)


def tagged(key, score=3, comment="Billed twice", **more):
    """Give the same, tagged."""
    return StubTagger().tag([response(key, score, comment, **more)])[0]
