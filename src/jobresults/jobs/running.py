"""What a worker does to the ledger while it runs a job: claim, heartbeat, progress, log lines.

Every write names the epoch it was dispatched with: a worker whose lease went to another changes
    nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from jobresults.database import Database
from jobresults.jobs import events
from jobresults.jobs.model import job, job_log
from jobresults.jobs.states import Event, State, WaitingOn

# How long a job whose task no worker here knows waits before it is tried again, perhaps by a newer
# worker.
PARK_MS = 30_000


@dataclass(frozen=True)
class Claimed:
    """A job this worker may run now, until its lease is over."""

    id: str
    epoch: int
    task: str
    queue: str
    client: str
    customer: str | None
    params: bytes
    attempt: int
    max_attempts: int
    timeout_seconds: float
    request_id: str | None
    traceparent: str | None


@dataclass(frozen=True)
class LogLine:
    """One line a task logged, with the worker's time."""

    at_ms: int
    level: str
    logger: str
    message: str


def fenced(job_id: str, epoch: int) -> ColumnElement[bool]:
    """The condition under which the holder of `epoch` may write to a running job."""
    return (job.c.id == job_id) & (job.c.epoch == epoch) & (job.c.state == State.RUNNING)


def claim(
    database: Database,
    job_id: str,
    epoch: int,
    *,
    worker: str,
    lease_seconds: float,
    tasks: Sequence[str],
) -> Claimed | None:
    """Take a dispatched job: compare-and-set from queued to running. None if the dispatch is
    superseded.

    A job whose task is not among `tasks` is parked for 30 s instead, for a worker that knows it.

    Raises:
        LedgerUnavailable: the job stays queued, unless the answer to the commit was lost; then its
            lease runs out.
    """
    columns = [job.c[name] for name in Claimed.__dataclass_fields__]
    ready = (job.c.id == job_id) & (job.c.epoch == epoch) & (job.c.state == State.QUEUED)
    with database.write() as connection:
        row = connection.execute(
            update(job)
            .where(ready, job.c.task.in_(tasks))
            .values(
                state=State.RUNNING,
                waiting_on=None,
                attempt=job.c.attempt + 1,
                worker=worker,
                lease_until_ms=database.now_ms() + round(lease_seconds * 1000),
                started_at_ms=database.now_ms(),
                progress_done=None,
                progress_total=None,
                progress_message=None,
            )
            .returning(*columns)
        ).first()
        if row is not None:
            events.append(
                database,
                connection,
                [events.Entry(job_id, Event.STARTED, row.attempt, {"worker": worker})],
            )
            return Claimed(**row._mapping)
        connection.execute(
            update(job)
            .where(ready)
            .values(
                epoch=job.c.epoch + 1,
                dispatched_at_ms=None,
                waiting_on=WaitingOn.WORKER,
                due_at_ms=database.now_ms() + PARK_MS,
            )
        )
    return None


def unknown_task(database: Database, job_id: str, epoch: int, tasks: Sequence[str]) -> str | None:
    """The task's name if `claim` has just parked this dispatch because nobody here knows the task.

    Raises:
        LedgerUnavailable
    """
    with database.read() as connection:
        row = connection.execute(
            select(job.c.task).where(
                job.c.id == job_id, job.c.epoch == epoch + 1, job.c.task.not_in(tasks)
            )
        ).first()
    return None if row is None else str(row.task)


def extend_lease(database: Database, job_id: str, epoch: int, lease_seconds: float) -> None:
    """Heartbeat of the job that is being run, and of no other that bears the worker's name: a claim
    whose commit was not answered must run out.

    Raises:
        LedgerUnavailable: the lease runs on.
    """
    with database.write() as connection:
        connection.execute(
            update(job)
            .where(fenced(job_id, epoch))
            .values(lease_until_ms=database.now_ms() + round(lease_seconds * 1000))
        )


def cancel_requested(database: Database, job_id: str, epoch: int) -> bool | None:
    """Whether someone asked to cancel the running job; None if it is no longer ours.

    Raises:
        LedgerUnavailable
    """
    with database.read() as connection:
        row = connection.execute(
            select(job.c.cancel_requested_at_ms).where(fenced(job_id, epoch))
        ).first()
    return None if row is None else row.cancel_requested_at_ms is not None


def record_progress(
    database: Database,
    job_id: str,
    epoch: int,
    *,
    done: int,
    total: int | None,
    message: str | None,
    event: bool,
) -> None:
    """Store how far the job is, and with `event` put it into the timeline too.

    Raises:
        LedgerUnavailable
    """
    with database.write() as connection:
        row = connection.execute(
            update(job)
            .where(fenced(job_id, epoch))
            .values(progress_done=done, progress_total=total, progress_message=message)
            .returning(job.c.attempt)
        ).first()
        if row is not None and event:
            detail = {"done": done, "total": total, "message": message}
            events.append(
                database, connection, [events.Entry(job_id, Event.PROGRESS, row.attempt, detail)]
            )


def append_logs(database: Database, job_id: str, attempt: int, lines: Sequence[LogLine]) -> None:
    """Keep lines a task logged, with the job.

    Raises:
        LedgerUnavailable
    """
    with database.write() as connection:
        connection.execute(
            insert(job_log).values(job_id=job_id, attempt=attempt), [asdict(line) for line in lines]
        )
