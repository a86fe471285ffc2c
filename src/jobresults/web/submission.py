"""What a request to submit says besides the job: who asks, under which key."""

from __future__ import annotations

import re
from typing import Any

from flask import request

from jobresults.errors import Forbidden, InvalidRequest
from jobresults.jobs.new_job import Submission
from jobresults.jobs.submission import fingerprint
from jobresults.telemetry.logging_context import current
from jobresults.web.bodies import SubmitBody
from jobresults.web.request_body import canonical
from jobresults.web.services import principal, services

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def origin(canonical_body: str) -> dict[str, Any]:
    """The members of a `Submission` that all jobs of the running request share.

    Raises:
        InvalidRequest: the Idempotency-Key is malformed.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters")
    request_id = current("request_id")
    return {
        "client": principal().client,
        "idempotency_key": key,
        "fingerprint": "" if key is None else fingerprint(request.path, canonical_body),
        "request_id": request_id if isinstance(request_id, str) else None,
    }


def check_customer(customer: str | None, place: str = "") -> None:
    """Make sure that the running request may submit for the customer. Whether there is anything of
    another one is not told.

    Raises:
        Forbidden: its API key is limited to others.
    """
    customers = principal().customers
    if customers is not None and customer not in customers:
        raise Forbidden(f"{place}customer: this API key is limited to other customers")


def from_body(body: SubmitBody, origin: dict[str, Any]) -> Submission:
    """The job that a body of `POST /v1/jobs` describes.

    Raises:
        InvalidRequest: callbacks may not go to its URL, or could not be signed.
        LedgerUnavailable
    """
    if body.callback_url is not None:
        services().callback_urls.check(body.callback_url, origin["client"])
    return Submission(
        task=body.task,
        params_json=canonical(body.params).encode(),
        customer=body.customer,
        queue=body.queue,
        delay_seconds=body.delay_seconds,
        run_at_ms=None if body.run_at is None else round(body.run_at.timestamp() * 1000),
        max_attempts=body.max_attempts,
        timeout_seconds=body.timeout_seconds,
        tags=tuple(dict.fromkeys(body.tags)),
        callback_url=body.callback_url,
        **origin,
    )
