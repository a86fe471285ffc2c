"""What maintenance should have done by now."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from jobresults.database import Database
from jobresults.jobs.model import TO_DISPATCH, job
from jobresults.jobs.states import State


@dataclass(frozen=True)
class Overdue:
    """Since when the oldest lease is over, and the oldest job due; 0: none is."""

    lease_seconds: float
    due_seconds: float


def overdue(database: Database) -> Overdue:
    """Two looks into indexes, however many jobs there are.

    Raises:
        LedgerUnavailable
    """
    now_ms = database.now_ms()
    lease = select(now_ms - func.min(job.c.lease_until_ms)).where(job.c.state == State.RUNNING)
    due = select(now_ms - func.min(job.c.due_at_ms)).where(TO_DISPATCH)
    (lease_ms,), (due_ms,) = database.rows(lease)[0], database.rows(due)[0]
    return Overdue(max(0, lease_ms or 0) / 1000, max(0, due_ms or 0) / 1000)
