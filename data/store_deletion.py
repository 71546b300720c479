"""Responses out of the store, with all that hangs on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from sqlalchemy import Connection, delete, select, update

from data.audit_trail import erase_texts
from data.follow_up_schema import follow_ups
from data.responses import Response
from data.service_schema import kept_annotations
from data.store_rows import ID_CHUNK, READ, assemble
from data.store_schema import changes, responses, tags
from data.webhook_schema import webhook_messages

DeleteHook = Callable[[Connection, Sequence[str]], object]
"""Takes the transaction, and the ids of responses that are about to go."""


def delete_responses(connection: Connection, ids: Sequence[str], hooks: Sequence[DeleteHook] = ()) -> int:
    """Delete responses, and give how many there were.

    With them go their tags, their annotations, the webhooks that tell of them, and what people wrote in
    their follow-ups; of these the trail remains, which says what was done and holds no text.
    """
    version = connection.scalar(select(changes.c.version).with_for_update())
    gone = 0
    for part in _parts(ids):
        for hook in hooks:
            hook(connection, part)
        connection.execute(delete(kept_annotations).where(kept_annotations.c.response_id.in_(part)))
        connection.execute(delete(webhook_messages).where(webhook_messages.c.response_id.in_(part)))
        of_part = select(follow_ups.c.follow_up_id).where(follow_ups.c.response_id.in_(part))
        erase_texts(connection, list(connection.scalars(of_part)))
        gone += connection.execute(delete(responses).where(responses.c.response_id.in_(part))).rowcount
    if gone:
        connection.execute(update(changes).values(version=(version or 0) + 1))
    return gone


def responses_of(connection: Connection, respondent_id: str) -> list[Response]:
    """Give what the store holds of a respondent."""
    rows = connection.execute(select(*READ).where(responses.c.respondent_id == respondent_id)).all()
    return [row.response for row in assemble(rows, ())]


def forget_respondent(
    connection: Connection,
    respondent_ids: Sequence[str],
    names: Iterable[str] = (),
    hooks: Sequence[DeleteHook] = (),
) -> tuple[int, int, int, int]:
    """Delete the responses of a respondent's ids with their tags, and annotations of those and of more.

    Returns
    -------
    tuple of int
        Responses, tags, parts of comments that carried them, annotations.
    """
    connection.scalar(select(changes.c.version).with_for_update())  # writers take turns
    of_them = responses.c.respondent_id.in_(respondent_ids)
    ids = list(connection.scalars(select(responses.c.response_id).where(of_them)))
    evidence = [
        len(row.evidence or ())
        for part in _parts(ids)
        for row in connection.execute(select(tags.c.evidence).where(tags.c.response_id.in_(part)))
    ]
    annotated = 0
    for part in _parts(sorted({*ids, *names})):
        held = kept_annotations.c.response_id.in_(part)
        annotated += connection.execute(delete(kept_annotations).where(held)).rowcount
    return delete_responses(connection, ids, hooks), len(evidence), sum(evidence), annotated


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + ID_CHUNK] for start in range(0, len(ids), ID_CHUNK))
