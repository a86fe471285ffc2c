"""The workers as operators see them: by RQ's register, and by the jobs they hold in the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from jobresults.database import Database
from jobresults.jobs.dispatch import RegisteredWorker, registered_workers
from jobresults.jobs.model import RUNNING, job
from jobresults.redis_store import Client


@dataclass(frozen=True)
class WorkerState:
    """A worker. `registered` None: the register does not know it, as after a flush; it holds jobs
    all the same.
    """

    name: str
    job_ids: tuple[str, ...]
    registered: RegisteredWorker | None

    @property
    def is_busy(self) -> bool:
        """It holds a job, or says so."""
        return bool(self.job_ids) or (self.registered is not None and self.registered.is_busy)


def all_workers(database: Database, redis: Client) -> list[WorkerState]:
    """All that are in the register or hold jobs, by name. A worker is gone when its lease is.

    Raises:
        LedgerUnavailable, RedisUnavailable
    """
    registered = {worker.name: worker for worker in registered_workers(redis)}
    held: dict[str, list[str]] = {}
    for row in database.rows(
        select(job.c.worker, job.c.id)
        .where(RUNNING, job.c.lease_until_ms > database.now_ms(), job.c.worker.is_not(None))
        .order_by(job.c.id)
    ):
        held.setdefault(row.worker, []).append(row.id)
    return [
        WorkerState(name, tuple(held.get(name, ())), registered.get(name))
        for name in sorted(registered.keys() | held.keys())
    ]
