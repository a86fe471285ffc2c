"""Handing over what is due and not in Redis: retries and schedules, what waits for turns and
limits, dispatches that Redis forgot.

Any number of processes may run these at once: each job is taken by an UPDATE that only one of them
wins.
"""

from __future__ import annotations

import logging

from sqlalchemy import ColumnElement, Connection, bindparam, select, update

from jobresults.database import Database
from jobresults.jobs import concurrency, events, incidents, turns
from jobresults.jobs.batches import batch_of
from jobresults.jobs.concurrency import Concurrency
from jobresults.jobs.dispatch import (
    Dispatch,
    dispatch,
    drop_waiting,
    oldest_waiting,
    parse_rq_id,
)
from jobresults.jobs.model import TO_DISPATCH, job
from jobresults.jobs.states import Event, State, WaitingOn
from jobresults.redis_store import Client, ping
from jobresults.telemetry import metrics

logger = logging.getLogger(__name__)

_MAX_SUPERSEDED_HEADS = 1_000
_GIVE_TURN = (
    update(job)
    .where(job.c.id == bindparam("job_id"))
    .values(turn=bindparam("place"), waiting_on=bindparam("word"))
)


def dispatch_due(database: Database, redis: Client, batch_size: int, *, turn_jobs: int = 0) -> int:
    """Hand over queued jobs that are due and not handed over yet: retries, scheduled and requeued
    ones. Those who have to wait for their turns get them. Returns how many.

    Raises:
        LedgerUnavailable, RedisUnavailable: those taken already count as lost dispatches, and are
            found as such.
    """
    ping(redis)
    due = TO_DISPATCH & (job.c.due_at_ms <= database.now_ms())
    with database.write() as connection:
        held = _give_turns(database, connection, due, batch_size, turn_jobs) if turn_jobs else 0
    return held + _dispatch_where(database, redis, due, batch_size, bump_epoch=False)


def _give_turns(
    database: Database,
    connection: Connection,
    due: ColumnElement[bool],
    batch_size: int,
    turn_jobs: int,
) -> int:
    rows = connection.execute(
        select(job.c.id, job.c.queue, job.c.customer)
        .where(due)
        .order_by(job.c.due_at_ms)
        .limit(batch_size)
        .with_for_update(skip_locked=True)
    ).all()
    lines = [(row.queue, row.customer) for row in rows]
    held_before = bool(rows) and turns.look(database, connection).held
    given = turns.assign(connection, lines, turn_jobs, held=held_before)
    held = [
        {"job_id": row.id, "place": turn, "word": WaitingOn.WORKER}
        for row, turn in zip(rows, given, strict=True)
        if turn is not None
    ]
    if held:
        connection.execute(_GIVE_TURN, held)
    return len(held)


def fill_list(database: Database, redis: Client, queue: str, list_jobs: int) -> int:
    """Hand over jobs that wait for their turns, if the list of their queue has room: should a
    worker have died that was about to. Returns how many.

    Raises:
        LedgerUnavailable, RedisUnavailable
    """
    if not turns.queue_has_held(database, queue):
        return 0
    ping(redis)
    with database.write() as connection:
        now_ms = database.read_clock_ms(connection)
        released = turns.release(database, connection, queue, list_jobs, now_ms)
    dispatch(redis, released)
    return len(released)


def fill_slots(database: Database, redis: Client, limits: Concurrency, batch_size: int) -> int:
    """Hand over jobs that a limit holds and that may run by now. Returns how many.

    Raises:
        LedgerUnavailable, RedisUnavailable
    """
    with database.read() as connection:
        free = concurrency.free_slots(connection, limits, batch_size)
    if not free:
        return 0
    ping(redis)
    with database.write() as connection:
        now_ms = database.read_clock_ms(connection)
        # Again, as it is now: another process may have been quicker.
        free = concurrency.free_slots(connection, limits, batch_size)
        released = concurrency.release(database, connection, free, now_ms)
    dispatch(redis, released)
    return len(released)


def redispatch_lost(
    database: Database, redis: Client, queue: str, *, lost_after_seconds: float, batch_size: int
) -> int:
    """Hand over again what Redis lost: flushed, evicted, or popped by a worker that died before its
    claim.

    RQ's lists are first in, first out. So whatever was handed over well before the job at the head
    of the list, or well before now if the list is empty, cannot be in it any more. The head alone
    tells: no walk over a list.

    Raises:
        LedgerUnavailable, RedisUnavailable
    """
    horizon_ms = _head_dispatched_at_ms(database, redis, queue)
    if horizon_ms is None:
        return 0
    lost = (
        (job.c.state == State.QUEUED)
        & (job.c.queue == queue)
        & (job.c.dispatched_at_ms < horizon_ms - round(lost_after_seconds * 1000))
    )
    return _dispatch_where(database, redis, lost, batch_size, bump_epoch=True)


def _head_dispatched_at_ms(database: Database, redis: Client, queue: str) -> int | None:
    """When the job at the head of a list was handed over; now, if the list is empty.

    Superseded entries at the head (canceled jobs, older epochs) are dropped on the way, as a worker
    would. None if there are too many of them for one sweep.
    """
    for _ in range(_MAX_SUPERSEDED_HEADS):
        head = oldest_waiting(redis, queue)
        with database.read() as connection:
            if head is None:
                return int(connection.execute(select(database.now_ms())).scalar_one())
            at_ms = _dispatched_at_ms(connection, head)
        if at_ms is not None:
            return int(at_ms)
        drop_waiting(redis, queue, head)
    return None


def _dispatched_at_ms(connection: Connection, rq_id: str) -> int | None:
    """When the job of an entry was handed over; None if no queued job stands behind it."""
    named = parse_rq_id(rq_id)
    if named is None:
        return None
    job_id, epoch = named
    at_ms: int | None = connection.execute(
        select(job.c.dispatched_at_ms).where(
            job.c.id == job_id, job.c.epoch == epoch, job.c.state == State.QUEUED
        )
    ).scalar()
    return at_ms


def _dispatch_where(
    database: Database,
    redis: Client,
    wanted: ColumnElement[bool],
    batch_size: int,
    *,
    bump_epoch: bool,
) -> int:
    first = job.c.dispatched_at_ms if bump_epoch else job.c.due_at_ms
    with database.write() as connection:
        rows = connection.execute(
            update(job)
            .where(wanted & job.c.id.in_(batch_of(wanted, batch_size, first=first)))
            .values(
                dispatched_at_ms=database.now_ms(),
                epoch=job.c.epoch + int(bump_epoch),
                waiting_on=WaitingOn.WORKER,
            )
            .returning(job.c.id, job.c.epoch, job.c.queue, job.c.attempt)
        ).all()
        reason = {"reason": "lost"} if bump_epoch else {}
        events.append(
            database,
            connection,
            [events.Entry(row.id, Event.DISPATCHED, row.attempt, reason) for row in rows],
        )
    if bump_epoch and rows:
        metrics.REDISPATCHED.labels("lost").inc(len(rows))
        text = "%d dispatches were lost by Redis; dispatching them again"
        logger.warning(text, len(rows), extra=incidents.dispatch_lost())
    dispatch(redis, (Dispatch(row.id, row.epoch, row.queue) for row in rows))
    return len(rows)
