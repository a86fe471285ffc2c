"""From settings to recorded traces: who takes this process's spans, and what else makes them."""

from __future__ import annotations

import atexit
import os
from importlib.util import find_spec
from typing import Literal

from jobresults.errors import ConfigurationError
from jobresults.settings import Settings
from jobresults.telemetry import sentry, tracing

_EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def start_tracing(settings: Settings, process: Literal["web", "worker", "maintenance"]) -> None:
    """Record this process's spans from now on, if the settings want it; what is left at its exit
    gets a moment to go out. Once a process, after a fork and after `sentry.start`; what it forks
    itself records none.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    require_exporter(settings)
    chosen = settings.tracing
    if chosen.otlp_endpoint is not None:
        from jobresults.telemetry.client_spans import watch_clients
        from jobresults.telemetry.otlp import OtlpSink

        sink = OtlpSink(settings, process)
        tracing.add_sink(sink)
        tracing.sample(chosen.sample_ratio)
        watch_clients()
        atexit.register(sink.stop, chosen.flush_seconds)
    transactions = sentry.transactions()
    if transactions is not None:
        tracing.add_sink(transactions)
    os.register_at_fork(after_in_child=tracing.forget)


def require_exporter(settings: Settings) -> None:
    """Make sure that spans can be sent if they are to be.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    if settings.tracing.otlp_endpoint is None:
        return
    try:
        found = find_spec(_EXPORTER)
    except ModuleNotFoundError:  # not even the package above it
        found = None
    if found is None:
        raise ConfigurationError(
            "tracing.otlp_endpoint is set, but OpenTelemetry is not installed: "
            "pip install 'jobresults[otel]' (requirements/otel.txt), or leave it null"
        )
