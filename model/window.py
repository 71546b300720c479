"""Responses of a span of days: what a ranking, or an audit of it, is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from data.tags import TaggedResponse
from model.periods import Span, day_of


def answered_within(rows: Iterable[TaggedResponse], span: Span | None) -> Iterator[TaggedResponse]:
    """Yield the responses that were given within a span, in UTC; all of them where it is None.

    A response without a time lies outside every span.
    """
    for row in rows:
        moment = row.response.responded_at
        if span is None or (moment is not None and span.first <= day_of(moment) <= span.last):
            yield row
