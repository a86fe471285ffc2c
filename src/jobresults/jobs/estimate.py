"""How long a waiting job still has to wait: its position, and the queue's real run times."""

from __future__ import annotations

import math
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import select

from jobresults.database import Database
from jobresults.jobs import turns
from jobresults.jobs.model import QUEUED, job
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.states import State, WaitingOn

_SAMPLE = 50
_MEDIAN_SECONDS = 5.0
_QUEUE_SECONDS = 1.0
# Counting further would cost more than the figure is worth to a caller.
_MAX_POSITION = 1_000

_LIMITS = (WaitingOn.CUSTOMER_LIMIT, WaitingOn.TASK_LIMIT)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Estimate:
    """`position` 1 runs next; None if unknown or beyond 1,000. `eta_seconds` until done; None if
    unknown.
    """

    position: int | None = None
    eta_seconds: float | None = None


class Estimator:
    """Estimates for one process, from what it remembers: each task's median run time for 5 s, the
    head of each queue for 1 s.
    """

    def __init__(self, database: Database, count_workers: Callable[[str], int]) -> None:
        self._database = database
        self._count_workers = count_workers
        self._medians = _Remembered(self._median_run_seconds, _MEDIAN_SECONDS)
        self._queues = _Remembered(self._queued_at_ms, _QUEUE_SECONDS)
        self._turns = _Remembered(self._held_places, _QUEUE_SECONDS)

    def estimate(self, record: JobRecord) -> Estimate:
        """For a queued or running job.

        Raises:
            LedgerUnavailable
        """
        median_seconds = self._medians.get(record.task)
        if record.state == State.RUNNING:
            if median_seconds is None or record.started_at_ms is None:
                return Estimate()
            return Estimate(
                eta_seconds=max(0.0, median_seconds - (record.now_ms - record.started_at_ms) / 1000)
            )
        if record.waiting_on in _LIMITS:
            return Estimate()
        if record.dispatched_at_ms is not None:
            ahead = bisect_left(self._queues.get(record.queue), record.dispatched_at_ms)
        elif record.due_at_ms > record.now_ms:
            return Estimate(
                eta_seconds=(record.due_at_ms - record.now_ms) / 1000 + (median_seconds or 0)
            )
        else:
            ahead = self._ahead_of_turn(record)
        position = ahead + 1 if ahead < _MAX_POSITION else None
        workers = self._count_workers(record.queue)
        paused = record.waiting_on == WaitingOn.QUEUE_PAUSED
        if position is None or median_seconds is None or workers == 0 or paused:
            return Estimate(position)
        return Estimate(position, math.ceil(position / workers) * median_seconds)

    def _ahead_of_turn(self, record: JobRecord) -> int:
        """Those in the list, and those whose turns come earlier. What maintenance is about to hand
        over comes next in the list.
        """
        in_list = len(self._queues.get(record.queue))
        held = self._turns.get(record.queue)
        if record.waiting_on == WaitingOn.RETRY or not held:
            return in_list
        return in_list + held.get(record.id, _MAX_POSITION)

    def _held_places(self, queue: str) -> dict[str, int]:
        held = turns.first_held(self._database, queue, _MAX_POSITION)
        return {job_id: place for place, job_id in enumerate(held)}

    def _queued_at_ms(self, queue: str) -> list[int]:
        """When the first jobs of the queue were dispatched, in order."""
        query = (
            select(job.c.dispatched_at_ms)
            .where(
                job.c.queue == queue,
                QUEUED,
                job.c.dispatched_at_ms.is_not(None),
            )
            .order_by(job.c.dispatched_at_ms)
            .limit(_MAX_POSITION)
        )
        return [row.dispatched_at_ms for row in self._database.rows(query)]

    def _median_run_seconds(self, task: str) -> float | None:
        query = (
            select(job.c.ended_at_ms - job.c.started_at_ms)
            .where(
                job.c.task == task,
                job.c.ended_at_ms.is_not(None),
                job.c.state == State.SUCCEEDED,
            )
            .order_by(job.c.ended_at_ms.desc())
            .limit(_SAMPLE)
        )
        run_times_ms = [row[0] for row in self._database.rows(query)]
        return statistics.median(run_times_ms) / 1000 if run_times_ms else None


class _Remembered(Generic[Value]):
    """Values by name, asked for anew after so many seconds, by one caller at a time: the others
    take the old one meanwhile.
    """

    def __init__(self, ask: Callable[[str], Value], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._known: dict[str, Value] = {}
        self._ask_at: dict[str, float] = {}

    def get(self, name: str) -> Value:
        now = time.monotonic()
        if name not in self._known or now >= self._ask_at[name]:
            self._ask_at[name] = now + self._seconds
            self._known[name] = self._ask(name)
        return self._known[name]
