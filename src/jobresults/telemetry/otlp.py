"""Spans as OpenTelemetry's exporter sends them. Imported only if an endpoint is set."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from jobresults.settings import Settings
from jobresults.telemetry import identity
from jobresults.telemetry.redaction import hide
from jobresults.telemetry.span_queue import NotTaken, SpanQueue
from jobresults.telemetry.trace_context import TraceContext
from jobresults.telemetry.tracing import Kind, Span

_TRACES_PATH = "/v1/traces"
_KINDS = {kind: SpanKind[kind.name] for kind in Kind}
# Whose parents are spans of other processes.
_REMOTE_PARENTS = (Kind.SERVER, Kind.CONSUMER)


class OtlpSink:
    """Sends the sampled traces of this process to the collector."""

    def __init__(self, settings: Settings, process: str) -> None:
        chosen = settings.tracing
        assert chosen.otlp_endpoint is not None
        self._exporter = OTLPSpanExporter(
            endpoint=_url(chosen.otlp_endpoint),
            headers=chosen.header_items,
            timeout=chosen.timeout_seconds,
        )
        self._complaints = _Complaints()
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(self._complaints)
        # With what OTEL_RESOURCE_ATTRIBUTES says besides.
        self._resource = Resource.create(
            {
                "service.name": f"{chosen.service_name}-{process}",
                "service.namespace": chosen.service_name,
                "service.version": identity.version(),
                "service.instance.id": f"{identity.pod()}:{os.getpid()}",
                "deployment.environment.name": settings.environment,
                "host.name": identity.pod(),
                "process.pid": os.getpid(),
            }
        )
        self._scope = InstrumentationScope("jobresults", identity.version())
        self._queue = SpanQueue(self._send)
        self.stop = self._queue.stop

    def wants(self, trace: TraceContext) -> bool:
        return trace.is_sampled

    def take(self, span: Span) -> None:
        self._queue.put(span)

    def _send(self, spans: Sequence[Span]) -> None:
        result = self._exporter.export([self._readable(span) for span in spans])
        if result is not SpanExportResult.SUCCESS:
            raise NotTaken(self._complaints.last)

    def _readable(self, span: Span) -> ReadableSpan:
        trace, is_remote = span.context, span.kind in _REMOTE_PARENTS
        parent = None
        if trace.parent_id is not None:
            parent = _span_context(trace._replace(span_id=trace.parent_id), is_remote=is_remote)
        links = [] if span.link is None else [Link(_span_context(span.link, is_remote=True))]
        error = span.error
        return ReadableSpan(
            name=span.name,
            context=_span_context(trace, is_remote=False),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes
            if error is None
            else {**span.attributes, "error.type": error},
            links=links,
            kind=_KINDS[span.kind],
            instrumentation_scope=self._scope,
            status=Status(StatusCode.UNSET if error is None else StatusCode.ERROR),
            start_time=span.start_ns,
            end_time=span.end_ns,
        )


class _Complaints(logging.Filter):
    """Keeps what the exporter would log of each batch: the queue tells it, once."""

    last = "the collector did not take them"
    _passing = ""

    def filter(self, record: logging.LogRecord) -> bool:
        text = hide(record.getMessage())
        if record.levelno < logging.ERROR:  # it tries once more
            self._passing = text
        else:
            self.last, self._passing = f"{text} {self._passing}".strip(), ""
        return False


def _url(endpoint: str) -> str:
    """As for `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector's address, without the path."""
    base = endpoint.rstrip("/")
    return base if base.endswith(_TRACES_PATH) else base + _TRACES_PATH


def _span_context(trace: TraceContext, *, is_remote: bool) -> SpanContext:
    return SpanContext(
        int(trace.trace_id, 16),
        int(trace.span_id, 16),
        is_remote,
        TraceFlags(trace.flags),
        None if trace.state is None else TraceState.from_header([trace.state]),
    )
