"""What the log is told of attempts that have ended, and which of it on-call has to hear."""

from __future__ import annotations

import logging
from typing import Any

from jobresults.jobs import incidents
from jobresults.jobs.outcome import Recorded
from jobresults.jobs.running import Claimed
from jobresults.jobs.states import State
from jobresults.telemetry.logging_context import bound
from jobresults.worker.attempts import Attempt

logger = logging.getLogger(__name__)

_LEVELS = {
    State.SUCCEEDED: logging.INFO,
    State.CANCELED: logging.INFO,
    State.QUEUED: logging.WARNING,
    State.FAILED: logging.ERROR,
}


def tell(attempt: Attempt, recorded: Recorded | None) -> None:
    """Log what became of a job; None: the outcome was refused."""
    job, ending = attempt.job, attempt.ending
    state = None if recorded is None else recorded.state
    detail = ending.error.detail if ending is not None and ending.error is not None else "-"
    level, extra = _severity(attempt, state)
    if not logger.isEnabledFor(level):
        return
    with bound(
        request_id=job.request_id,
        job_id=job.id,
        task=job.task,
        customer=job.customer,
        client=job.client,
        attempt=job.attempt,
    ):
        if state is None:
            text = "job %s: outcome refused, its lease went to another worker"
            logger.log(level, text, job.id, extra=extra)
        elif state is State.FAILED:
            text = "job %s (%s) failed for good: %s"
            logger.log(level, text, job.id, job.task, detail, extra=extra)
        elif state is State.QUEUED:
            text = "job %s (%s) is queued again: %s"
            logger.log(level, text, job.id, job.task, detail, extra=extra)
        else:
            logger.log(level, "job %s (%s) %s", job.id, job.task, state)


def _severity(attempt: Attempt, state: State | None) -> tuple[int, dict[str, Any] | None]:
    """The level of what is said of an outcome, and what makes an alert of it."""
    job, ending = attempt.job, attempt.ending
    if state is None:
        return logging.WARNING, incidents.worker_lost(job.queue)
    if ending is None or ending.error is None or state not in (State.FAILED, State.QUEUED):
        return _LEVELS[state], None
    error = ending.error
    if state is State.FAILED:
        said = error.code, error.detail, ending.traceback
        event = {"sentry_event_id": attempt.event.event_id if attempt.event else None}
        return logging.ERROR, incidents.job_failed(job.task, job.queue, *said) | event
    if error.code == incidents.EXECUTOR_KILLED:  # it is told at once, attempts left or not
        return logging.ERROR, incidents.executor_killed(job.task, job.queue)
    return logging.WARNING, None


def about(job: Claimed) -> dict[str, Any]:
    """What a line says of the job it is about."""
    names = ("request_id", "task", "queue", "customer", "client", "attempt")
    return {"job_id": job.id, **{name: getattr(job, name) for name in names}}
