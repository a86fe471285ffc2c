"""Requests and runs of jobs as Sentry's transactions. Imported only if a DSN is set.

Made of spans that have ended, with the trace's own id. The SDK's integration for Flask would begin
a trace of its own for each request, and know nothing of workers.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import sentry_sdk

from jobresults.telemetry import tracing
from jobresults.telemetry.trace_context import TraceContext
from jobresults.telemetry.tracing import Kind, Span

logger = logging.getLogger(__name__)

_OPERATIONS = {Kind.SERVER: "http.server", Kind.CONSUMER: "queue.process"}
_SOURCES = {Kind.SERVER: "route", Kind.CONSUMER: "task"}


class Transactions:
    """Takes a part of all traces. Which, is told by their ids: so of a trace all processes send
    theirs, or none does.
    """

    def __init__(self, sample_rate: float) -> None:
        self._below = tracing.bound_of(sample_rate)

    def wants(self, trace: TraceContext) -> bool:
        return tracing.draw_of(trace.trace_id) < self._below

    def take(self, span: Span) -> None:
        operation = _OPERATIONS.get(span.kind)
        if operation is None:
            return
        try:
            self._send(span, operation)
        except Exception:
            logger.warning("a transaction for Sentry could not be made", exc_info=True)

    def _send(self, span: Span, operation: str) -> None:
        trace = span.context
        sentry_sdk.capture_event(
            {
                "type": "transaction",
                "transaction": str(span.attributes.get("job.task", span.name)),
                "transaction_info": {"source": _SOURCES[span.kind]},
                "start_timestamp": _at(span.start_ns),
                "timestamp": _at(span.end_ns),
                "contexts": {
                    "trace": {
                        "trace_id": trace.trace_id,
                        "span_id": trace.span_id,
                        "parent_span_id": trace.parent_id,
                        "op": operation,
                        "status": "ok" if span.error is None else "internal_error",
                        "data": dict(span.attributes),
                    }
                },
                "spans": [],
            }
        )


def _at(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)
