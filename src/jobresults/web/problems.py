"""Every error as `application/problem+json` (RFC 9457), ours, Flask's and the unforeseen alike."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, has_request_context, request
from werkzeug.exceptions import HTTPException

from jobresults.errors import RedisUnavailable, RequestError, TooManyRequests, Unavailable
from jobresults.telemetry import sentry
from jobresults.telemetry.logging_context import current
from jobresults.web.reply import Reply

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 2
CHALLENGE = 'Bearer realm="jobresults"'
_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    417: "expectation_failed",
    431: "headers_too_large",
    501: "not_implemented",
}

_DETAILS = {
    404: "There is nothing at this path; /docs shows what there is.",
    405: "This path does not take this method; /docs shows what it takes.",
    413: "The body is larger than this service accepts; send less at once.",
}
_LEDGER = "The service cannot reach its database right now. Nothing was accepted; try again."
_REDIS = "The service cannot reach Redis right now, where alerts are kept; try again."


def problem(path: str, status: int, code: str, title: str, detail: str, **extra: Any) -> Reply:
    """One problem document. `error` repeats `detail`: the first callers read that member."""
    body = {
        "type": f"urn:jobresults:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": path,
        "code": code,
        "request_id": current("request_id"),
        "error": detail,
        **extra,
    }
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return Reply(status, text, "application/problem+json")


def of_status(path: str, status: int, detail: str) -> Reply:
    """The problem that has no name but its status."""
    return problem(
        path, status, _CODES.get(status, f"http_{status}"), HTTPStatus(status).phrase, detail
    )


def reply_to(error: Exception, method: str, path: str) -> Reply:
    """The problem that a failure is to the caller; the unforeseen is logged, and goes to Sentry."""
    if isinstance(error, RequestError):
        return _request_error(error, path)
    if isinstance(error, Unavailable):
        logger.warning("%s", error.detail)
        detail = _REDIS if isinstance(error, RedisUnavailable) else _LEDGER
        reply = problem(path, 503, error.code, error.title, detail)
        reply.add_header("Retry-After", str(RETRY_AFTER_SECONDS))
        return reply
    route = request.url_rule.rule if has_request_context() and request.url_rule else path
    event_id = sentry.capture(error, request=sentry.Request(method, path, route))
    known = {"sentry_event_id": event_id, "http_route": f"{method} {route}"}
    logger.error("unforeseen error in %s %s", method, path, exc_info=error, extra=known)
    detail = "An unforeseen error; it has been logged."
    return problem(path, 500, "internal_error", "Internal error", detail)


def install(app: Flask) -> None:
    """Register the handlers for every kind of failure."""
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(
        Exception, lambda error: reply_to(error, request.method, request.path).response()
    )


def _request_error(error: RequestError, path: str) -> Reply:
    reply = problem(path, error.status, error.code, error.title, error.detail, **error.extra)
    if error.status == 401:
        reply.add_header("WWW-Authenticate", CHALLENGE)
    if error.code == "idempotency_in_flight":
        reply.add_header("Retry-After", "1")
    if isinstance(error, TooManyRequests):
        reply.add_header("Retry-After", str(error.retry_after_seconds))
    return reply


def _http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(error.get_response().get_data(), status, headers=list(error.get_headers()))
    detail = _DETAILS.get(status) or error.description or error.name
    code = _CODES.get(status, f"http_{status}")
    reply = problem(request.path, status, code, error.name, detail)
    for name, value in error.get_headers():
        if name == "Allow":
            reply.add_header(name, value)
    return reply.response()
