"""Customers take turns: who has many jobs in a queue delays another's single job by a few job times
at most.

Of each customer `limits.turn_jobs` wait in the queue's list in Redis. Its further jobs are held in
the ledger with a turn: their place in the queue, one behind the other of the same customer, side by
side with those of others. While any job of a queue is held, so is who comes anew: else a stream of
newcomers would keep the list full, and those before them waiting. Jobs without a customer are held
for that reason only, all of them in one line. Workers keep the list filled in the order of the
turns, and take from the ledger itself once the list is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    TextClause,
    bindparam,
    column,
    func,
    literal,
    select,
    text,
    update,
)

from jobresults.database import Database, clock_ms
from jobresults.jobs import events
from jobresults.jobs.dispatch import Dispatch
from jobresults.jobs.model import IN_LIST, IN_TURN, QUEUED, job
from jobresults.jobs.states import Event

# A queue and a customer, or none: those jobs stand in one line.
Line = tuple[str, str | None]


class Look(NamedTuple):
    """The database's clock, and whether any queue holds a job for its turn."""

    now_ms: int
    held: bool


def _held(*columns: Any) -> Any:
    return (
        select(job.c.id, *columns)
        .where(job.c.queue == bindparam("queue_name"), IN_TURN)
        .order_by(job.c.turn, job.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )


def _room() -> ColumnElement[int]:
    """How many jobs the list of a queue lacks. What a limit let go comes besides: it may do so
    without end.
    """
    some = (
        select(literal(1))
        .where(
            job.c.queue == bindparam("queue_name"),
            QUEUED,
            job.c.dispatched_at_ms.is_not(None),
            job.c.limited_by.is_(None),
        )
        .limit(bindparam("most", type_=Integer))
    )
    count = select(func.count()).select_from(some.subquery()).scalar_subquery()
    return bindparam("most", type_=Integer) - count


# Made once: making a statement costs more than SQLite takes to run it.
_NEXT_HELD = _held(job.c.epoch)
_BATCH = _held().limit(_room()).cte("batch")
_RELEASE = (
    update(job)
    .where(job.c.id.in_(select(_BATCH.c.id)))
    .values(dispatched_at_ms=bindparam("now_ms"), turn=None)
    .returning(job.c.id, job.c.epoch, job.c.queue, job.c.attempt)
)
# Few of each line, since the rest is held.
_COUNT = (
    select(job.c.queue, job.c.customer, func.count().label("jobs"))
    .where(job.c.customer.in_(bindparam("customers", expanding=True)), IN_LIST)
    .group_by(job.c.queue, job.c.customer)
)
_TURN_NOW = select(func.min(job.c.turn)).where(job.c.queue == bindparam("queue_name"), IN_TURN)


def _by_index(dialect: str, index: str) -> TextClause:
    """The table of jobs. SQLite, left alone, may choose an index in which it reads all that is
    queued.
    """
    return text(f"job INDEXED BY {index}" if dialect == "sqlite" else "job")


def _look(dialect: str) -> Select[Any]:
    # The least queue, and not any: that is one look at the end of an index, however many jobs
    # PostgreSQL believes to be held.
    table = _by_index(dialect, "ix_job_turn")
    held: Select[Any] = select(func.min(column("queue"))).select_from(table).where(IN_TURN)
    return select(clock_ms(dialect), held.scalar_subquery())


def _last_turn(dialect: str, customer: ColumnElement[bool]) -> Select[Any]:
    table = _by_index(dialect, "ix_job_customer_turn")
    of_queue = column("queue") == bindparam("queue_name")
    return select(func.max(column("turn"))).select_from(table).where(customer, of_queue, IN_TURN)


_DIALECTS = ("postgresql", "sqlite")
_LOOK = {dialect: _look(dialect) for dialect in _DIALECTS}
_LAST_TURN = {
    dialect: _last_turn(dialect, column("customer") == bindparam("customer_name"))
    for dialect in _DIALECTS
}
_LAST_TURN_OF_NOBODY = {
    dialect: _last_turn(dialect, column("customer").is_(None)) for dialect in _DIALECTS
}


def look(database: Database, connection: Connection) -> Look:
    """In one statement, since every transaction that moves jobs wants both."""
    now_ms, queue = connection.execute(_LOOK[database.dialect]).one()
    return Look(int(now_ms), queue is not None)


def assign(
    connection: Connection, lines: Sequence[Line], turn_jobs: int, *, held: bool
) -> list[int | None]:
    """The turns of new jobs, in the order given; None for one that goes to the list at once.
    `held`: a queue, perhaps another one, holds jobs.
    """
    customers = {customer for _, customer in lines if customer is not None}
    if not turn_jobs or not (customers or held):
        return [None] * len(lines)
    now = {queue: _turn_now(connection, queue) if held else None for queue, _ in lines}
    rows = connection.execute(_COUNT, {"customers": list(customers)}) if customers else ()
    in_list: Counter[Line] = Counter({(row.queue, row.customer): row.jobs for row in rows})
    next_turns: dict[Line, int] = {}
    turns: list[int | None] = []
    for line in lines:
        in_list[line] += 1
        queue, customer = line
        if now[queue] is None and (customer is None or in_list[line] <= turn_jobs):
            turns.append(None)
            continue
        if line not in next_turns:
            next_turns[line] = _next_turn(connection, line, now[queue])
        turns.append(next_turns[line])
        next_turns[line] += 1
    return turns


def release(
    database: Database, connection: Connection, queue: str, list_jobs: int, now_ms: int
) -> list[Dispatch]:
    """Fill the list of a queue up to so many jobs, by turns. To be handed over after the commit."""
    values = {"queue_name": queue, "most": list_jobs, "now_ms": now_ms}
    rows = connection.execute(_RELEASE, values).all()
    events.append(
        database,
        connection,
        [events.Entry(row.id, Event.DISPATCHED, row.attempt, {}) for row in rows],
        at_ms=now_ms,
    )
    # They come in no order of their own; within a customer ids are in the order of submission.
    return [Dispatch(row.id, row.epoch, row.queue) for row in sorted(rows, key=lambda row: row.id)]


def next_held(connection: Connection, queues: Iterable[str], limit: int) -> list[Dispatch]:
    """Held jobs by their turns, the first queue's first, locked for this transaction. To be claimed
    as they are.
    """
    found: list[Dispatch] = []
    for queue in queues:
        if len(found) < limit:
            wanted = {"queue_name": queue, "most": limit - len(found)}
            rows = connection.execute(_NEXT_HELD, wanted)
            found += [Dispatch(row.id, row.epoch, queue) for row in rows]
    return found


def queue_has_held(database: Database, queue: str) -> bool:
    """Whether a job of the queue waits for its turn.

    Raises:
        LedgerUnavailable
    """
    return bool(database.rows(select(job.c.id).where(job.c.queue == queue, IN_TURN).limit(1)))


def first_held(database: Database, queue: str, limit: int) -> list[str]:
    """The ids of the jobs of a queue that wait for their turns, in that order.

    Raises:
        LedgerUnavailable
    """
    query = select(job.c.id).where(job.c.queue == queue, IN_TURN)
    rows = database.rows(query.order_by(job.c.turn, job.c.id).limit(limit))
    return [row.id for row in rows]


def _turn_now(connection: Connection, queue: str) -> int | None:
    """Of the job that is next; None if none is held."""
    turn: int | None = connection.execute(_TURN_NOW, {"queue_name": queue}).scalar_one()
    return turn


def _next_turn(connection: Connection, line: Line, now: int | None) -> int:
    """After the line's last one, but not before the one that is next: who comes anew does not
    overtake all the others, nor wait for all of them.
    """
    if now is None:
        return 0
    queue, customer = line
    statements = _LAST_TURN_OF_NOBODY if customer is None else _LAST_TURN
    last = connection.execute(
        statements[connection.dialect.name], {"queue_name": queue, "customer_name": customer}
    ).scalar_one()
    return now if last is None else max(last + 1, now)
