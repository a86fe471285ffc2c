"""Canceling on request: a queued job at once, a running one through its worker."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import select, update

from jobresults.database import Database
from jobresults.jobs import events
from jobresults.jobs.model import job
from jobresults.jobs.outcome import CANCELED, ended_values
from jobresults.jobs.states import Event, State


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
            update(job)
            .where(job.c.id == job_id, job.c.state == State.QUEUED)
            .values(
                **ended_values(database, State.CANCELED),
                epoch=job.c.epoch + 1,
                error=json.dumps(asdict(CANCELED)),
            )
            .returning(job.c.attempt)
        ).first()
        if row is not None:
            events.append(
                database, connection, [events.Entry(job_id, Event.CANCELED, row.attempt, {})]
            )
            return State.CANCELED
        row = connection.execute(
            update(job)
            .where(
                job.c.id == job_id,
                job.c.state == State.RUNNING,
                job.c.cancel_requested_at_ms.is_(None),
            )
            .values(cancel_requested_at_ms=database.now_ms())
            .returning(job.c.attempt)
        ).first()
        if row is not None:
            events.append(
                database,
                connection,
                [events.Entry(job_id, Event.CANCEL_REQUESTED, row.attempt, {})],
            )
            return State.RUNNING
        return State(connection.execute(select(job.c.state).where(job.c.id == job_id)).scalar_one())
