"""How long jobs wait for a worker."""

from __future__ import annotations

from sqlalchemy import select

from jobresults.database import Database
from jobresults.jobs.model import job
from jobresults.jobs.states import State


def oldest_wait_seconds(database: Database, queue: str) -> float | None:
    """How long the job that has been in a queue for longest could have run by now; None if nothing
    waits for a worker. One look into an index, however many wait.

    Raises:
        LedgerUnavailable
    """
    rows = database.rows(
        select((database.now_ms() - job.c.due_at_ms).label("wait_ms"))
        .where(
            job.c.state == State.QUEUED, job.c.queue == queue, job.c.dispatched_at_ms.is_not(None)
        )
        .order_by(job.c.dispatched_at_ms)
        .limit(1)
    )
    return max(0, rows[0].wait_ms) / 1000 if rows else None
