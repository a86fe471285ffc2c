"""How many jobs queues hold, and for how long they wait: read out of indexes, so that neither what
has ended is touched, nor what jobs carry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Select,
    bindparam,
    case,
    func,
    literal,
    select,
    union_all,
)

from jobresults.database import Database
from jobresults.jobs.model import IN_TURN, QUEUED, RUNNING, TO_DISPATCH, job


@dataclass(frozen=True)
class Holding:
    """What a queue holds, exactly. `ready` are handed over to Redis, or due and about to be;
    `in_turn` wait for their customer's turn; a limit holds `limited`; `delayed` are not due yet.
    `oldest_seconds`: how long the first of those that wait for a worker could have run by now;
    None: none waits. `longest_run_seconds`: for how long the oldest of the running attempts runs.
    """

    ready: int = 0
    in_turn: int = 0
    limited: int = 0
    delayed: int = 0
    running: int = 0
    oldest_seconds: float | None = None
    longest_run_seconds: float = 0.0

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
        counts: dict[str, dict[str, Any]] = {}
        # One statement, so that no job is counted twice or not at all as it moves.
        for row in connection.execute(_COUNTS, {"now_ms": now_ms}):
            counts.setdefault(row.queue, {})[row.kind] = row
        return {
            queue: _holding(counts[queue], _first_due_ms(connection, queue), now_ms)
            for queue in counts
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


def _holding(rows: Mapping[str, Any], first_due_ms: int | None, now_ms: int) -> Holding:
    def number(kind: str, column: str = "jobs") -> int:
        return int(getattr(rows[kind], column) or 0) if kind in rows else 0

    undispatched_due = number("to_dispatch", "part")
    due_ms = [first_due_ms] if first_due_ms is not None else []
    if undispatched_due:
        due_ms.append(number("to_dispatch", "first_ms"))
    running_since_ms = number("running", "first_ms") or now_ms
    in_turn, to_dispatch = number("in_turn"), number("to_dispatch")
    in_list = number("queued", "part")
    return Holding(
        ready=in_list + undispatched_due,
        in_turn=in_turn,
        limited=max(0, number("queued") - in_list - in_turn - to_dispatch),
        delayed=to_dispatch - undispatched_due,
        running=number("running"),
        oldest_seconds=max(0, now_ms - min(due_ms)) / 1000 if due_ms else None,
        longest_run_seconds=max(0, now_ms - running_since_ms) / 1000,
    )


def _first_due_ms(connection: Connection, queue: str) -> int | None:
    """When the next ones of the list and of the turns were due: the earlier one."""
    found = (connection.execute(first, {"queue_name": queue}).scalar() for first in _FIRST)
    return min((int(due_ms) for due_ms in found if due_ms is not None), default=None)


def _counts() -> CompoundSelect[Any]:
    def of(kind: str, where: Any, part: Any, first_ms: Any) -> Select[Any]:
        return (
            select(
                literal(kind).label("kind"),
                job.c.queue,
                func.count().label("jobs"),
                part.label("part"),
                first_ms.label("first_ms"),
            )
            .where(where)
            .group_by(job.c.queue)
        )

    none = literal(0)
    is_due = case((job.c.due_at_ms <= bindparam("now_ms"), 1))
    return union_all(
        of("queued", QUEUED, func.count(job.c.dispatched_at_ms), none),
        of("in_turn", IN_TURN, none, none),
        of("to_dispatch", TO_DISPATCH, func.count(is_due), func.min(job.c.due_at_ms)),
        of("running", RUNNING, none, func.min(job.c.started_at_ms)),
    )


_COUNTS = _counts()
_OF_QUEUE = job.c.queue == bindparam("queue_name")
_FIRST = (
    select(job.c.due_at_ms)
    .where(QUEUED, _OF_QUEUE, job.c.dispatched_at_ms.is_not(None))
    .order_by(job.c.dispatched_at_ms)
    .limit(1),
    select(job.c.due_at_ms).where(IN_TURN, _OF_QUEUE).order_by(job.c.turn).limit(1),
)
