"""How many jobs of a customer, or of a task, run at once. Slots are running rows and nothing else:
none can leak.

A job over a limit is held in the ledger under the limit's key, and released when one that counts
against it leaves its slot. Only a claim decides: what is released too soon is held again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, text, update

from jobresults.database import Database
from jobresults.jobs import events
from jobresults.jobs.catalog import Catalog
from jobresults.jobs.dispatch import Dispatch
from jobresults.jobs.model import IN_TURN, LIMITED, job
from jobresults.jobs.running import Fence, among
from jobresults.jobs.states import Event, State, WaitingOn
from jobresults.settings import LimitsSettings

_WORDS = {"customer": WaitingOn.CUSTOMER_LIMIT, "task": WaitingOn.TASK_LIMIT}
_MAX_MATES = 1_000
_LOCK_CLASS = 7_203

_HOLD = (
    update(job)
    .where(
        job.c.id == bindparam("job_id"),
        job.c.epoch == bindparam("fence"),
        job.c.state == State.QUEUED,
    )
    .values(
        epoch=job.c.epoch + 1,
        dispatched_at_ms=None,
        turn=None,
        limited_by=bindparam("key"),
        waiting_on=bindparam("word"),
    )
)


@dataclass(frozen=True)
class Concurrency:
    """The limits of an installation; None means none."""

    per_customer: int | None = None
    per_task: int | None = None
    of_tasks: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: LimitsSettings, catalog: Catalog) -> Concurrency:
        """What the settings say, and of some tasks their definitions."""
        own = {task.name: task.options.max_running for task in catalog}
        return cls(
            settings.max_running_per_customer,
            settings.max_running_per_task,
            {name: limit for name, limit in own.items() if limit is not None},
        )

    def __bool__(self) -> bool:
        return bool(self.per_customer or self.per_task or self.of_tasks)

    def keys(self, customer: str | None, task: str) -> Iterator[str]:
        """The limits that a job counts against."""
        if self.per_customer is not None and customer is not None:
            yield f"customer:{customer}"
        if self.limit(f"task:{task}") is not None:
            yield f"task:{task}"

    def limit(self, key: str) -> int | None:
        """How many may run at once."""
        kind, _, name = key.partition(":")
        return self.per_customer if kind == "customer" else self.of_tasks.get(name, self.per_task)


def sift(
    database: Database,
    connection: Connection,
    limits: Concurrency,
    fences: Sequence[Fence],
    now_ms: int,
) -> list[Fence]:
    """Those of the dispatches that may begin now; the others are held.

    On PostgreSQL the keys are locked until the transaction ends, so that two workers do not take
    the last slot both. SQLite has one writer anyway.
    """
    rows = connection.execute(
        select(job.c.id, job.c.epoch, job.c.attempt, job.c.customer, job.c.task).where(
            among(fences), job.c.state == State.QUEUED
        )
    ).all()
    keys_of = {(row.id, row.epoch): [*limits.keys(row.customer, row.task)] for row in rows}
    wanted = {key for keys in keys_of.values() for key in keys}
    if not wanted:
        return list(fences)
    if database.dialect == "postgresql":
        _lock(connection, wanted)
    running = _running(connection, limits)
    allowed, over = [], {}
    for fence in dict.fromkeys(fences):
        keys = keys_of.get(fence, [])
        full = [key for key in keys if running[key] >= (limits.limit(key) or 0)]
        if full:
            over[fence] = full[0]
        else:
            allowed.append(fence)
            running.update(keys)
    if over:
        _hold(connection, over)
        attempts = {row.id: row.attempt for row in rows}
        events.append(
            database,
            connection,
            [
                events.Entry(job_id, Event.HELD, attempts[job_id], {"by": key})
                for (job_id, _), key in over.items()
            ],
            at_ms=now_ms,
        )
    return allowed


def release(
    database: Database, connection: Connection, slots: Mapping[str, int], now_ms: int
) -> list[Dispatch]:
    """Let so many jobs go that each of these keys holds, the oldest first. To be handed over after
    the commit.
    """
    rows: list[Any] = []
    for key, count in slots.items():
        batch = (
            select(job.c.id)
            .where(job.c.limited_by == key, job.c.dispatched_at_ms.is_(None), LIMITED)
            .order_by(job.c.id)
            .limit(count)
            .with_for_update(skip_locked=True)
            .cte("batch")
        )
        rows += connection.execute(
            update(job)
            .where(job.c.id.in_(select(batch.c.id)))
            # The key stays until the claim: it tells how many are on their way.
            .values(dispatched_at_ms=now_ms, waiting_on=WaitingOn.WORKER)
            .returning(job.c.id, job.c.epoch, job.c.queue, job.c.attempt)
        ).all()
    events.append(
        database,
        connection,
        [events.Entry(row.id, Event.DISPATCHED, row.attempt, {}) for row in rows],
        at_ms=now_ms,
    )
    return [Dispatch(row.id, row.epoch, row.queue) for row in sorted(rows, key=lambda row: row.id)]


def free_slots(connection: Connection, limits: Concurrency, most: int) -> Counter[str]:
    """How many jobs of each key could be released: slots that neither run nor are on their way. At
    most so many of a key whose limit is gone.
    """
    held = list(_held_keys(connection))
    running = _running(connection, limits) if held else Counter[str]()
    free: Counter[str] = Counter()
    for key in held:
        limit = limits.limit(key)
        on_their_way = connection.execute(
            select(func.count()).where(
                job.c.limited_by == key, job.c.dispatched_at_ms.is_not(None), LIMITED
            )
        ).scalar_one()
        free[key] = most if limit is None else max(0, limit - running[key] - on_their_way)
    return +free


def _held_keys(connection: Connection) -> Iterator[str]:
    """The keys that hold jobs; one search of the index for each."""
    last = ""
    query = select(func.min(job.c.limited_by)).where(job.c.limited_by > bindparam("last"), LIMITED)
    while (found := connection.execute(query, {"last": last}).scalar()) is not None:
        yield found
        last = found


def _running(connection: Connection, limits: Concurrency) -> Counter[str]:
    """How many run, by key. All running jobs of the service are read: they are no more than its
    workers hold.
    """
    rows = connection.execute(
        select(job.c.customer, job.c.task, func.count().label("jobs"))
        .where(job.c.state == State.RUNNING)
        .group_by(job.c.customer, job.c.task)
    )
    running: Counter[str] = Counter()
    for row in rows:
        for key in limits.keys(row.customer, row.task):
            running[key] += row.jobs
    return running


def _lock(connection: Connection, keys: Iterable[str]) -> None:
    # In one order everywhere: two workers must not wait for each other.
    for key in sorted(keys):
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:kind, hashtext(:key))"),
            {"kind": _LOCK_CLASS, "key": key},
        )


def _hold(connection: Connection, over: Mapping[Fence, str]) -> None:
    connection.execute(
        _HOLD,
        [
            {"job_id": job_id, "fence": epoch, "key": key, "word": _word(key)}
            for (job_id, epoch), key in over.items()
        ],
    )
    for key in sorted({key for key in over.values() if key.startswith("customer:")}):
        _hold_mates(connection, key)


def _hold_mates(connection: Connection, key: str) -> None:
    """The customer's jobs that wait for their turns would be let go only to be held again."""
    mates = (
        select(job.c.id)
        .where(job.c.customer == key.partition(":")[2], IN_TURN)
        .limit(_MAX_MATES)
        .with_for_update(skip_locked=True)
        .cte("mates")
    )
    connection.execute(
        update(job)
        .where(job.c.id.in_(select(mates.c.id)))
        .values(turn=None, limited_by=key, waiting_on=_word(key))
    )


def _word(key: str) -> WaitingOn:
    return _WORDS[key.partition(":")[0]]
