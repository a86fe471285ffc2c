"""Every failure the client raises, as one tree, and which answer of the service becomes which of
them.

ClientError                  any other answer (500, a redirect, not JSON) and wrong configuration of
the client
├── AuthenticationFailed     401, 403: no credentials, bad ones, or not allowed
├── InvalidRequest           400, 413, 415, 422: `problems` lists every one with its path
├── Conflict                 409: the job's state forbids it
├── JobNotFound              404: unknown, or another client's
├── JobExpired               410: the job ended and its kept time is over
├── JobFailed                424 job_failed: the job ended without a result; asking again never
gives one
├── JobCanceled              424 job_canceled
├── InvalidCallback          a callback that the service did not sign, or not just now
├── JobTimeout               the deadline passed; the job still waits or runs
├── RateLimited              429, until the deadline or with a Retry-After beyond it
└── ServiceUnavailable       408, 502, 503, 504, no connection or no answer, until the deadline
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class ClientError(Exception):
    """Root of the tree.

    `detail` is one sentence for a human, `problem` the problem document (RFC 9457; empty if the
    service gave none), `retry_after_seconds` how long the service asked to be left alone.
    """

    def __init__(
        self,
        detail: str,
        problem: Mapping[str, Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        # All of them in `args`, or the exception could not be pickled on its way between processes.
        super().__init__(detail, problem, retry_after_seconds)
        self.detail = detail
        self.problem = dict(problem or {})
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        known = [
            f"{name} {self.problem[name]}"
            for name in ("status", "request_id")
            if name in self.problem
        ]
        return f"{self.detail} ({', '.join(known)})" if known else self.detail

    @property
    def status(self) -> int | None:
        """The HTTP status, if there was an answer."""
        return self.problem.get("status")

    @property
    def code(self) -> str | None:
        """The service's stable name for the failure, for programs to compare."""
        return self.problem.get("code")

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return False


class AuthenticationFailed(ClientError):
    """The token is missing, wrong, over, or lacks the right."""


class InvalidRequest(ClientError):
    """The service refuses the input as it stands."""

    @property
    def problems(self) -> list[dict[str, Any]]:
        """Every problem found: `{"path": "params.messages[3].body", "message": ...}`."""
        return list(self.problem.get("errors", ()))

    def __str__(self) -> str:
        lines = [f"{problem.get('path')}: {problem.get('message')}" for problem in self.problems]
        new = [line for line in lines if line not in self.detail]
        return "\n  ".join([super().__str__(), *new])


class Conflict(ClientError):
    """The state of the job, or a request still under way, forbids it."""

    @property
    def retryable(self) -> bool:
        return self.code == "idempotency_in_flight"


class JobNotFound(ClientError):
    """There is no such job, customer or score for this caller."""


class JobExpired(ClientError):
    """The result existed; `problem` has `final_state`, `ended_at` and `expired_at`."""


class JobFailed(ClientError):
    """The job ended as failed."""

    @property
    def error(self) -> dict[str, Any]:
        """Why: `{"type", "title", "detail", "code", "retryable"}`, the job's own `error`."""
        return dict(self.problem.get("job_error", ()))


class JobCanceled(ClientError):
    """The job was canceled before it had a result."""


class InvalidCallback(ClientError):
    """A request that claims to be a callback is not one: do not act on it, answer 400 or 401."""


class JobTimeout(ClientError):
    """The caller's patience ended, not the job: ask again for its result later."""


class RateLimited(ClientError):
    """Too many requests, or a quota is used up."""

    @property
    def retryable(self) -> bool:
        return True


class ServiceUnavailable(ClientError):
    """The service, or the way to it, is down or too slow."""

    @property
    def retryable(self) -> bool:
        return True


_BY_STATUS: dict[int, type[ClientError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: AuthenticationFailed,
    404: JobNotFound,
    408: ServiceUnavailable,
    409: Conflict,
    410: JobExpired,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    424: JobFailed,
    429: RateLimited,
    502: ServiceUnavailable,
    503: ServiceUnavailable,
    504: ServiceUnavailable,
}

_OF_A_JOB = (JobNotFound, JobExpired, JobFailed)


def failure_of(status: int, document: object, retry_after_seconds: float | None) -> ClientError:
    """The exception for an answer that is not 2xx; `document` is its JSON, None if it has none."""
    problem: dict[str, Any] = {"status": status}
    if isinstance(document, dict):
        problem |= document
    kind = _BY_STATUS.get(status, ClientError)
    if document is None and issubclass(kind, _OF_A_JOB):
        # A proxy on the way, or another server: it knows nothing of jobs.
        return ClientError(f"{_phrase(status)}, but not from the service", problem)
    if kind is JobFailed and problem.get("code") == "job_canceled":
        kind = JobCanceled
    detail = problem.get("detail") or problem.get("title") or _phrase(status)
    return kind(str(detail), problem, retry_after_seconds)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unexpected answer"
