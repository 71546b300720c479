"""Stored responses of other models, and tags that replace theirs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, select, update

from data.store import Page, Store
from data.store_rows import READ, READ_TAGS, assemble, by_ids, canonical
from data.store_schema import changes, responses, tags
from data.store_writing import replace_responses
from data.tags import TaggedResponse


def tagged_otherwise(store: Store, *, model: str, taxonomy_version: int, limit: int, after: str) -> Page:
    """Give a page of the responses that another model or taxonomy tagged, by id.

    Parameters
    ----------
    store
        Where they are.
    model, taxonomy_version
        Those that are left out.
    limit
        Responses on a page.
    after
        The id to go on behind; empty for the first page.
    """
    other = or_(
        responses.c.model.is_distinct_from(model),
        responses.c.taxonomy_version.is_distinct_from(taxonomy_version),
    )
    key = responses.c.response_id
    with store.reading() as connection:
        query = select(*READ).where(other, key > after).order_by(key).limit(limit)
        rows = connection.execute(query).all()
        of_page = tags.c.response_id.in_([row.response_id for row in rows])
        found = assemble(rows, connection.execute(select(*READ_TAGS).where(of_page)))
    return Page(tuple(found), rows[-1].response_id if rows else None)


def replace_tags(rows: Sequence[TaggedResponse], store: Store) -> int:
    """Write the tags of responses that are still what they were when they were read.

    A response that was edited or taken out meanwhile is left alone. Nobody is told, and no follow-up
    opens: customers said nothing new.

    Returns
    -------
    int
        How many were written.
    """
    fresh = {row.response.response_id: row for row in map(canonical, rows)}
    with store.writing() as connection:
        version = connection.scalar(select(changes.c.version).with_for_update())
        before = by_ids(connection, list(fresh))
        changed = [
            row
            for key, row in fresh.items()
            if key in before and before[key].response == row.response and before[key] != row
        ]
        if changed:
            replace_responses(connection, changed)
            connection.execute(update(changes).values(version=(version or 0) + 1))
    return len(changed)
