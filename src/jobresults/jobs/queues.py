"""The queues as operators see them, and pausing one: its jobs are kept, and none is started."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import case, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from jobresults.database import Database
from jobresults.jobs.model import QUEUED, job, paused_queue
from jobresults.jobs.states import State

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class QueueState:
    """What a queue holds. `queued` counts all that wait, `held` those among them that wait for
    their turn or for a limit. `oldest_seconds`: how long the first one is overdue; None: none is.
    """

    name: str
    queued: int = 0
    running: int = 0
    held: int = 0
    oldest_seconds: float | None = None
    paused_at_ms: int | None = None
    paused_by: str | None = None


def paused(database: Database) -> frozenset[str]:
    """The queues that are paused.

    Raises:
        LedgerUnavailable
    """
    return frozenset(row.queue for row in database.rows(select(paused_queue.c.queue)))


def pause(database: Database, queue: str, by: str) -> bool:
    """Start no more jobs of a queue: within a second on all workers, until it is resumed. What runs
    goes on. False if it was paused before.

    Raises:
        LedgerUnavailable
    """
    values = {"queue": queue, "paused_at_ms": database.now_ms(), "paused_by": by}
    try:
        with database.write() as connection:
            connection.execute(insert(paused_queue).values(values))
    except IntegrityError:
        return False
    logger.warning("queue %s is paused by %s", queue, by, extra={"queue": queue, "by": by})
    return True


def resume(database: Database, queue: str, by: str) -> bool:
    """Start jobs of a queue again. False if it was not paused.

    Raises:
        LedgerUnavailable
    """
    with database.write() as connection:
        gone = connection.execute(delete(paused_queue).where(paused_queue.c.queue == queue))
    if gone.rowcount:
        logger.warning("queue %s is resumed by %s", queue, by, extra={"queue": queue, "by": by})
    return bool(gone.rowcount)


def overview(database: Database, known: Iterable[str]) -> list[QueueState]:
    """All queues: those that tasks use, and those that hold jobs all the same. It reads every job
    that waits or runs.

    Raises:
        LedgerUnavailable
    """
    now_ms = database.now_ms()
    held = job.c.dispatched_at_ms.is_(None) & (
        job.c.turn.is_not(None) | job.c.limited_by.is_not(None)
    )
    waiting = {
        row.queue: row
        for row in database.rows(
            select(
                job.c.queue,
                func.count().label("queued"),
                func.count(case((held, 1))).label("held"),
                (now_ms - func.min(case((job.c.due_at_ms <= now_ms, job.c.due_at_ms)))).label("ms"),
            )
            .where(QUEUED)
            .group_by(job.c.queue)
        )
    }
    running = {
        row.queue: row.running
        for row in database.rows(
            select(job.c.queue, func.count().label("running"))
            .where(job.c.state == State.RUNNING)
            .group_by(job.c.queue)
        )
    }
    pauses = {row.queue: row for row in database.rows(select(paused_queue))}
    return [
        QueueState(
            name,
            queued=waiting[name].queued if name in waiting else 0,
            running=running.get(name, 0),
            held=waiting[name].held if name in waiting else 0,
            oldest_seconds=_seconds(waiting[name].ms) if name in waiting else None,
            paused_at_ms=pauses[name].paused_at_ms if name in pauses else None,
            paused_by=pauses[name].paused_by if name in pauses else None,
        )
        for name in sorted({*known, *waiting, *running, *pauses})
    ]


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else max(0.0, milliseconds / 1000)
