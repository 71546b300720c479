"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from whyscore_client import models as m
from whyscore_client.calls import (
    NDJSON,
    Call,
    LineSplitter,
    Retries,
    as_line,
    get,
    outcome,
    reply_as,
    segment,
    send_file,
    send_json,
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
from whyscore_client.follow_ups import FollowUpMethods
from whyscore_client.keys import KeyMethods
from whyscore_client.model_versions import ModelMethods
from whyscore_client.webhooks import WebhookMethods

Reply = TypeVar("Reply")


class Client(FollowUpMethods, KeyMethods, ModelMethods, WebhookMethods):
    """A client of Whyscore's HTTP API.

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
        As `httpx.Client` takes it.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout, transport=transport)
        self._retries = retries or Retries()
        self._sleep: Callable[[float], None] = time.sleep

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, call: Call[Reply]) -> Reply:
        number = 0
        while True:
            try:
                response: Any = self._http.request(
                    call.method,
                    call.path,
                    params=dict(call.params),
                    headers=dict(call.headers),
                    content=None if call.content is None else call.content(),
                )
            except httpx.TransportError as error:
                response = error
            found = outcome(response, number, self._retries, once=call.once)
            if found is None:
                return call.read(response)
            if isinstance(found, Exception):
                raise found
            self._sleep(found)
            number += 1

    def tag_stream(
        self,
        responses: Iterable[Item],
        operating_point: m.OperatingPoint = "balanced",
        *,
        model: str | None = None,
        mask: Sequence[str] = (),
    ) -> Iterator[m.TaggedResponse | m.LineError]:
        """Tag responses without storing them, in order; any number of them. It is not sent again."""
        with self._lines(
            "POST",
            "/v1/tag/stream",
            params=stream_options(operating_point, model, mask),
            headers={"Content-Type": NDJSON},
            content=(as_line(one) for one in responses),
        ) as lines:
            for line in lines:
                yield record_of(line)

    def export_annotations(self) -> Iterator[m.Annotation]:
        """Yield all annotations that are kept, as a file holds them."""
        with self._lines("GET", "/v1/annotations/export") as lines:
            for line in lines:
                yield m.Annotation.model_validate_json(line)

    @contextmanager
    def _lines(self, method: str, path: str, **more: Any) -> Iterator[Iterator[bytes]]:
        try:
            with self._http.stream(method, path, **more) as response:
                if not response.is_success:
                    response.read()
                    raise problem_in(response)
                yield _split(response)
        except httpx.TransportError as error:
            raise ConnectionFailedError(f"the stream broke off ({type(error).__name__})") from error

    def wait(self, job_id: str, *, every: float = 1.0) -> m.Job:
        """Wait for the end of a job; raises `JobFailedError` where it failed or was cancelled."""
        while not (job := self.get_job(job_id)).ended:
            self._sleep(every)
        if job.state != "done":
            raise JobFailedError(job)
        return job

    def get_health(self) -> m.Health:
        """Tell whether the process is up."""
        reply: m.Health = self._send(get("/healthz", m.Health))
        return reply

    def get_readiness(self) -> m.Readiness:
        """Tell whether the service can work."""
        reply: m.Readiness = self._send(get("/readyz", m.Readiness))
        return reply

    def tag(
        self,
        responses: Items,
        operating_point: m.OperatingPoint = "balanced",
        *,
        model: str | None = None,
        mask: Sequence[str] = (),
    ) -> m.TagReply:
        """Tag up to 1,000 responses without storing them; `model` pins one, such as ``reason-codes/7``."""
        body = tag_request(responses, operating_point, mask) | ({} if model is None else {"model": model})
        reply: m.TagReply = self._send(send_json("POST", "/v1/tag", body, m.TagReply))
        return reply

    def upsert(self, responses: Items, *, mask: Sequence[str] = ()) -> m.UpsertReply:
        """Tag responses and store them, each with a ``response_id``."""
        body = {"responses": responses, "mask": mask}
        reply: m.UpsertReply = self._send(send_json("POST", "/v1/responses", body, m.UpsertReply, keyed=True))
        return reply

    def upsert_file(
        self,
        file: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        date_format: str | None = None,
        mask: Sequence[str] = (),
    ) -> m.UpsertReply:
        """Tag and store the responses of a file that fits a request; `import_file` takes larger ones."""
        options = file_options(columns, date_format, mask)
        reply: m.UpsertReply = self._send(send_file("/v1/responses", file, m.UpsertReply, options))
        return reply

    def list_responses(self, **wanted: Unpack[ResponseFilter]) -> m.ResponsesPage:
        """Give a page of the responses that meet every condition that is set."""
        reply: m.ResponsesPage = self._send(get("/v1/responses", m.ResponsesPage, **wanted))
        return reply

    def get_response(self, response_id: str) -> m.TaggedResponse:
        """Give a stored response with its tags."""
        reply: m.TaggedResponse = self._send(get(f"/v1/responses/{segment(response_id)}", m.TaggedResponse))
        return reply

    def replace_response(
        self, response_id: str, response: Item, *, if_match: str | None = None
    ) -> m.TaggedResponse:
        """Tag a response and store it, instead of the one of its id."""
        reply: m.TaggedResponse = self._send(
            send_json(
                "PUT", f"/v1/responses/{segment(response_id)}", response, m.TaggedResponse, If_Match=if_match
            )
        )
        return reply

    def change_response(
        self, response_id: str, change: Item, *, if_match: str | None = None
    ) -> m.TaggedResponse:
        """Change the fields and segments that are given; None takes one away."""
        reply: m.TaggedResponse = self._send(
            send_json(
                "PATCH", f"/v1/responses/{segment(response_id)}", change, m.TaggedResponse, If_Match=if_match
            )
        )
        return reply

    def delete_response(self, response_id: str) -> None:
        """Delete a response, its tags and its annotations."""
        self._send(Call("DELETE", f"/v1/responses/{segment(response_id)}", lambda _: None))

    def erase_respondent(self, respondent_id: str) -> m.ErasureReply:
        """Erase all that a respondent said, and store nothing of theirs again."""
        reply: m.ErasureReply = self._send(
            Call("DELETE", f"/v1/respondents/{segment(respondent_id)}", reply_as(m.ErasureReply))
        )
        return reply

    def rank_root_causes(self, by: str | None = None, **wanted: Unpack[Filter]) -> m.RootCauses:
        """Rank the root causes of all stored responses that meet the filter."""
        reply: m.RootCauses = self._send(get("/v1/root-causes", m.RootCauses, by=by, **wanted))
        return reply

    def measure_metric(
        self, by: str | None = None, period: m.Unit | None = None, **wanted: Unpack[Filter]
    ) -> m.MetricReply:
        """Give the metric with its interval, by period and segment."""
        reply: m.MetricReply = self._send(get("/v1/nps", m.MetricReply, by=by, period=period, **wanted))
        return reply

    def follow_causes(
        self, by: m.Unit = "week", codes: Sequence[str] = (), **wanted: Unpack[Filter]
    ) -> m.Trends:
        """Follow the points lost to causes over time."""
        reply: m.Trends = self._send(get("/v1/trends", m.Trends, by=by, code=tuple(codes), **wanted))
        return reply

    def list_hotspots(self, q: float | None = None, **wanted: Unpack[Filter]) -> m.Hotspots:
        """List the segment values in which a cause loses more, beyond chance."""
        reply: m.Hotspots = self._send(get("/v1/hotspots", m.Hotspots, q=q, **wanted))
        return reply

    def list_findings(self) -> m.Findings:
        """List hotspots and changes among all stored responses."""
        reply: m.Findings = self._send(get("/v1/findings", m.Findings))
        return reply

    def list_segments(self) -> m.Segments:
        """List what responses can be grouped by."""
        reply: m.Segments = self._send(get("/v1/segments", m.Segments))
        return reply

    def get_taxonomy(self) -> m.Taxonomy:
        """Give the reason codes that the model knows."""
        reply: m.Taxonomy = self._send(get("/v1/taxonomy", m.Taxonomy))
        return reply

    def list_taxonomy_versions(
        self, limit: int | None = None, cursor: str | None = None
    ) -> m.TaxonomyVersionsPage:
        """Give a page of the versions of the taxonomy."""
        reply: m.TaxonomyVersionsPage = self._send(
            get("/v1/taxonomy/versions", m.TaxonomyVersionsPage, limit=limit, cursor=cursor)
        )
        return reply

    def keep_annotations(self, annotations: Items) -> m.AnnotationsKept:
        """Check annotations against the taxonomy and keep them, all or none."""
        reply: m.AnnotationsKept = self._send(
            send_json("POST", "/v1/annotations", {"annotations": annotations}, m.AnnotationsKept, keyed=True)
        )
        return reply

    def keep_annotations_file(self, file: str | Path) -> m.AnnotationsKept:
        """Keep the annotations of a file of JSON lines."""
        reply: m.AnnotationsKept = self._send(send_file("/v1/annotations", file, m.AnnotationsKept, {}))
        return reply

    def list_annotations(self, limit: int | None = None, cursor: str | None = None) -> m.AnnotationsPage:
        """Give a page of the annotations."""
        reply: m.AnnotationsPage = self._send(
            get("/v1/annotations", m.AnnotationsPage, limit=limit, cursor=cursor)
        )
        return reply

    def import_file(
        self,
        file: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        date_format: str | None = None,
        mask: Sequence[str] = (),
    ) -> m.Job:
        """Import a large file as a job; `wait` waits for its end."""
        options = file_options(columns, date_format, mask)
        reply: m.Job = self._send(send_file("/v1/jobs", file, m.Job, options))
        return reply

    def list_jobs(self, limit: int | None = None, cursor: str | None = None) -> m.JobsPage:
        """Give a page of the jobs, newest first."""
        reply: m.JobsPage = self._send(get("/v1/jobs", m.JobsPage, limit=limit, cursor=cursor))
        return reply

    def get_job(self, job_id: str) -> m.Job:
        """Tell how far a job is."""
        reply: m.Job = self._send(get(f"/v1/jobs/{segment(job_id)}", m.Job))
        return reply

    def cancel_job(self, job_id: str) -> m.Job:
        """Cancel a job."""
        reply: m.Job = self._send(Call("DELETE", f"/v1/jobs/{segment(job_id)}", reply_as(m.Job)))
        return reply

    def iter_responses(self, **wanted: Unpack[ResponseFilter]) -> Iterator[m.TaggedResponse]:
        """Yield all responses that meet the conditions, page by page."""
        page = self.list_responses(**wanted)
        while True:
            yield from page.responses
            if page.next_cursor is None:
                return
            wanted["cursor"] = page.next_cursor
            page = self.list_responses(**wanted)

    def iter_annotations(self) -> Iterator[m.Annotation]:
        """Yield all annotations, page by page."""
        page = self.list_annotations()
        while True:
            yield from page.annotations
            if page.next_cursor is None:
                return
            page = self.list_annotations(cursor=page.next_cursor)

    def iter_taxonomy_versions(self) -> Iterator[m.TaxonomyVersion]:
        """Yield the versions of the taxonomy, newest first."""
        page = self.list_taxonomy_versions()
        while True:
            yield from page.versions
            if page.next_cursor is None:
                return
            page = self.list_taxonomy_versions(cursor=page.next_cursor)

    def iter_jobs(self) -> Iterator[m.Job]:
        """Yield all jobs, newest first."""
        page = self.list_jobs()
        while True:
            yield from page.jobs
            if page.next_cursor is None:
                return
            page = self.list_jobs(cursor=page.next_cursor)


def _split(response: httpx.Response) -> Iterator[bytes]:
    splitter = LineSplitter()
    for piece in response.iter_bytes():
        yield from splitter.push(piece)
    yield from splitter.end()
