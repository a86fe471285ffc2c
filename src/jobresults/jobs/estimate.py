"""How long a waiting job still has to wait: its position, and the queue's real run times."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select

from jobresults.database import Database
from jobresults.jobs.model import job
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.states import State

_SAMPLE = 50
_REMEMBER_SECONDS = 5.0
# Counting further would cost more than the figure is worth to a caller.
_MAX_POSITION = 1_000


@dataclass(frozen=True)
class Estimate:
    """`position` 1 runs next; None if unknown or beyond 1,000. `eta_seconds` until done; None if
    unknown.
    """

    position: int | None = None
    eta_seconds: float | None = None


class Estimator:
    """Estimates for one process; remembers each task's median run time for 5 s."""

    def __init__(self, database: Database, count_workers: Callable[[str], int]) -> None:
        self._database = database
        self._count_workers = count_workers
        self._medians: dict[str, tuple[float, float | None]] = {}

    def estimate(self, record: JobRecord) -> Estimate:
        """For a queued or running job.

        Raises:
            LedgerUnavailable
        """
        median_seconds = self._median_run_seconds(record.task)
        if record.state == State.RUNNING:
            if median_seconds is None or record.started_at_ms is None:
                return Estimate()
            return Estimate(
                eta_seconds=max(0.0, median_seconds - (record.now_ms - record.started_at_ms) / 1000)
            )
        if record.dispatched_at_ms is None:
            return Estimate(
                eta_seconds=max(0.0, (record.due_at_ms - record.now_ms) / 1000)
                + (median_seconds or 0)
            )
        position = self._position(record)
        workers = self._count_workers(record.queue)
        if position is None or median_seconds is None or workers == 0:
            return Estimate(position)
        return Estimate(position, math.ceil(position / workers) * median_seconds)

    def _position(self, record: JobRecord) -> int | None:
        ahead = (
            select(job.c.id)
            .where(
                job.c.queue == record.queue,
                job.c.state == State.QUEUED,
                job.c.dispatched_at_ms < record.dispatched_at_ms,
            )
            .limit(_MAX_POSITION)
        )
        with self._database.read() as connection:
            count = connection.execute(
                select(func.count()).select_from(ahead.subquery())
            ).scalar_one()
        return None if count >= _MAX_POSITION else count + 1

    def _median_run_seconds(self, task: str) -> float | None:
        remembered = self._medians.get(task)
        if remembered is not None and remembered[0] > time.monotonic():
            return remembered[1]
        with self._database.read() as connection:
            rows = connection.execute(
                select(job.c.ended_at_ms - job.c.started_at_ms)
                .where(
                    job.c.task == task,
                    job.c.ended_at_ms.is_not(None),
                    job.c.state == State.SUCCEEDED,
                )
                .order_by(job.c.ended_at_ms.desc())
                .limit(_SAMPLE)
            ).all()
        median = statistics.median(row[0] for row in rows) / 1000 if rows else None
        self._medians[task] = (time.monotonic() + _REMEMBER_SECONDS, median)
        return median
