"""Handing in work: `POST /v1/jobs`, `POST /add/<customer>`, `POST /userdevicesms`, and reruns."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from flask import Response, request
from pydantic import TypeAdapter

from jobresults.errors import Conflict, InvalidRequest
from jobresults.jobs import reading
from jobresults.jobs.estimate import Estimate
from jobresults.jobs.submission import Submission, fingerprint
from jobresults.telemetry.logging_context import bind, current
from jobresults.web.bodies import DeviceSmsBody, SubmitBody
from jobresults.web.document import job_json, retry_after_seconds
from jobresults.web.preferences import preferred_wait, wait_seconds
from jobresults.web.request_body import canonical, customer_name, parse, read_json
from jobresults.web.services import principal, read_job, services, wait_for

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def submit_job() -> Response:
    """Submit a job."""
    document = read_json()
    body = parse(SubmitBody, document)
    return _submit(
        document,
        task=body.task,
        params=body.params,
        customer=body.customer,
        queue=body.queue,
        delay_seconds=body.delay_seconds,
        run_at_ms=None if body.run_at is None else round(body.run_at.timestamp() * 1000),
        max_attempts=body.max_attempts,
        timeout_seconds=body.timeout_seconds,
        tags=tuple(dict.fromkeys(body.tags)),
    )


def add_for_customer(customer: str) -> Response:
    """Submit a customer's data to the ingest task; the whole body is its parameters."""
    params = read_json()
    return _submit(
        params,
        task=services().settings.tasks.ingest,
        params=params,
        customer=customer_name(customer),
    )


def add_device_sms() -> Response:
    """Submit messages of a customer's device to the ingest task."""
    document = read_json()
    body = parse(DeviceSmsBody, document)
    return _submit(
        document,
        task=services().settings.tasks.ingest,
        params=body.model_extra or {},
        customer=body.cust_id,
    )


def rerun_job(job_id: str) -> Response:
    """Run an ended job again, as a new job that names the old one."""
    record = read_job(job_id)
    if not record.done:
        raise Conflict(
            f"the job is {record.state}; only ended jobs can be run again", state=record.state
        )
    if record.expired:
        raise Conflict(
            "the job's parameters are no longer kept; submit it anew", state=record.state
        )
    task = services().catalog.get(record.task)
    return _accept(
        Submission(
            task=record.task,
            params_json=reading.params(services().database, record.id),
            client=record.client,
            customer=record.customer,
            queue=record.queue if record.queue in services().catalog.queues else task.options.queue,
            max_attempts=record.max_attempts,
            timeout_seconds=record.timeout_seconds,
            tags=tuple(TypeAdapter(list[str]).validate_json(record.tags)),
            rerun_of=record.id,
        ),
        canonical({}),
    )


def _submit(document: Any, *, params: Any, **fields: Any) -> Response:
    return _accept(
        Submission(params_json=canonical(params).encode(), client=principal().client, **fields),
        canonical(document),
    )


def _accept(submission: Submission, body: str) -> Response:
    wait = wait_seconds()  # a malformed wish is refused before anything is accepted
    submission = replace(
        submission,
        idempotency_key=_idempotency_key(),
        fingerprint=fingerprint(request.path, body),
        request_id=_text(current("request_id")),
        traceparent=_traceparent(),
    )
    accepted = services().submissions.submit(submission)
    bind(job_id=accepted.job_id, task=submission.task, customer=submission.customer)
    return _answer(accepted.job_id, wait, replayed=accepted.replayed)


def _answer(job_id: str, wait: float, *, replayed: bool) -> Response:
    record = wait_for(job_id, wait)
    estimate = Estimate() if record.done else services().estimator.estimate(record)
    response = Response(
        job_json(record, estimate, for_operator=principal().is_operator),
        200 if record.done else 202,
    )
    response.mimetype = "application/json"
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    if not record.done:
        response.headers["Retry-After"] = str(retry_after_seconds(record, estimate))
    elif preferred_wait() is not None:
        response.headers["Preference-Applied"] = f"wait={preferred_wait()}"
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


def _traceparent() -> str | None:
    """The caller's trace (W3C Trace Context); one that is malformed is ignored, as the standard
    wants.
    """
    header = request.headers.get("traceparent", "")
    return header if _TRACEPARENT.fullmatch(header) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
