"""`POST /v1/jobs` with an array: each job in it is committed, all in one transaction, or refused
with its reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Response, request

from jobresults.errors import InvalidRequest, RequestError
from jobresults.jobs.new_job import Submission
from jobresults.jobs.submission import Accepted
from jobresults.web.bodies import MAX_BULK_JOBS, SubmitBody
from jobresults.web.document import job_json
from jobresults.web.problems import problem
from jobresults.web.request_body import JsonBody, parse
from jobresults.web.services import principal, services
from jobresults.web.submission import check_customer, from_body, origin


def submit_all(body: JsonBody) -> Response:
    """Accept what is valid in the array, and answer for each job in its order.

    Raises:
        InvalidRequest: an empty or too long array, or `wait`, which is for one job alone. (`Prefer:
            wait` is only a preference, and ignored.)
        Forbidden: one of the jobs is for a customer whom the API key does not reach.
        IdempotencyInFlight, IdempotencyMismatch, LedgerUnavailable: nothing was accepted.
    """
    documents = body.document
    if not 1 <= len(documents) <= MAX_BULK_JOBS:
        raise InvalidRequest(
            f"the array has {len(documents):,} jobs; send 1 to {MAX_BULK_JOBS:,} at once"
        )
    if "wait" in request.args:
        message = "is for one job; submit the array without it, then GET /v1/jobs?id=…&id=…"
        raise InvalidRequest(f"wait: {message}", [{"path": "wait", "message": message}])
    submissions = list(_submissions(documents, origin(body.canonical)))
    for place, submission in enumerate(submissions):
        if isinstance(submission, Submission):
            check_customer(submission.customer, f"[{place}].")
    answers = services().submissions.submit_all(submissions)
    accepted = [answer for answer in answers if isinstance(answer, Accepted)]
    head = f'{{"accepted": {len(accepted)}, "rejected": {len(answers) - len(accepted)}, "jobs": ['
    for_operator = principal().is_operator
    items = b", ".join(
        _item(place, answer, for_operator=for_operator) for place, answer in enumerate(answers)
    )
    response = Response(head.encode() + items + b"]}", 207, mimetype="application/json")
    if any(answer.replayed for answer in accepted):
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _submissions(
    documents: list[Any], origin: dict[str, Any]
) -> Iterator[Submission | InvalidRequest]:
    for document in documents:
        try:
            yield from_body(parse(SubmitBody, document), origin)
        except InvalidRequest as error:
            yield error


def _item(place: int, answer: Accepted | RequestError, *, for_operator: bool) -> bytes:
    if isinstance(answer, Accepted):
        assert answer.record is not None
        job = job_json(answer.record, for_operator=for_operator)
        status = 200 if answer.record.done else 202
        return b'{"status": %d, "job": %s}' % (status, job)
    extra = dict(answer.extra)
    if "errors" in extra:
        extra["errors"] = [
            {**found, "path": _path(place, found["path"])} for found in extra["errors"]
        ]
    detail = f"[{place}]: {answer.detail}"
    document = problem(request.path, answer.status, answer.code, answer.title, detail, **extra)
    return b'{"status": %d, "problem": %s}' % (answer.status, document.body)


def _path(place: int, path: str) -> str:
    return f"[{place}].{path}" if path else f"[{place}]"
