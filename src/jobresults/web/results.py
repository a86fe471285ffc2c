"""The result itself: `GET /get_result` and `GET /v1/jobs/{id}/result`, byte for byte what the task
returned. What is answered is decided here for Flask's views and for the fast lane alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, request
from werkzeug.http import parse_etags

from jobresults.accounts.principal import Principal
from jobresults.errors import Gone, InvalidRequest
from jobresults.jobs.reading import UUID, JobRecord
from jobresults.jobs.states import State
from jobresults.web.document import job_error, job_json, retry_after_seconds, rfc3339
from jobresults.web.preferences import read_preferred_wait, read_wait
from jobresults.web.problems import problem
from jobresults.web.reply import Reply
from jobresults.web.services import Services, principal, services, visible_to


@dataclass(slots=True)
class Question:
    """Who asks for which job's result, how long they would wait, and what they have already."""

    job_id: str
    wait: str | None
    principal: Principal
    environ: dict[str, Any]


def get_result() -> Response:
    """Fetch a job's result by `?job_id=`."""
    job_id = request.args.get("job_id", "")
    if not UUID.fullmatch(job_id):
        message = "pass job_id, as the submission answered it" if not job_id else "is not a job id"
        raise InvalidRequest(f"job_id: {message}", [{"path": "job_id", "message": message}])
    return job_result(job_id)


def job_result(job_id: str) -> Response:
    """Fetch a job's result."""
    question = Question(job_id, request.args.get("wait"), principal(), request.environ)
    return answer(services(), question).response()


def answer(services: Services, question: Question) -> Reply:
    """The result, or why there is none yet or never will be.

    Raises:
        InvalidRequest, NotFound, Gone, LedgerUnavailable
    """
    environ, visible = question.environ, visible_to(question.principal)
    cap_seconds = services.settings.web.wait_cap_seconds
    record = services.bell.wait(
        question.job_id,
        read_wait(question.wait, read_preferred_wait(environ), cap_seconds),
        lambda: services.reader.get(question.job_id, visible),
        environ,
    )
    if not record.done:
        return pending_reply(services, question.principal, record)
    return ended_reply(record, question)


def ended_reply(record: JobRecord, question: Question) -> Reply:
    """What there is once the job has ended.

    Raises:
        Gone
    """
    reply = _ended_reply(record, question)
    preferred = read_preferred_wait(question.environ)
    if preferred is not None and question.wait is None:
        reply.add_header("Preference-Applied", f"wait={preferred}")
    return reply


def result_reply(record: JobRecord, if_none_match: str | None) -> Reply:
    """The stored bytes of a succeeded job, with validators for caches; 304 if the caller has
    them.
    """
    left_seconds = max(0, ((record.expires_at_ms or 0) - record.now_ms) // 1000)
    etag = record.result_sha256 or ""
    headers = [
        ("Cache-Control", f"private, max-age={left_seconds}, immutable"),
        ("ETag", f'"{etag}"'),
    ]
    if if_none_match is not None and parse_etags(if_none_match).contains_weak(etag):
        return Reply(304, b"", None, headers)
    return Reply(200, record.result or b"", "application/json", headers)


def pending_reply(services: Services, principal: Principal, record: JobRecord) -> Reply:
    """202 with the job body: not yet; ask again after `Retry-After`."""
    estimate = services.estimator.estimate(record)
    body = job_json(record, estimate, for_operator=principal.is_operator)
    reply = Reply(202, body)
    reply.add_header("Retry-After", str(retry_after_seconds(record, estimate)))
    return reply


def require_kept(record: JobRecord) -> None:
    """Raises Gone: the time for which what a job has left is kept is over."""
    if record.expired:
        raise Gone(
            f"the job {record.state}; what it left was kept until {rfc3339(record.expires_at_ms)}",
            job_id=record.id,
            final_state=record.state,
            ended_at=rfc3339(record.ended_at_ms),
            expired_at=rfc3339(record.expires_at_ms),
        )


def _ended_reply(record: JobRecord, question: Question) -> Reply:
    require_kept(record)
    if record.state == State.SUCCEEDED:
        return result_reply(record, question.environ.get("HTTP_IF_NONE_MATCH"))
    error = job_error(record, for_operator=question.principal.is_operator) or {}
    # 424 and not 5xx: the fetch itself works and repeating it cannot help, so no client should
    # retry.
    return problem(
        question.environ["PATH_INFO"],
        424,
        f"job_{record.state}",
        f"Job {record.state}",
        str(error.get("detail", "")),
        job_id=record.id,
        ended_at=rfc3339(record.ended_at_ms),
        job_error=error,
    )
