"""A job as callers read it: the job body of the API, with the stored result bytes spliced in as
they are.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from jobresults.jobs.estimate import Estimate
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.states import State

_MAX_RETRY_AFTER_SECONDS = 30

_encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes one a call


def job_json(
    record: JobRecord, estimate: Estimate | None = None, *, for_operator: bool = False
) -> bytes:
    """The whole job body. Its result is not decoded: what the task returned is what the caller
    reads.
    """
    envelope = _encode(job_document(record, estimate, for_operator=for_operator)).encode()
    if record.result is None or record.expired:
        return envelope
    return envelope[:-1] + b', "result": ' + record.result + b"}"


def job_document(
    record: JobRecord, estimate: Estimate | None = None, *, for_operator: bool = False
) -> dict[str, Any]:
    """The job body without its result."""
    estimate = estimate or Estimate()
    path = f"/v1/jobs/{record.id}"
    document: dict[str, Any] = {
        "job_id": record.id,
        "task": record.task,
        "customer": record.customer,
        "queue": record.queue,
        "state": record.state,
        "done": record.done,
        "created_at": rfc3339(record.created_at_ms),
        "started_at": rfc3339(record.started_at_ms),
        "ended_at": rfc3339(record.ended_at_ms),
        "expires_at": rfc3339(record.expires_at_ms),
        "attempt": record.attempt,
        "max_attempts": record.max_attempts,
        "progress": progress(record),
        "position": estimate.position,
        "eta_seconds": None if estimate.eta_seconds is None else round(estimate.eta_seconds, 3),
        "waiting_on": record.waiting_on,
        "tags": json.loads(record.tags),
        "rerun_of": record.rerun_of,
        "links": {
            "self": path,
            "result": f"/get_result?job_id={record.id}",
            **{name: f"{path}/{name}" for name in ("cancel", "rerun", "logs", "events")},
        },
    }
    error = job_error(record, for_operator=for_operator)
    if error is not None:
        document["error"] = error
    if for_operator and record.sentry_event_id is not None:
        document["sentry_event_id"] = record.sentry_event_id
    return document


def job_error(record: JobRecord, *, for_operator: bool = False) -> dict[str, Any] | None:
    """Why there is no result and never will be; None while there may be one."""
    if record.expired:
        return {
            "type": "urn:jobresults:job-error:result_expired",
            "title": "Result expired",
            "detail": f"The job {record.state}; "
            f"what it left was kept until {rfc3339(record.expires_at_ms)}.",
            "code": "result_expired",
            "retryable": True,
        }
    if record.state not in (State.FAILED, State.CANCELED) or record.error is None:
        return None
    error: dict[str, Any] = json.loads(record.error)
    error["type"] = f"urn:jobresults:job-error:{error['code']}"
    if for_operator and record.traceback:
        error["traceback"] = record.traceback
    return error


def progress(record: JobRecord) -> dict[str, Any] | None:
    """How far the job is; None if it has not said."""
    if record.progress_done is None:
        return None
    return {
        "done": record.progress_done,
        "total": record.progress_total,
        "message": record.progress_message,
    }


def retry_after_seconds(record: JobRecord, estimate: Estimate) -> int:
    """When asking again is worth it: by the estimate, else the seldomer the older the job is. 1 to
    30.
    """
    seconds = estimate.eta_seconds
    if seconds is None:
        seconds = (record.now_ms - record.created_at_ms) / 10_000
    return max(1, min(_MAX_RETRY_AFTER_SECONDS, math.ceil(seconds)))


def rfc3339(at_ms: int | None) -> str | None:
    """Milliseconds since 1970 as RFC 3339 in UTC."""
    if at_ms is None:
        return None
    return (
        datetime.fromtimestamp(at_ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
