"""The span of a request, as OpenTelemetry's conventions for HTTP servers describe it. Without the
query string, into which people put secrets.
"""

from __future__ import annotations

from http import HTTPMethod
from typing import Any

from jobresults.telemetry import tracing
from jobresults.telemetry.logging_context import clean
from jobresults.telemetry.trace_context import TraceContext
from jobresults.telemetry.tracing import Kind, Span
from jobresults.web.request_counts import ROUTE

_METHODS = frozenset(HTTPMethod)
# Probes come every few seconds, and are no work.
_PROBES = "/status"


def begin(environ: dict[str, Any], trace: TraceContext, request_id: str) -> Span | None:
    """It begins now; None if nobody wants it."""
    if not tracing.is_wanted(trace):
        return None
    path = environ["PATH_INFO"]
    if path.startswith(_PROBES):
        return None
    method = environ["REQUEST_METHOD"]
    return Span(
        method if method in _METHODS else "HTTP",
        Kind.SERVER,
        trace,
        {
            "http.request.method": method if method in _METHODS else "_OTHER",
            "url.path": clean(path),
            "url.scheme": environ.get("wsgi.url_scheme", "http"),
            "user_agent.original": clean(environ.get("HTTP_USER_AGENT", "")),
            "request.id": request_id,
        },
    )


def note_answer(span: Span, environ: dict[str, Any], status: int) -> None:
    """What is answered. Only what the server is to blame for is an error (HTTP conventions)."""
    span.attributes["http.response.status_code"] = status
    if status >= 500:
        span.error = str(status)
    route = environ.get(ROUTE)
    if route is not None:
        span.attributes["http.route"] = route
        span.name = f"{span.name.partition(' ')[0]} {route}"
