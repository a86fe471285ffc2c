"""Connecting a process's alerts, at its start."""

from __future__ import annotations

from jobresults.alerts import process
from jobresults.alerts.transport import RedisTransport
from jobresults.settings import Settings


def start_alerts(settings: Settings) -> RedisTransport:
    """From now on what this process and its forks log at ERROR or worse is counted in Redis,
    beginning with what was logged before. Opens no connection as long as there is nothing to tell.
    """
    transport = RedisTransport(settings)
    modules = (*settings.tasks.modules, *settings.alerts.in_app_modules)
    process.alerts.send_through(transport, in_app=modules)
    return transport
