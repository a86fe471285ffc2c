"""How many jobs queues hold, and for how long they wait: read out of indexes, so that neither what
has ended is touched, nor what jobs carry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    null,
    select,
    union_all,
)

from jobresults.database import Database
from jobresults.jobs.model import QUEUED, RUNNING, job


@dataclass(frozen=True)
class Holding:
    """What a queue holds, exactly. `ready` are handed over to Redis, or due and about to be;
    `in_turn` wait for their customer's turn; a limit holds `limited`; `delayed` are not due yet.
    `oldest_seconds`: how long the first of those that wait for a worker could have run by now,
    `oldest_limited_seconds` of those that a limit holds; `longest_run_seconds`: for how long the
    oldest of the running attempts runs. None: there are none.
    """

    ready: int = 0
    in_turn: int = 0
    limited: int = 0
    delayed: int = 0
    running: int = 0
    oldest_seconds: float | None = None
    oldest_limited_seconds: float | None = None
    longest_run_seconds: float | None = None

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.ready + self.in_turn + self.limited + self.delayed + self.running


def count(database: Database) -> dict[str, Holding]:
    """What each queue holds that holds anything.

    Raises:
        LedgerUnavailable
    """
    with database.read() as connection:
        now_ms = database.read_clock_ms(connection)
        # One statement, so that no job is counted twice or not at all as it moves.
        rows = connection.execute(_COUNTS[database.dialect], {"now_ms": now_ms}).all()
    waiting = {row.queue: row for row in rows if row.is_waiting}
    running = {row.queue: row for row in rows if not row.is_waiting}
    return {
        queue: _holding(waiting.get(queue), running.get(queue), now_ms)
        for queue in waiting.keys() | running.keys()
    }


def oldest_wait_seconds(database: Database, queue: str) -> float | None:
    """How long the job that has been in a queue for longest could have run by now; None if nothing
    waits for a worker. One look into an index, however many wait.

    Raises:
        LedgerUnavailable
    """
    rows = database.rows(
        select((database.now_ms() - job.c.due_at_ms).label("wait_ms"))
        .where(QUEUED, job.c.queue == queue, job.c.dispatched_at_ms.is_not(None))
        .order_by(job.c.dispatched_at_ms)
        .limit(1)
    )
    return max(0, rows[0].wait_ms) / 1000 if rows else None


def _holding(waiting: Any, running: Any, now_ms: int) -> Holding:
    def since(due_ms: int | None) -> float | None:
        return None if due_ms is None else max(0, now_ms - due_ms) / 1000

    found = Holding()
    if waiting is not None:
        found = Holding(
            ready=waiting.jobs - waiting.in_turn - waiting.limited - waiting.delayed,
            in_turn=waiting.in_turn,
            limited=waiting.limited,
            delayed=waiting.delayed,
            oldest_seconds=since(waiting.first_ms),
            oldest_limited_seconds=since(waiting.first_limited_ms),
        )
    if running is not None:
        began = since(running.first_ms)
        found = replace(found, running=running.jobs, longest_run_seconds=began)
    return found


def _counts(queued: ColumnElement[bool]) -> CompoundSelect[Any]:
    nothing, now_ms = null(), bindparam("now_ms", type_=BigInteger)
    undispatched = job.c.dispatched_at_ms.is_(None)
    in_turn = undispatched & job.c.turn.is_not(None)
    limited = undispatched & job.c.turn.is_(None) & job.c.limited_by.is_not(None)
    to_dispatch = undispatched & job.c.turn.is_(None) & job.c.limited_by.is_(None)
    delayed = to_dispatch & (job.c.due_at_ms > now_ms)
    waiting = select(
        literal(1).label("is_waiting"),
        job.c.queue,
        func.count().label("jobs"),
        func.count(case((in_turn, 1))).label("in_turn"),
        func.count(case((limited, 1))).label("limited"),
        func.count(case((delayed, 1))).label("delayed"),
        func.min(case((limited | delayed, nothing), else_=job.c.due_at_ms)).label("first_ms"),
        func.min(case((limited, job.c.due_at_ms))).label("first_limited_ms"),
    )
    running = select(
        *(literal(0), job.c.queue, func.count(), literal(0), literal(0), literal(0)),
        *(func.min(job.c.started_at_ms), nothing),
    )
    return union_all(
        waiting.where(queued).group_by(job.c.queue), running.where(RUNNING).group_by(job.c.queue)
    )


_COUNTS = {
    "postgresql": _counts(QUEUED),
    # Told nothing, SQLite takes the index by state, and then reads each job from the table.
    "sqlite": _counts(literal_column(f"likely({QUEUED})")),
}
