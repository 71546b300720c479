"""Tagged responses as rows of the store's tables, there and back."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, null, select

from data.cells import whole_text
from data.responses import FIELDS, Response
from data.store_schema import responses, tags
from data.tags import Evidence, Tag, TaggedResponse

ID_CHUNK = 500
"""Ids in one query: far below what any database takes as parameters."""

_STATED = ("status", "error", "model", "taxonomy_version", "abstained")
READ = [responses.c[name] for name in (*FIELDS, "segments", *_STATED)]
READ_TAGS = [tags.c[name] for name in ("response_id", "code", "polarity", "probability", "evidence")]
"""What makes a tagged response: the fields of `Response` in their order, what is said of it, its tags."""

READ_WITHOUT_TEXT = [null().label("comment") if column.name == "comment" else column for column in READ]
READ_TAGS_WITHOUT_TEXT = [*READ_TAGS[:-1], null().label("evidence")]


def comment_hash(comment: str | None) -> str | None:
    """Give the SHA-256 of a comment to the letter, so that SQL finds equal ones; None for none."""
    return None if comment is None else hashlib.sha256(comment.encode("utf-8", "surrogatepass")).hexdigest()


def canonical(row: TaggedResponse) -> TaggedResponse:
    """Give a tagged response as the store gives it back, so that equal ones compare equal.

    Tags stand likeliest first; of two with the same code and polarity the likelier one stays. Times
    are in UTC. What a database cannot hold (`data.cells.whole_text`) is U+FFFD, one for one.
    """
    row = _whole(row)
    best: dict[tuple[str, str], Tag] = {}
    for tag in sorted(row.tags, key=lambda tag: (-tag.probability, tag.code, tag.polarity)):
        best.setdefault((tag.code, tag.polarity), tag)
    moment = row.response.responded_at
    if moment is not None:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    response = replace(row.response, responded_at=moment, segments=dict(row.response.segments))
    return replace(row, response=response, tags=tuple(best.values()))


def _whole(row: TaggedResponse) -> TaggedResponse:
    """Give a row whose every text a database can hold: PostgreSQL takes no null character."""
    response = row.response
    texts = [response.response_id, response.comment, response.respondent_id, row.error, row.model]
    texts += [
        *response.segments,
        *response.segments.values(),
        *(part.text for t in row.tags for part in t.evidence),
    ]
    if all(text is None or whole_text(text) == text for text in texts):
        return row  # nearly always
    mended = replace(
        response,
        response_id=whole_text(response.response_id),
        comment=_mended(response.comment),
        respondent_id=_mended(response.respondent_id),
        segments={whole_text(name): whole_text(value) for name, value in response.segments.items()},
    )
    found = tuple(
        replace(tag, evidence=tuple(replace(part, text=whole_text(part.text)) for part in tag.evidence))
        for tag in row.tags
    )
    return replace(row, response=mended, tags=found, error=_mended(row.error), model=_mended(row.model))


def _mended(text: str | None) -> str | None:
    return None if text is None else whole_text(text)


def response_values(row: TaggedResponse, now: datetime) -> dict[str, Any]:
    """Give the columns of table ``responses``."""
    response = row.response
    return {
        "response_id": response.response_id,
        "score": response.score,
        "comment": response.comment,
        "responded_at": response.responded_at,
        "respondent_id": response.respondent_id,
        "weight": response.weight,
        "segments": response.segments,
        "status": row.status,
        "error": row.error,
        "abstained": row.abstained,
        "model": row.model,
        "taxonomy_version": row.taxonomy_version,
        "text_hash": comment_hash(response.comment),
        "received_at": now,
        "updated_at": now,
    }


def tag_values(row: TaggedResponse) -> list[dict[str, Any]]:
    """Give the columns of table ``tags``, once for each tag."""
    return [{"response_id": row.response.response_id, **tag.to_record()} for tag in row.tags]


def by_ids(
    connection: Connection, ids: Sequence[str], *held: ColumnElement[bool]
) -> dict[str, TaggedResponse]:
    """Read the tagged responses of some ids that meet some conditions, by id."""
    found: dict[str, TaggedResponse] = {}
    for start in range(0, len(ids), ID_CHUNK):
        part = ids[start : start + ID_CHUNK]
        rows = connection.execute(select(*READ).where(responses.c.response_id.in_(part), *held)).all()
        of_part = connection.execute(select(*READ_TAGS).where(tags.c.response_id.in_(part)))
        found |= {row.response.response_id: row for row in assemble(rows, of_part)}
    return found


def assemble(rows: Iterable[Sequence[Any]], tag_rows: Iterable[Sequence[Any]]) -> list[TaggedResponse]:
    """Put responses (columns `READ`) and their tags (`READ_TAGS`) together, in the order of the responses."""
    of_response: defaultdict[str, list[Tag]] = defaultdict(list)
    for response_id, code, polarity, probability, evidence in tag_rows:
        parts = tuple(Evidence(part["start"], part["end"], part["text"]) for part in evidence or ())
        of_response[response_id].append(Tag(code, polarity, probability, parts))
    return [_tagged(row, of_response.get(row[0], [])) for row in rows]


def _tagged(row: Sequence[Any], found: list[Tag]) -> TaggedResponse:
    *own, status, error, model, version, abstained = row
    found.sort(key=lambda tag: (-tag.probability, tag.code, tag.polarity))
    return TaggedResponse(Response(*own), status, tuple(found), model, version, error, abstained)
