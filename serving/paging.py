"""Pages of lists, the same way everywhere: ``limit`` and ``cursor`` in, a cursor and a link out."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

_MAX_CURSOR = 16 * 2**10
"""Above that of any two ids of 512 characters, and within what an address may hold."""

Limit = Annotated[int, Query(ge=1, le=500, description="Items on a page.")]
Cursor = Annotated[
    str | None, Query(max_length=_MAX_CURSOR, description="The `next_cursor` of the page before.")
]


def next_page(request: Request, reply: Response, cursor: str | None) -> dict[str, str | None]:
    """Give the fields of a page that lead to the next one, and set header ``Link`` (RFC 8288)."""
    if cursor is None:
        return {"next_cursor": None, "next": None}
    url = request.url.include_query_params(cursor=cursor)
    address = f"{url.path}?{url.query}"
    reply.headers["Link"] = f'<{address}>; rel="next"'
    return {"next_cursor": cursor, "next": address}
