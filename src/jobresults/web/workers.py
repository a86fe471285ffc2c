"""The workers, for operators: who is at work, and on what."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from jobresults.jobs.workers import WorkerState, all_workers
from jobresults.web.document import rfc3339
from jobresults.web.services import services


def list_workers() -> Response:
    """List the workers and the jobs they hold."""
    found = all_workers(services().database, services().redis)
    return jsonify(workers=[_document(worker) for worker in found])


def _document(worker: WorkerState) -> dict[str, Any]:
    registered = worker.registered
    return {
        "name": worker.name,
        "host": registered and registered.host,
        "version": registered and registered.release,
        "state": "busy" if worker.is_busy else "idle",
        "queues": registered and list(registered.queues),
        "job_ids": list(worker.job_ids),
        "started_at": registered and rfc3339(registered.started_at_ms),
        "last_seen_at": registered and rfc3339(registered.last_seen_at_ms),
    }
