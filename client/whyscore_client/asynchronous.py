"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from whyscore_client import models as m
from whyscore_client.calls import (
    NDJSON,
    Call,
    Retries,
    as_async,
    get,
    lines_of,
    outcome,
    reply_as,
    segment,
    send_file,
    send_json,
    split_async,
)
from whyscore_client.errors import ConnectionFailedError, JobFailedError, problem_in
from whyscore_client.filters import (
    Filter,
    Item,
    Items,
    ResponseFilter,
    file_options,
    record_of,
    stream_options,
    tag_request,
)
from whyscore_client.follow_ups import AsyncFollowUpMethods
from whyscore_client.keys import AsyncKeyMethods
from whyscore_client.model_versions import AsyncModelMethods
from whyscore_client.webhooks import AsyncWebhookMethods

Reply = TypeVar("Reply")


class AsyncClient(AsyncFollowUpMethods, AsyncKeyMethods, AsyncModelMethods, AsyncWebhookMethods):
    """An asynchronous client of Whyscore's HTTP API.

    Parameters
    ----------
    address
        Of the server, such as ``http://127.0.0.1:8000``.
    api_key
        Sent as header ``Authorization: Bearer``; None where the server asks for none.
    timeout
        Seconds to wait for the server at each step.
    retries
        When to send a request again.
    transport
        As `httpx.AsyncClient` takes it.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.AsyncClient(
            base_url=address, headers=headers, timeout=timeout, transport=transport
        )
        self._retries = retries or Retries()
        self._sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, call: Call[Reply]) -> Reply:
        number = 0
        while True:
            try:
                response: Any = await self._http.request(
                    call.method,
                    call.path,
                    params=dict(call.params),
                    headers=dict(call.headers),
                    content=None if call.content is None else as_async(call.content()),
                )
            except httpx.TransportError as error:
                response = error
            found = outcome(response, number, self._retries, once=call.once)
            if found is None:
                return call.read(response)
            if isinstance(found, Exception):
                raise found
            await self._sleep(found)
            number += 1

    async def tag_stream(
        self,
        responses: Iterable[Item] | AsyncIterable[Item],
        operating_point: m.OperatingPoint = "balanced",
        *,
        model: str | None = None,
        mask: Sequence[str] = (),
    ) -> AsyncIterator[m.TaggedResponse | m.LineError]:
        """Tag responses without storing them, in order; any number of them. It is not sent again."""
        async with self._lines(
            "POST",
            "/v1/tag/stream",
            params=stream_options(operating_point, model, mask),
            headers={"Content-Type": NDJSON},
            content=lines_of(responses),
        ) as lines:
            async for line in lines:
                yield record_of(line)

    async def export_annotations(self) -> AsyncIterator[m.Annotation]:
        """Yield all annotations that are kept, as a file holds them."""
        async with self._lines("GET", "/v1/annotations/export") as lines:
            async for line in lines:
                yield m.Annotation.model_validate_json(line)

    @asynccontextmanager
    async def _lines(self, method: str, path: str, **more: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            async with self._http.stream(method, path, **more) as response:
                if not response.is_success:
                    await response.aread()
                    raise problem_in(response)
                yield split_async(response)
        except httpx.TransportError as error:
            raise ConnectionFailedError(f"the stream broke off ({type(error).__name__})") from error

    async def wait(self, job_id: str, *, every: float = 1.0) -> m.Job:
        """Wait for the end of a job; raises `JobFailedError` where it failed or was cancelled."""
        while not (job := await self.get_job(job_id)).ended:
            await self._sleep(every)
        if job.state != "done":
            raise JobFailedError(job)
        return job

    async def get_health(self) -> m.Health:
        """Tell whether the process is up."""
        reply: m.Health = await self._send(get("/healthz", m.Health))
        return reply

    async def get_readiness(self) -> m.Readiness:
        """Tell whether the service can work."""
        reply: m.Readiness = await self._send(get("/readyz", m.Readiness))
        return reply

    async def tag(
        self,
        responses: Items,
        operating_point: m.OperatingPoint = "balanced",
        *,
        model: str | None = None,
        mask: Sequence[str] = (),
    ) -> m.TagReply:
        """Tag up to 1,000 responses without storing them; `model` pins one, such as ``reason-codes/7``."""
        body = tag_request(responses, operating_point, mask) | ({} if model is None else {"model": model})
        reply: m.TagReply = await self._send(send_json("POST", "/v1/tag", body, m.TagReply))
        return reply

    async def upsert(self, responses: Items, *, mask: Sequence[str] = ()) -> m.UpsertReply:
        """Tag responses and store them, each with a ``response_id``."""
        body = {"responses": responses, "mask": mask}
        reply: m.UpsertReply = await self._send(
            send_json("POST", "/v1/responses", body, m.UpsertReply, keyed=True)
        )
        return reply

    async def upsert_file(
        self,
        file: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        date_format: str | None = None,
        mask: Sequence[str] = (),
    ) -> m.UpsertReply:
        """Tag and store the responses of a file that fits a request; `import_file` takes larger ones."""
        options = file_options(columns, date_format, mask)
        reply: m.UpsertReply = await self._send(send_file("/v1/responses", file, m.UpsertReply, options))
        return reply

    async def list_responses(self, **wanted: Unpack[ResponseFilter]) -> m.ResponsesPage:
        """Give a page of the responses that meet every condition that is set."""
        reply: m.ResponsesPage = await self._send(get("/v1/responses", m.ResponsesPage, **wanted))
        return reply

    async def get_response(self, response_id: str) -> m.TaggedResponse:
        """Give a stored response with its tags."""
        reply: m.TaggedResponse = await self._send(
            get(f"/v1/responses/{segment(response_id)}", m.TaggedResponse)
        )
        return reply

    async def replace_response(
        self, response_id: str, response: Item, *, if_match: str | None = None
    ) -> m.TaggedResponse:
        """Tag a response and store it, instead of the one of its id."""
        reply: m.TaggedResponse = await self._send(
            send_json(
                "PUT", f"/v1/responses/{segment(response_id)}", response, m.TaggedResponse, If_Match=if_match
            )
        )
        return reply

    async def change_response(
        self, response_id: str, change: Item, *, if_match: str | None = None
    ) -> m.TaggedResponse:
        """Change the fields and segments that are given; None takes one away."""
        reply: m.TaggedResponse = await self._send(
            send_json(
                "PATCH", f"/v1/responses/{segment(response_id)}", change, m.TaggedResponse, If_Match=if_match
            )
        )
        return reply

    async def delete_response(self, response_id: str) -> None:
        """Delete a response, its tags and its annotations."""
        await self._send(Call("DELETE", f"/v1/responses/{segment(response_id)}", lambda _: None))

    async def erase_respondent(self, respondent_id: str) -> m.ErasureReply:
        """Erase all that a respondent said, and store nothing of theirs again."""
        reply: m.ErasureReply = await self._send(
            Call("DELETE", f"/v1/respondents/{segment(respondent_id)}", reply_as(m.ErasureReply))
        )
        return reply

    async def rank_root_causes(self, by: str | None = None, **wanted: Unpack[Filter]) -> m.RootCauses:
        """Rank the root causes of all stored responses that meet the filter."""
        reply: m.RootCauses = await self._send(get("/v1/root-causes", m.RootCauses, by=by, **wanted))
        return reply

    async def measure_metric(
        self, by: str | None = None, period: m.Unit | None = None, **wanted: Unpack[Filter]
    ) -> m.MetricReply:
        """Give the metric with its interval, by period and segment."""
        reply: m.MetricReply = await self._send(get("/v1/nps", m.MetricReply, by=by, period=period, **wanted))
        return reply

    async def follow_causes(
        self, by: m.Unit = "week", codes: Sequence[str] = (), **wanted: Unpack[Filter]
    ) -> m.Trends:
        """Follow the points lost to causes over time."""
        reply: m.Trends = await self._send(get("/v1/trends", m.Trends, by=by, code=tuple(codes), **wanted))
        return reply

    async def list_hotspots(self, q: float | None = None, **wanted: Unpack[Filter]) -> m.Hotspots:
        """List the segment values in which a cause loses more, beyond chance."""
        reply: m.Hotspots = await self._send(get("/v1/hotspots", m.Hotspots, q=q, **wanted))
        return reply

    async def list_findings(self) -> m.Findings:
        """List hotspots and changes among all stored responses."""
        reply: m.Findings = await self._send(get("/v1/findings", m.Findings))
        return reply

    async def list_segments(self) -> m.Segments:
        """List what responses can be grouped by."""
        reply: m.Segments = await self._send(get("/v1/segments", m.Segments))
        return reply

    async def get_taxonomy(self) -> m.Taxonomy:
        """Give the reason codes that the model knows."""
        reply: m.Taxonomy = await self._send(get("/v1/taxonomy", m.Taxonomy))
        return reply

    async def list_taxonomy_versions(
        self, limit: int | None = None, cursor: str | None = None
    ) -> m.TaxonomyVersionsPage:
        """Give a page of the versions of the taxonomy."""
        reply: m.TaxonomyVersionsPage = await self._send(
            get("/v1/taxonomy/versions", m.TaxonomyVersionsPage, limit=limit, cursor=cursor)
        )
        return reply

    async def keep_annotations(self, annotations: Items) -> m.AnnotationsKept:
        """Check annotations against the taxonomy and keep them, all or none."""
        reply: m.AnnotationsKept = await self._send(
            send_json("POST", "/v1/annotations", {"annotations": annotations}, m.AnnotationsKept, keyed=True)
        )
        return reply

    async def keep_annotations_file(self, file: str | Path) -> m.AnnotationsKept:
        """Keep the annotations of a file of JSON lines."""
        reply: m.AnnotationsKept = await self._send(send_file("/v1/annotations", file, m.AnnotationsKept, {}))
        return reply

    async def list_annotations(
        self, limit: int | None = None, cursor: str | None = None
    ) -> m.AnnotationsPage:
        """Give a page of the annotations."""
        reply: m.AnnotationsPage = await self._send(
            get("/v1/annotations", m.AnnotationsPage, limit=limit, cursor=cursor)
        )
        return reply

    async def import_file(
        self,
        file: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        date_format: str | None = None,
        mask: Sequence[str] = (),
    ) -> m.Job:
        """Import a large file as a job; `wait` waits for its end."""
        options = file_options(columns, date_format, mask)
        reply: m.Job = await self._send(send_file("/v1/jobs", file, m.Job, options))
        return reply

    async def list_jobs(self, limit: int | None = None, cursor: str | None = None) -> m.JobsPage:
        """Give a page of the jobs, newest first."""
        reply: m.JobsPage = await self._send(get("/v1/jobs", m.JobsPage, limit=limit, cursor=cursor))
        return reply

    async def get_job(self, job_id: str) -> m.Job:
        """Tell how far a job is."""
        reply: m.Job = await self._send(get(f"/v1/jobs/{segment(job_id)}", m.Job))
        return reply

    async def cancel_job(self, job_id: str) -> m.Job:
        """Cancel a job."""
        reply: m.Job = await self._send(Call("DELETE", f"/v1/jobs/{segment(job_id)}", reply_as(m.Job)))
        return reply

    async def iter_responses(self, **wanted: Unpack[ResponseFilter]) -> AsyncIterator[m.TaggedResponse]:
        """Yield all responses that meet the conditions, page by page."""
        page = await self.list_responses(**wanted)
        while True:
            for one in page.responses:
                yield one
            if page.next_cursor is None:
                return
            wanted["cursor"] = page.next_cursor
            page = await self.list_responses(**wanted)

    async def iter_annotations(self) -> AsyncIterator[m.Annotation]:
        """Yield all annotations, page by page."""
        page = await self.list_annotations()
        while True:
            for one in page.annotations:
                yield one
            if page.next_cursor is None:
                return
            page = await self.list_annotations(cursor=page.next_cursor)

    async def iter_taxonomy_versions(self) -> AsyncIterator[m.TaxonomyVersion]:
        """Yield the versions of the taxonomy, newest first."""
        page = await self.list_taxonomy_versions()
        while True:
            for one in page.versions:
                yield one
            if page.next_cursor is None:
                return
            page = await self.list_taxonomy_versions(cursor=page.next_cursor)

    async def iter_jobs(self) -> AsyncIterator[m.Job]:
        """Yield all jobs, newest first."""
        page = await self.list_jobs()
        while True:
            for one in page.jobs:
                yield one
            if page.next_cursor is None:
                return
            page = await self.list_jobs(cursor=page.next_cursor)
