"""What a worker does to the ledger while it runs jobs: heartbeats, progress, log lines, jobs given
back.

Every write names the epoch it was dispatched with: a worker whose lease went to another changes
nothing. Functions that take a connection write within the caller's transaction: nothing may be
acted upon before its commit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    false,
    func,
    insert,
    select,
    tuple_,
    update,
)

from jobresults.database import Database
from jobresults.jobs import events
from jobresults.jobs.dispatch import Dispatch
from jobresults.jobs.model import job, job_log
from jobresults.jobs.states import Event, State, WaitingOn
from jobresults.telemetry import trace_context
from jobresults.telemetry.logging_context import ContextFields
from jobresults.telemetry.trace_context import TraceContext

# How long a job whose task no worker here knows waits before it is tried again, perhaps by a newer
# worker.
PARK_MS = 30_000

# A job id and the epoch of the dispatch that allows writing to it.
Fence = tuple[str, int]


class Claimed(NamedTuple):
    """A job this worker may run now, until its lease is over."""

    id: str
    epoch: int
    task: str
    queue: str
    client: str
    customer: str | None
    tags: str
    params: bytes
    attempt: int
    max_attempts: int
    timeout_seconds: float
    result_ttl_seconds: int
    due_at_ms: int
    dispatched_at_ms: int
    created_at_ms: int
    started_at_ms: int
    request_id: str | None
    traceparent: str | None
    tracestate: str | None
    rerun_of: str | None
    calls_back: bool = False
    """Somebody is to be told how it ends."""

    @property
    def fence(self) -> Fence:
        return self.id, self.epoch

    @property
    def trace(self) -> TraceContext | None:
        """The span that handed it in."""
        return trace_context.parse(self.traceparent, self.tracestate)

    @property
    def about(self) -> ContextFields:
        """What log lines say of it."""
        return {
            "request_id": self.request_id,
            "job_id": self.id,
            "task": self.task,
            "customer": self.customer,
            "client": self.client,
            "trace_id": trace_context.trace_id_of(self.traceparent),
            "attempt": self.attempt,
        }


@dataclass(frozen=True)
class LogLine:
    """One line a task logged, with the worker's time."""

    at_ms: int
    level: str
    logger: str
    message: str


@dataclass(frozen=True)
class Progress:
    """How far a job is, None: it has not said. `event`: it also goes into the timeline."""

    done: int | None
    total: int | None
    message: str | None
    event: bool = False


# Handed over, or held for its turn, which a worker may take as well. Whoever can write to Redis
# cannot start a job before it is due.
IS_DUE = job.c.dispatched_at_ms.is_not(None) | job.c.turn.is_not(None)
_PROGRESS = (
    update(job)
    .where(
        job.c.id == bindparam("job_id"),
        job.c.epoch == bindparam("fence"),
        job.c.state == State.RUNNING,
    )
    .values(
        progress_done=bindparam("done"),
        progress_total=bindparam("total"),
        progress_message=bindparam("message"),
    )
)


def fenced(job_id: str, epoch: int) -> ColumnElement[bool]:
    """The condition under which the holder of `epoch` may write to a running job."""
    return (job.c.id == job_id) & (job.c.epoch == epoch) & (job.c.state == State.RUNNING)


def among(fences: Collection[Fence]) -> ColumnElement[bool]:
    """Jobs in one of these epochs. The ids stand alone too: by them an index is searched."""
    ids = [job_id for job_id, _ in fences]
    return job.c.id.in_(ids) & tuple_(job.c.id, job.c.epoch).in_(list(fences))


def once_found(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Of rows that are found by their ids. PostgreSQL is not to search by these conditions: going
    by statistics of a quiet hour it takes few jobs to be queued, or to be of a task, and looks
    through the whole of a backlog.
    """
    return func.coalesce(and_(*conditions), false())


def park_unknown(
    connection: Connection, fences: Collection[Fence], tasks: Collection[str], now_ms: int
) -> list[tuple[str, str]]:
    """Let dispatches whose task no worker here knows wait 30 s, for one that knows it. Returns the
    id and the task of each.
    """
    rows = connection.execute(
        update(job)
        .where(
            among(fences),
            job.c.state == State.QUEUED,
            IS_DUE,
            job.c.task.not_in(tasks),
        )
        .values(
            epoch=job.c.epoch + 1,
            dispatched_at_ms=None,
            turn=None,
            waiting_on=WaitingOn.WORKER,
            due_at_ms=now_ms + PARK_MS,
        )
        .returning(job.c.id, job.c.task)
    ).all()
    return [(row.id, row.task) for row in rows]


def give_back_unstarted(
    database: Database, connection: Connection, claimed: Collection[Claimed]
) -> list[Dispatch]:
    """Give back claims whose tasks were not begun, to be dispatched at the head of their queues;
    the attempt does not count. One that is to be canceled stays, for its holder to end it.
    """
    rows = connection.execute(
        update(job)
        .where(
            among([item.fence for item in claimed]),
            job.c.state == State.RUNNING,
            job.c.cancel_requested_at_ms.is_(None),
        )
        .values(
            # `dispatched_at_ms` stays: the head of a queue tells how old its oldest entry is.
            state=State.QUEUED,
            epoch=job.c.epoch + 1,
            attempt=job.c.attempt - 1,
            lease_until_ms=None,
            worker=None,
            waiting_on=WaitingOn.WORKER,
        )
        .returning(job.c.id, job.c.epoch, job.c.attempt)
    ).all()
    detail = {"reason": "worker_busy"}
    events.append(
        database,
        connection,
        [events.Entry(row.id, Event.REQUEUED, row.attempt, detail) for row in rows],
    )
    returned = {row.id: row.epoch for row in rows}
    return [
        Dispatch(item.id, returned[item.id], item.queue) for item in claimed if item.id in returned
    ]


def extend_leases(database: Database, fences: Collection[Fence], lease_seconds: float) -> None:
    """Heartbeat of the jobs that are being run, and of no other that bears the worker's name: a
    claim whose commit was not answered must run out.

    Raises:
        LedgerUnavailable: the leases run on.
    """
    with database.write() as connection:
        connection.execute(
            update(job)
            .where(among(fences), job.c.state == State.RUNNING)
            .values(lease_until_ms=database.now_ms() + round(lease_seconds * 1000))
        )


def cancel_requests(database: Database, fences: Collection[Fence]) -> dict[str, bool]:
    """Of each running job whether someone asked to cancel it; those that went to another worker are
    missing.

    Raises:
        LedgerUnavailable
    """
    rows = database.rows(
        select(job.c.id, job.c.cancel_requested_at_ms).where(
            among(fences), job.c.state == State.RUNNING
        )
    )
    return {row.id: row.cancel_requested_at_ms is not None for row in rows}


def record_progress(
    database: Database, connection: Connection, reports: Sequence[tuple[Claimed, Progress]]
) -> None:
    """Store how far jobs are."""
    for item, progress in reports:
        said = {"done": progress.done, "total": progress.total, "message": progress.message}
        values = {"job_id": item.id, "fence": item.epoch, **said}
        if connection.execute(_PROGRESS, values).rowcount and progress.event:
            entry = events.Entry(item.id, Event.PROGRESS, item.attempt, said)
            events.append(database, connection, [entry])


def append_logs(connection: Connection, lines: Sequence[tuple[Claimed, LogLine]]) -> None:
    """Keep lines that tasks logged, with their jobs."""
    if lines:
        connection.execute(
            insert(job_log),
            [{"job_id": item.id, "attempt": item.attempt, **asdict(line)} for item, line in lines],
        )
