"""The result itself: `GET /get_result` and `GET /v1/jobs/{id}/result`, byte for byte what the task
returned.
"""

from __future__ import annotations

from flask import Response, request

from jobresults.errors import Gone, InvalidRequest
from jobresults.jobs.reading import UUID, JobRecord
from jobresults.jobs.states import State
from jobresults.web.document import job_error, job_json, retry_after_seconds, rfc3339
from jobresults.web.preferences import preferred_wait, wait_seconds
from jobresults.web.problems import problem
from jobresults.web.services import principal, services, wait_for


def get_result() -> Response:
    """Fetch a job's result by `?job_id=`."""
    job_id = request.args.get("job_id", "")
    if not UUID.fullmatch(job_id):
        message = "pass job_id, as the submission answered it" if not job_id else "is not a job id"
        raise InvalidRequest(f"job_id: {message}", [{"path": "job_id", "message": message}])
    return _result(job_id)


def job_result(job_id: str) -> Response:
    """Fetch a job's result."""
    return _result(job_id)


def result_response(record: JobRecord) -> Response:
    """The stored bytes of a succeeded job, with validators for caches; 304 if the caller has
    them.
    """
    left_seconds = max(0, ((record.expires_at_ms or 0) - record.now_ms) // 1000)
    response = Response(record.result)
    response.mimetype = "application/json"
    response.headers["Cache-Control"] = f"private, max-age={left_seconds}, immutable"
    response.set_etag(record.result_sha256 or "")
    response.make_conditional(request)
    return response


def pending_response(record: JobRecord) -> Response:
    """202 with the job body: not yet; ask again after `Retry-After`."""
    estimate = services().estimator.estimate(record)
    response = Response(job_json(record, estimate, for_operator=principal().is_operator), 202)
    response.mimetype = "application/json"
    response.headers["Retry-After"] = str(retry_after_seconds(record, estimate))
    return response


def _result(job_id: str) -> Response:
    record = wait_for(job_id, wait_seconds())
    response = _response(record)
    if record.done and preferred_wait() is not None and "wait" not in request.args:
        response.headers["Preference-Applied"] = f"wait={preferred_wait()}"
    return response


def _response(record: JobRecord) -> Response:
    if not record.done:
        return pending_response(record)
    if record.expired:
        raise Gone(
            f"the job {record.state}; what it left was kept until {rfc3339(record.expires_at_ms)}",
            job_id=record.id,
            final_state=record.state,
            ended_at=rfc3339(record.ended_at_ms),
            expired_at=rfc3339(record.expires_at_ms),
        )
    if record.state == State.SUCCEEDED:
        return result_response(record)
    error = job_error(record, for_operator=principal().is_operator) or {}
    # 424 and not 5xx: the fetch itself works and repeating it cannot help, so no client should
    # retry.
    return problem(
        424,
        f"job_{record.state}",
        f"Job {record.state}",
        str(error.get("detail", "")),
        job_id=record.id,
        ended_at=rfc3339(record.ended_at_ms),
        job_error=error,
    )
