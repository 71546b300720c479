"""A request for tags on its way through the event loop: read, tagged together with others, answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response as Answer
from starlette.requests import ClientDisconnect

from data.masking import mask_response
from data.personal_data import parse_kinds
from data.responses import Response
from data.tags import TaggedResponse
from serving import metrics
from serving.ingest import ResponseTagger
from serving.items import read_tag_request
from serving.micro_batches import MicroBatches
from serving.problems import FieldError
from serving.request_facts import note_items
from serving.state import ServiceState
from serving.uploads import JSON, media_type_of, require_media_type

# What is larger is parsed and written outside the event loop, which it would hold up.
_SMALL_BODY = 16_384
_SMALL_ANSWER = 32
# Requests that are answered sooner need nobody to look whether their client is still there.
_PATIENCE_S = 0.25


async def tag_together(request: Request, pinned: str | None = None) -> Answer:
    """Answer a request for tags; see `serving.endpoints_tagging.tag_responses`.

    Parameters
    ----------
    request
        As it came.
    pinned
        The model that the address names; None where it names none.

    Raises
    ------
    NotFoundError
        If there is no such model.
    FieldError
        If the body names another one.
    """
    state: ServiceState = request.app.state.service
    room: MicroBatches = request.app.state.micro_batches
    require_media_type(media_type_of(request), [JSON])
    body = await request.body()
    if len(body) <= _SMALL_BODY:
        wanted, responses, faults = read_tag_request(body, state.scale)
    else:
        wanted, responses, faults = await run_in_threadpool(read_tag_request, body, state.scale)
    if pinned is not None and wanted.model not in (None, pinned):
        raise FieldError("the address names another model", ("model",))
    note_items(len(responses))
    name = pinned or wanted.model
    # Once: all of a request is read by one model. One that is named may have to be loaded.
    current = state.tagger if name is None else await run_in_threadpool(state.tagger_for, name)
    tagger = current.at(wanted.operating_point)
    kinds = parse_kinds((*state.settings.mask_kinds, *wanted.mask))
    sound = [one for place, one in enumerate(responses) if place not in faults] if faults else responses
    if kinds:
        masked = await run_in_threadpool(lambda: [mask_response(one, kinds) for one in sound])
        found = await _while_connected(request, room.tag([one.response for one in masked], tagger))
        rows = [one.restore(row) for one, row in zip(masked, found, strict=True)]
    else:
        rows = await _while_connected(request, room.tag(sound, tagger))
    if faults:
        rows = _with_faults(rows, responses, faults, tagger)
    head = {
        "model": tagger.name,
        "operating_point": wanted.operating_point,
        "taxonomy_version": tagger.taxonomy.version,
    }
    if len(rows) <= _SMALL_ANSWER:
        content = _write(head, rows)
    else:
        content = await run_in_threadpool(_write, head, rows)
    return Answer(content, media_type=JSON)


def _with_faults(
    rows: Sequence[TaggedResponse],
    responses: Sequence[Response],
    faults: Mapping[int, str],
    tagger: ResponseTagger,
) -> list[TaggedResponse]:
    """Put records of the items that could not be understood between those of the others."""
    said_by = (tagger.name, tagger.taxonomy.version)
    wrong = {
        place: TaggedResponse(responses[place], "error", (), *said_by, fault)
        for place, fault in faults.items()
    }
    metrics.saw_tags(wrong.values())
    others = iter(rows)
    return [wrong[place] if place in wrong else next(others) for place in range(len(responses))]


def _write(head: dict[str, Any], rows: Sequence[TaggedResponse]) -> bytes:
    return orjson.dumps(head | {"responses": [row.to_record() for row in rows]})


async def _while_connected(request: Request, work: Any) -> list[TaggedResponse]:
    """Do a request's work, and stop where its client goes away: nobody would read the answer.

    Raises
    ------
    ClientDisconnect
        If it went away.
    """
    task: asyncio.Task[list[TaggedResponse]] = asyncio.ensure_future(work)
    watch: asyncio.Task[None] | None = None
    try:
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE_S)
        if not done:
            watch = asyncio.ensure_future(_gone(request))
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        for left in (task, watch):
            if left is not None and not left.done():
                left.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
