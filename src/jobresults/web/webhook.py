"""`POST /webhook/<source>`: others' signed webhooks, which start the configured tasks."""

from __future__ import annotations

from dataclasses import replace

from flask import Response, jsonify, request

from jobresults.errors import BadSignature, NotFound
from jobresults.telemetry.logging_context import bind, current
from jobresults.web.request_body import customer_name, json_of, read_bytes
from jobresults.web.services import services


def receive_webhook(source: str) -> Response:
    """Take a webhook of a configured source; the signature tells whether it is genuine."""
    found = services().sources.get(source)
    if found is None:
        raise NotFound("no such webhook source")
    body = read_bytes()
    delivery = found.verify(lambda name: request.headers.get(name, ""), body)
    if delivery is None:
        raise BadSignature(
            "the signature does not match, or is too old; check the secret and the clock"
        )
    bind(client=found.settings.client, task=found.settings.task)
    if found.is_ping(delivery):
        return jsonify(status="pong")
    payload = json_of(body).document
    if not found.wants(delivery, payload):
        return jsonify(status="ignored")
    submission = found.submission(delivery, payload)
    if submission.customer is not None:
        customer_name(submission.customer)
    request_id = current("request_id")
    accepted = services().submissions.submit(
        replace(submission, request_id=request_id if isinstance(request_id, str) else None)
    )
    bind(job_id=accepted.job_id)
    response = jsonify(status="accepted", job_id=accepted.job_id)
    response.status_code = 202
    return response
