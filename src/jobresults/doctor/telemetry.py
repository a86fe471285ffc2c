"""Where events, metrics and traces go."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

from jobresults.doctor.alerting import reached
from jobresults.doctor.findings import Finding, Subject, ok, warning

_SECONDS = 2.0
# Where to reach what listens on every address.
_ANY = "0.0.0.0"  # nosec B104  # noqa: S104 - nothing is bound here
_REACHED_AT = {_ANY: "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def check_sentry(subject: Subject) -> Iterator[Finding]:
    """Whether the server of the DSN answers; no event is sent."""
    dsn = subject.settings.sentry.dsn
    if dsn is None:
        yield ok("sentry", "not configured")
    else:
        yield reached("sentry", dsn)


def check_metrics(subject: Subject) -> Iterator[Finding]:
    """Whether a process serves metrics on this machine's port."""
    chosen = getattr(subject.settings, "metrics", None)
    host, port = getattr(chosen, "host", ""), getattr(chosen, "port", None)
    if port is None:
        yield ok("metrics", "not configured")
        return
    host = _REACHED_AT.get(host, host)
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/metrics")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as problem:
        text = f"nothing serves http://{host}:{port}/metrics here: {problem}"
        yield warning("metrics", text, "start the process, or run this in its pod")
        return
    finally:
        connection.close()
    text = f"http://{host}:{port}/metrics answers {status}"
    if status == http.client.OK:
        yield ok("metrics", text)
    else:
        yield warning("metrics", text, "see what else listens there")


def check_tracing(subject: Subject) -> Iterator[Finding]:
    """Whether the collector answers; no span is sent."""
    endpoint = getattr(getattr(subject.settings, "tracing", None), "otlp_endpoint", None)
    if endpoint is None:
        yield ok("tracing", "not configured")
    else:
        yield reached("tracing", endpoint)
