"""Endpoints of jobs: files that take longer than a request to import."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from data.cells import check_date_format
from data.columns import check_fields
from data.jobs import Job
from data.personal_data import parse_kinds
from serving.endpoints_tagging import Columns, DateFormat, Filename, Mask
from serving.idempotency import PARAMETER
from serving.import_jobs import ImportWorker, spooling, sync_file
from serving.openapi import file_body
from serving.paging import Cursor, Limit, next_page
from serving.problems import declared
from serving.queries import Text, parse_columns
from serving.schemas_service import JobReply, JobsReply
from serving.state import State
from serving.uploads import FILES, media_type_of, require_media_type

router = APIRouter()


def _worker(request: Request) -> ImportWorker:
    return cast(ImportWorker, request.app.state.worker)


Worker = Annotated[ImportWorker, Depends(_worker)]
JobId = Annotated[Text, Path(max_length=64, description="The job.")]
Kind = Annotated[Literal["import"], Query(description="What to do: tag and store the responses of a file.")]


@router.post(
    "/v1/jobs",
    operation_id="createJob",
    summary="Import a large file",
    status_code=202,
    response_model=JobReply,
    responses=declared(409, 413, 415, 422, 503, 507),
    openapi_extra={
        "requestBody": {"required": True, "content": file_body(FILES)},
        "parameters": [PARAMETER],
    },
)
async def create_job(
    request: Request,
    reply: Response,
    state: State,
    worker: Worker,
    kind: Kind = "import",
    map_: Columns = [],  # noqa: B006 - FastAPI copies it
    date_format: DateFormat = None,
    filename: Filename = None,
    mask: Mask = [],  # noqa: B006 - FastAPI copies it
) -> dict[str, Any]:
    """Take a file of any size up to the server's limit, and import it as `POST /v1/responses` would.

    The answer names the job; ask at its address how far it is. All rows are checked before any is
    stored. A job outlives a restart of the server: it begins anew, and what it had stored stays.
    """
    media_type = media_type_of(request)
    require_media_type(media_type, tuple(FILES))
    columns = parse_columns(map_)
    check_fields(columns)
    if date_format is not None:
        check_date_format(date_format)
    job_id = uuid.uuid4().hex
    job = Job(
        job_id,
        kind,
        await run_in_threadpool(lambda: worker.place),
        filename,
        f"{job_id}.spool{FILES[media_type]}",
        options={"columns": columns, "date_format": date_format, "mask": list(parse_kinds(mask))},
    )
    await _take(request, worker, job)
    worker.wake()
    reply.headers["Location"] = f"/v1/jobs/{job_id}"
    return reply_of(job)


async def _take(request: Request, worker: ImportWorker, job: Job) -> None:
    """Put a body into the worker's folder and its job up; an upload that breaks off leaves nothing."""
    path = await run_in_threadpool(lambda: worker.folder / job.spool)
    try:
        with spooling(), path.open("wb") as file:
            async for part in request.stream():
                await run_in_threadpool(file.write, part)
        with spooling():
            await run_in_threadpool(sync_file, path)
        await run_in_threadpool(worker.board.add, job)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@router.get(
    "/v1/jobs",
    operation_id="listJobs",
    summary="Jobs, newest first",
    response_model=JobsReply,
    responses=declared(422, 503),
)
def list_jobs(
    request: Request, reply: Response, worker: Worker, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Give a page of the jobs, newest first."""
    jobs, following = worker.board.page(limit, cursor)
    return {"jobs": [reply_of(job) for job in jobs], **next_page(request, reply, following)}


@router.get(
    "/v1/jobs/{job_id}",
    operation_id="getJob",
    summary="How far a job is",
    response_model=JobReply,
    responses=declared(404, 422, 503),
)
def get_job(worker: Worker, job_id: JobId) -> dict[str, Any]:
    """Give a job: its state, how many rows of how many are done, and what became of them."""
    return reply_of(worker.board.get(job_id))


@router.delete(
    "/v1/jobs/{job_id}",
    operation_id="cancelJob",
    summary="Cancel a job",
    response_model=JobReply,
    responses=declared(404, 409, 422, 503, 507),
)
def cancel_job(worker: Worker, job_id: JobId) -> dict[str, Any]:
    """End a job; one that is under way ends within moments, and what it has stored stays."""
    job = worker.board.cancel(job_id)
    if job.state == "cancelled":
        (worker.folder / job.spool).unlink(missing_ok=True)
    worker.wake()
    return reply_of(job)


def reply_of(job: Job) -> dict[str, Any]:
    """Give a job as `JobReply` describes it."""
    found: Mapping[str, Any] = asdict(job)
    moments = ("created_at", "updated_at", "finished_at")
    return {
        **{name: found[name] for name in JobReply.model_fields},
        **{name: None if found[name] is None else found[name].isoformat() for name in moments},
        "problem": found["problem"] or None,
    }
