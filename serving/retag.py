"""Tags of a former model replaced by those of another, so that a ranking is of one model again."""

from __future__ import annotations

from collections.abc import Callable

from data.retagging import replace_tags, tagged_otherwise
from data.store import Store
from serving.ingest import CHUNK, ResponseTagger


def retag(store: Store, tagger: ResponseTagger, on_progress: Callable[[int], None] = lambda _: None) -> int:
    """Tag the stored responses that another model or taxonomy tagged, chunk by chunk.

    After a crash the same call goes on with what is left. A response that is edited meanwhile keeps
    what its edit brought.

    Parameters
    ----------
    store
        The responses.
    tagger
        The model whose tags they get.
    on_progress
        Called with the number of responses that are done.

    Returns
    -------
    int
        How many responses have other tags, or another model's name, than before.
    """
    written = done = 0
    after = ""
    while True:
        page = tagged_otherwise(
            store, model=tagger.name, taxonomy_version=tagger.taxonomy.version, limit=CHUNK, after=after
        )
        if page.cursor is None:
            return written
        written += replace_tags(tagger.tag([row.response for row in page.rows]), store)
        done += len(page.rows)
        after = page.cursor
        on_progress(done)
