"""Handing in work: `POST /v1/jobs`, `POST /add/<customer>`, `POST /userdevicesms`, and reruns."""

from __future__ import annotations

from flask import Response
from pydantic import TypeAdapter

from jobresults.errors import Conflict, LedgerUnavailable
from jobresults.jobs import reading
from jobresults.jobs.estimate import Estimate
from jobresults.jobs.new_job import Submission
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.submission import Accepted
from jobresults.telemetry.logging_context import bind
from jobresults.web import bulk
from jobresults.web.bodies import DeviceSmsBody, SubmitBody
from jobresults.web.document import job_json, retry_after_seconds
from jobresults.web.preferences import preferred_wait, wait_seconds
from jobresults.web.request_body import canonical, customer_name, parse, read_json
from jobresults.web.services import principal, read_job, services, wait_for
from jobresults.web.submission import check_customer, from_body, origin

_tags: TypeAdapter[list[str]] = TypeAdapter(list[str])


def submit_job() -> Response:
    """Submit a job, or an array of jobs at once."""
    body = read_json()
    if isinstance(body.document, list):
        return bulk.submit_all(body)
    return _accept(from_body(parse(SubmitBody, body.document), origin(body.canonical)))


def add_for_customer(customer: str) -> Response:
    """Submit a customer's data to the ingest task; the whole body is its parameters."""
    body = read_json()
    return _accept(
        Submission(
            task=services().settings.tasks.ingest,
            params_json=body.canonical.encode(),
            customer=customer_name(customer),
            **origin(body.canonical),
        )
    )


def add_device_sms() -> Response:
    """Submit messages of a customer's device to the ingest task."""
    body = read_json()
    message = parse(DeviceSmsBody, body.document)
    return _accept(
        Submission(
            task=services().settings.tasks.ingest,
            params_json=canonical(message.model_extra or {}).encode(),
            customer=message.cust_id,
            **origin(body.canonical),
        )
    )


def rerun_job(job_id: str) -> Response:
    """Run an ended job again, as a new job that names the old one."""
    return _accept(rerun_of(job_id))


def rerun_of(job_id: str) -> Submission:
    """The new job that runs an ended one again.

    Raises:
        NotFound, LedgerUnavailable
        Conflict: it has not ended, or is kept no more.
    """
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
    return Submission(
        task=record.task,
        params_json=reading.params(services().database, record.id),
        customer=record.customer,
        queue=record.queue if record.queue in services().catalog.queues else task.options.queue,
        max_attempts=record.max_attempts,
        timeout_seconds=record.timeout_seconds,
        tags=tuple(_tags.validate_json(record.tags)),
        rerun_of=record.id,
        callback_url=reading.callback_url(services().database, record.id),
        **{**origin(canonical({})), "client": record.client},
    )


def hand_in(submission: Submission) -> Accepted:
    """Commit a job that the running request submits.

    Raises:
        Forbidden: not for this customer.
        InvalidRequest, IdempotencyMismatch, IdempotencyInFlight, QuotaExceeded, LedgerUnavailable
    """
    check_customer(submission.customer)
    accepted = services().submissions.submit(submission)
    bind(job_id=accepted.job_id, task=submission.task, customer=submission.customer)
    return accepted


def _accept(submission: Submission) -> Response:
    wait = wait_seconds()  # a malformed wish is refused before anything is accepted
    accepted = hand_in(submission)
    record = _as_it_is(accepted, wait)
    estimate = Estimate() if record.done else _estimate(record)
    headers = {"Location": f"/v1/jobs/{record.id}"}
    if not record.done:
        headers["Retry-After"] = str(retry_after_seconds(record, estimate))
    elif preferred_wait() is not None:
        headers["Preference-Applied"] = f"wait={preferred_wait()}"
    if accepted.replayed:
        headers["Idempotency-Replayed"] = "true"
    body = job_json(record, estimate, for_operator=principal().is_operator)
    status = 200 if record.done else 202
    return Response(body, status, headers, content_type="application/json")


def _as_it_is(accepted: Accepted, wait: float) -> JobRecord:
    """The job, read again only if it can have changed. What is accepted is never answered 503."""
    committed = accepted.record
    if committed is None:
        return wait_for(accepted.job_id, wait)
    if wait <= 0:
        return committed
    try:
        return wait_for(accepted.job_id, wait)
    except LedgerUnavailable:
        return committed


def _estimate(record: JobRecord) -> Estimate:
    try:
        return services().estimator.estimate(record)
    except LedgerUnavailable:
        return Estimate()
