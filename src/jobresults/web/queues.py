"""The queues, for operators: what they hold, pausing and resuming them."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from jobresults.errors import NotFound
from jobresults.jobs import queues
from jobresults.jobs.queues import QueueState
from jobresults.web.document import rfc3339
from jobresults.web.services import principal, services


def list_queues() -> Response:
    """List the queues and what they hold."""
    return jsonify(queues=[_document(state) for state in _overview().values()])


def pause_queue(name: str) -> Response:
    """Pause a queue: within a second no worker starts a job of it."""
    _known(name)
    queues.pause(services().database, name, principal().client)
    return jsonify(_document(_overview()[name]))


def resume_queue(name: str) -> Response:
    """Resume a queue."""
    _known(name)
    queues.resume(services().database, name, principal().client)
    return jsonify(_document(_overview()[name]))


def _overview() -> dict[str, QueueState]:
    return {state.name: state for state in services().census.take()}


def _known(name: str) -> None:
    if name in services().catalog.queues:
        return
    known = _overview()  # one that no task uses any more may still hold jobs
    if name not in known:
        raise NotFound(f"no such queue; queues: {', '.join(known)}")


def _document(state: QueueState) -> dict[str, Any]:
    return {
        "name": state.name,
        "queued": state.queued,
        "held": state.held,
        "running": state.holding.running,
        "oldest_seconds": state.holding.oldest_seconds,
        "workers": services().health.workers(state.name),
        "paused": state.paused_at_ms is not None,
        "paused_at": rfc3339(state.paused_at_ms),
        "paused_by": state.paused_by,
    }
