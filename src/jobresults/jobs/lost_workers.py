"""Making good for workers that are gone: their leases run out, and their jobs go on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, update

from jobresults.database import Database
from jobresults.jobs import events, incidents, outbox
from jobresults.jobs.batches import batch_of
from jobresults.jobs.model import job
from jobresults.jobs.outcome import CANCELED, WORKER_LOST, JobError, ended_values, queued_values
from jobresults.jobs.states import Event, State, WaitingOn
from jobresults.telemetry import metrics, sentry, trace_context, tracing
from jobresults.telemetry.logging_context import bound

logger = logging.getLogger(__name__)

# What is told of a job that lost its worker.
_ABOUT = [job.c[name] for name in ("task", "queue", "customer", "client", "request_id", "attempt")]
_TRACE = (job.c.traceparent, job.c.tracestate)


def take_over_expired_leases(database: Database, batch_size: int) -> int:
    """Requeue running jobs whose worker stopped beating, or end them: canceled if asked to, failed
    after the last attempt. Returns how many.

    Raises:
        LedgerUnavailable
    """
    over = (job.c.state == State.RUNNING) & (job.c.lease_until_ms < database.now_ms())
    canceling = job.c.cancel_requested_at_ms.is_not(None)
    exhausted = job.c.attempt >= job.c.max_attempts
    with database.write() as connection:
        batch = over & job.c.id.in_(batch_of(over, batch_size))
        canceled = _end(database, connection, batch & canceling, State.CANCELED, CANCELED)
        batch &= ~canceling  # one who asks meanwhile has the next sweep
        failed = _end(database, connection, batch & exhausted, State.FAILED, WORKER_LOST)
        drafts = {row.id: _draft(connection, row) for row in failed}
        requeued = connection.execute(
            update(job)
            .where(batch & ~exhausted)
            .values(**queued_values(), waiting_on=WaitingOn.WORKER, due_at_ms=database.now_ms())
            .returning(job.c.id, *_ABOUT, *_TRACE)
        ).all()
        events.append(
            database,
            connection,
            [
                *(events.Entry(row.id, Event.CANCELED, row.attempt, {}) for row in canceled),
                *(
                    events.Entry(row.id, Event.FAILED, row.attempt, {"error": asdict(WORKER_LOST)})
                    for row in failed
                ),
                *(
                    events.Entry(row.id, Event.REQUEUED, row.attempt, {"reason": "worker_lost"})
                    for row in requeued
                ),
            ],
        )
        outbox.add(connection, [row.id for row in (*canceled, *failed)])
    _count_ended(canceled, "canceled")
    _tell(failed, drafts, requeued)
    return len(canceled) + len(failed) + len(requeued)


def _tell(
    failed: Iterable[Any], drafts: Mapping[str, sentry.Draft | None], requeued: Iterable[Any]
) -> None:
    _count_ended(failed, WORKER_LOST.code)
    for row in failed:
        draft = drafts[row.id]
        if draft is not None:
            sentry.send(draft.envelope)
        event = {"sentry_event_id": draft.event_id if draft else None}
        text = "job %s failed for good: its worker %s was lost in its last attempt"
        logger.error(text, row.id, row.worker, extra=_lost(row) | event)
    for row in requeued:
        metrics.JOB_ATTEMPTS_RETRIED.labels(row.task, WORKER_LOST.code).inc()
        text = "job %s is queued again: its worker was lost"
        logger.error(text, row.id, extra=_lost(row))


def _count_ended(rows: Iterable[Any], outcome: str) -> None:
    for row in rows:
        metrics.JOBS_ENDED.labels(row.task, row.queue, outcome).inc()


def _lost(row: Any) -> dict[str, Any]:
    about = {column.name: getattr(row, column.name) for column in _ABOUT}
    ids = {"job_id": row.id, "trace_id": trace_context.trace_id_of(row.traceparent)}
    return incidents.worker_lost(row.queue) | about | ids


def _draft(connection: Connection, row: Any) -> sentry.Draft | None:
    """The event of a job that fails; to be sent once that is committed."""
    trace = trace_context.parse(row.traceparent, row.tracestate)
    with bound(job_id=row.id), tracing.within(trace):
        draft = sentry.make(WORKER_LOST.detail, fingerprint=(WORKER_LOST.code,))
    if draft is not None:
        connection.execute(
            update(job).where(job.c.id == row.id).values(sentry_event_id=draft.event_id)
        )
    return draft


def _end(
    database: Database,
    connection: Connection,
    wanted: ColumnElement[bool],
    state: State,
    error: JobError,
) -> Any:
    return connection.execute(
        update(job)
        .where(wanted)
        # The new epoch refuses the worker's own word, should it come yet.
        .values(
            **ended_values(database.now_ms(), state),
            epoch=job.c.epoch + 1,
            error=error.to_json(),
        )
        .returning(job.c.id, job.c.worker, *_ABOUT, *_TRACE)
    ).all()
