"""Every error as `application/problem+json` (RFC 9457), ours, Flask's and the unforeseen alike."""

from __future__ import annotations

import json
import logging
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from jobresults.errors import RequestError, Unavailable
from jobresults.telemetry.logging_context import current

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 2
_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
}

_DETAILS = {
    404: "There is nothing at this path; /docs shows what there is.",
    405: "This path does not take this method; /docs shows what it takes.",
    413: "The body is larger than this service accepts; send less at once.",
}


def problem(status: int, code: str, title: str, detail: str, **extra: Any) -> Response:
    """One problem document. `error` repeats `detail`: the first callers read that member."""
    body = {
        "type": f"urn:jobresults:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "code": code,
        "request_id": current("request_id"),
        "error": detail,
        **extra,
    }
    response = Response(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), status)
    response.mimetype = "application/problem+json"
    return response


def install(app: Flask) -> None:
    """Register the handlers for every kind of failure."""
    app.register_error_handler(RequestError, _request_error)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(Exception, _unforeseen)


def _request_error(error: RequestError) -> Response:
    response = problem(error.status, error.code, error.title, error.detail, **error.extra)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="jobresults"'
    if error.code == "idempotency_in_flight":
        response.headers["Retry-After"] = "1"
    return response


def _unavailable(error: Unavailable) -> Response:
    logger.warning("%s", error.detail)
    detail = "The service cannot reach its database right now. Nothing was accepted; try again."
    response = problem(503, error.code, error.title, detail)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(error.get_response().get_data(), status, headers=list(error.get_headers()))
    detail = _DETAILS.get(status) or error.description or error.name
    response = problem(status, _CODES.get(status, f"http_{status}"), error.name, detail)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _unforeseen(error: Exception) -> Response:
    logger.error("unforeseen error in %s %s", request.method, request.path, exc_info=error)
    return problem(
        500, "internal_error", "Internal error", "An unforeseen error; it has been logged."
    )
