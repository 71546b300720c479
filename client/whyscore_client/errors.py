"""What goes wrong, as exceptions."""

from __future__ import annotations

from typing import Any

import httpx

from whyscore_client.models import Job
from whyscore_client.records import FieldProblem, Problem


class ProblemError(Exception):
    """An answer that is a problem (RFC 9457).

    Attributes
    ----------
    problem
        The document.
    status, type, title, detail, errors
        Its fields.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def type(self) -> str:
        """Names the kind of problem."""
        return self.problem.type

    @property
    def title(self) -> str:
        """The kind of problem, for people."""
        return self.problem.title

    @property
    def detail(self) -> str:
        """What is wrong, in a sentence."""
        return self.problem.detail

    @property
    def errors(self) -> list[FieldProblem]:
        """The fields that are wrong."""
        return self.problem.errors or []


class ConnectionFailedError(Exception):
    """The server could not be reached, or broke off."""


class JobFailedError(Exception):
    """A job that failed or was cancelled; `job` says how and why."""

    def __init__(self, job: Job) -> None:
        reason = job.problem.detail if job.problem is not None else "no reason was given"
        super().__init__(f"the job {job.job_id} is {job.state}: {reason}")
        self.job = job


def problem_in(response: httpx.Response) -> ProblemError:
    """Give the problem of an answer, also where it is no document (such as a proxy's)."""
    try:
        body: Any = response.json()
        return ProblemError(Problem.model_validate(body))
    except ValueError:
        return ProblemError(
            Problem(
                type="about:blank",
                title=response.reason_phrase or "Error",
                status=response.status_code,
                detail=f"the server answered with status {response.status_code}",
            )
        )
