"""A request's id and its trace: taken from its headers or made, bound to every log line, sent back
with every answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import uuid_utils
from werkzeug.wsgi import ClosingIterator

from jobresults.telemetry import tracing
from jobresults.telemetry.logging_context import bound
from jobresults.telemetry.trace_context import TraceContext
from jobresults.web import request_span

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,100}")


def request_id(environ: dict[str, Any]) -> str:
    """The id the caller gave, or a new one."""
    given = environ.get("HTTP_X_REQUEST_ID")
    if given is not None and _ACCEPTABLE.fullmatch(given):
        return str(given)
    return uuid_utils.uuid7().hex


def request_trace(environ: dict[str, Any]) -> TraceContext:
    """The request's span in the caller's trace, or in a new one (W3C Trace Context)."""
    return tracing.enter(environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_TRACESTATE"))


class RequestContext:
    """WSGI middleware around Flask, framework errors included: `serve` is the application."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer the request within its context."""
        id_, trace = request_id(environ), request_trace(environ)
        span = request_span.begin(environ, trace, id_)

        def start_with_ids(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if span is not None:
                request_span.note_answer(span, environ, int(status[:3]))
            ids = ("X-Request-ID", id_), ("traceparent", trace.traceparent)
            return start_response(status, [*headers, *ids], *rest)

        with bound(request_id=id_, trace_id=trace.trace_id), tracing.within(trace):
            answer: Iterable[bytes] = self._application(environ, start_with_ids)
        if span is None:
            return answer
        # A stream has not even begun yet.
        return ClosingIterator(answer, [lambda: tracing.end(span)])
