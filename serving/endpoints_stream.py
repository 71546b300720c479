"""Tagging as a stream: a line in, a line out, in order; a bad line is an error of its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from data.cells import parse_text, whole_text
from data.errors import InputError, WhyscoreError
from data.personal_data import parse_kinds
from data.responses import FIELDS, Response, parse_response
from data.scale import Scale
from data.tables import Row
from model.operating_points import BALANCED, PointName
from serving.endpoints_tagging import Mask, PinnedModel
from serving.ingest import ResponseTagger
from serving.line_spool import MAX_LINE_BYTES, Line, LineSpool
from serving.masked_tagging import tag_masked
from serving.openapi import file_body, lines_of
from serving.problems import UnsupportedMediaError, declared, words_of
from serving.schemas import ResponseIn
from serving.state import State
from serving.uploads import media_type_of, parse_json

router = APIRouter()

NDJSON = "application/x-ndjson"

OperatingPoint = Annotated[
    PointName, Query(description="Where to draw the line, as `POST /v1/tag` takes it.")
]


class Lines(HttpResponse):
    """A response whose lines are made while the request's are still coming."""

    media_type = NDJSON

    def __init__(self, request: Request, tagging: LineTagging, most: int) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._request, self._tagging, self._most = request, tagging, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        async with LineSpool(self._most) as spool:
            spool.fill(self._request.stream())
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for group in spool.groups():
                body = await run_in_threadpool(self._tagging.answer, group)
                if body:
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class LineTagging:
    """Tags the lines of one stream.

    Parameters
    ----------
    tagger
        The model, at its operating point.
    scale
        The declared scale.
    kinds
        Personal data that the model does not see.
    """

    def __init__(self, tagger: ResponseTagger, scale: Scale, kinds: tuple[str, ...] = ()) -> None:
        self._tagger, self._scale, self._kinds = tagger, scale, kinds
        self._seen: Counter[str] = Counter()  # grows by the lines without an id alone
        self._names = {name: name for name in FIELDS}

    def answer(self, lines: Sequence[Line]) -> bytes:
        """Give the records of some lines, each on a line; blank lines have none."""
        records: list[dict[str, Any] | None] = []
        responses: list[tuple[Line, Response]] = []
        for line in lines:
            if line.content is not None and not line.content.strip():
                continue
            try:
                responses.append((line, self._read(line)))
                records.append(None)
            except InputError as error:
                where = f"{error.column}: " if error.column else ""
                records.append(self._fault(line.number, where + error.message))
        tagged = iter(self._tag(responses))
        whole = [next(tagged) if record is None else record for record in records]
        return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in whole).encode()

    def _tag(self, responses: Sequence[tuple[Line, Response]]) -> list[dict[str, Any]]:
        try:
            rows = tag_masked([response for _, response in responses], self._tagger, self._kinds)
            return [row.to_record() for row in rows]
        except WhyscoreError as error:
            return [self._fault(line.number, error.message, one.response_id) for line, one in responses]

    def _read(self, line: Line) -> Response:
        if line.content is None:
            raise InputError(f"the line is longer than {MAX_LINE_BYTES:,} bytes")
        try:
            text = line.content.decode("utf-8-sig" if line.number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InputError("the line is not UTF-8") from None
        item = _item(parse_json(text, "line"))
        return parse_response(
            Row(line.number, item.cells()), self._names, "body", scale=self._scale, seen=self._seen
        )

    def _fault(self, number: int, sentence: str, response_id: str | None = None) -> dict[str, Any]:
        return {
            "line": number,
            "response_id": response_id,
            "status": "error",
            "error": whole_text(sentence),
            "tags": [],
            "model": self._tagger.name,
            "taxonomy_version": self._tagger.taxonomy.version,
        }


def _item(value: Any) -> ResponseIn:
    try:
        return ResponseIn.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InputError(
            words_of(first), column=parse_text(first["loc"][0]) if first["loc"] else None
        ) from None


@router.post(
    "/v1/tag/stream",
    operation_id="tagStream",
    summary="Tag a stream of responses",
    status_code=200,
    response_class=Lines,
    responses=lines_of("TaggedRecord", "LineError") | declared(404, 415, 422, 503, 507),
    openapi_extra={"requestBody": {"required": True, "content": file_body([NDJSON])}},
)
async def tag_stream(
    request: Request,
    state: State,
    operating_point: OperatingPoint = BALANCED,
    mask: Mask = [],  # noqa: B006 - FastAPI copies it
    pinned: PinnedModel = None,
) -> Lines:
    """Tag JSON lines without storing them, in order, while they arrive.

    Each line is an item as `POST /v1/tag` takes it. A line that cannot be understood has a record with
    its number, the status `error` and the reason; it fails no other. Blank lines have no record. The
    stream may be of any length; all of it is read by one model, the one that serves or the version that
    `model` names.
    """
    if media_type_of(request) != NDJSON:
        raise UnsupportedMediaError(f"the Content-Type must be {NDJSON}")
    tagger = await run_in_threadpool(lambda: state.tagger_for(pinned).at(operating_point))
    kinds = parse_kinds((*state.settings.mask_kinds, *mask))
    return Lines(request, LineTagging(tagger, state.scale, kinds), state.settings.max_upload_mb * 2**20)
