"""Canceling on request: a queued job at once, a running one through its worker."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from jobresults.database import Database
from jobresults.jobs import events, outbox
from jobresults.jobs.model import job
from jobresults.jobs.outcome import CANCELED, ended_values
from jobresults.jobs.states import Event, State
from jobresults.telemetry.metrics import JOBS_ENDED


def cancel(database: Database, job_id: str) -> State:
    """Cancel a job the caller may see. Returns the state it is in then.

    `canceled`: it was queued, or canceled before. `running`: its worker stops it within 2 s. Any
    other: it had ended before.

    Raises:
        LedgerUnavailable: nothing changed, unless the answer to the commit was lost; repeating is
            harmless.
    """
    with database.write() as connection:
        row = connection.execute(
            select(
                *(job.c.state, job.c.attempt, job.c.cancel_requested_at_ms),
                *(job.c.task, job.c.queue),
            )
            .where(job.c.id == job_id)
            .with_for_update()  # so that no retry slips in between
        ).one()
        values: dict[str, Any] = {"cancel_requested_at_ms": database.now_ms()}
        if row.state == State.QUEUED:
            values = ended_values(database.now_ms(), State.CANCELED)
            values |= {
                "epoch": job.c.epoch + 1,
                "error": CANCELED.to_json(),
            }
        elif row.state != State.RUNNING or row.cancel_requested_at_ms is not None:
            return State(row.state)
        connection.execute(update(job).where(job.c.id == job_id).values(**values))
        event = Event.CANCELED if row.state == State.QUEUED else Event.CANCEL_REQUESTED
        events.append(database, connection, [events.Entry(job_id, event, row.attempt, {})])
        if row.state != State.QUEUED:
            return State.RUNNING
        outbox.add(connection, [job_id])
    JOBS_ENDED.labels(row.task, row.queue, "canceled").inc()
    return State.CANCELED
