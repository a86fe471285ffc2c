"""Probes: answered from memory, never waiting for Redis or the ledger."""

from __future__ import annotations

import time
from importlib.metadata import version

from flask import Response, jsonify

from jobresults.web.services import services

_VERSION = version("jobresults")


def get_status() -> Response:
    """Tell that the process is alive, and what it knows of Redis and the ledger."""
    return jsonify(success="OK", **_status())


def get_readiness() -> Response:
    """Tell whether the process wants traffic: 503 while starting, draining, or when nothing can be
    accepted.
    """
    status = _status()
    response = jsonify(**({"success": "OK"} if status["ready"] else {}), **status)
    response.status_code = 200 if status["ready"] else 503
    if not status["ready"]:
        response.headers["Retry-After"] = "2"
    return response


def _status() -> dict[str, object]:
    health, draining = services().health, services().bell.draining
    latest = health.latest
    return {
        "ready": health.can_accept and not draining,
        "version": _VERSION,
        "draining": draining,
        "ledger": latest.ledger,
        "redis": latest.redis,
        "workers": latest.workers,
        "checked_seconds_ago": None
        if latest.at is None
        else round(time.monotonic() - latest.at, 3),
    }
