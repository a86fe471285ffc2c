"""The span of a callback on its way, as OpenTelemetry's conventions for HTTP clients describe it.
Of its URL only where it leads: the rest may hold a secret.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from jobresults.telemetry import tracing
from jobresults.telemetry.trace_context import TraceContext
from jobresults.telemetry.tracing import Kind, Span, Value
from jobresults.webhooks.claims import Claim, Sent

_PORTS = {"http": 80, "https": 443}


def begin(trace: TraceContext, item: Claim) -> Span | None:
    """It is sent now; None if nobody wants the span."""
    if not tracing.is_wanted(trace):
        return None
    url = urlsplit(item.url)
    attributes: dict[str, Value] = {
        "http.request.method": "POST",
        "url.scheme": url.scheme,
        "server.address": url.hostname or "",
        "server.port": url.port or _PORTS[url.scheme],
        "callback.id": item.id,
        "job.id": item.job_id,
    }
    if item.attempts > 1:
        attributes["http.request.resend_count"] = item.attempts - 1
    return Span("POST", Kind.CLIENT, trace, attributes)


def end(span: Span | None, sent: Sent) -> None:
    """What came of it."""
    if span is None:
        return
    if sent.status is not None:
        span.attributes["http.response.status_code"] = sent.status
    if not sent.ok:
        span.error = "not_sent" if sent.status is None else str(sent.status)
    tracing.end(span)
