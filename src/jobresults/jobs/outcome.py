"""How an attempt ends: the one place that decides between done, tried again and given up.

Each function is a compare-and-set on the epoch. It returns the state the job is in now, or None if
the caller
was fenced out: its lease went to another, and nothing was written.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from jobresults.database import Database
from jobresults.jobs import events
from jobresults.jobs.model import job
from jobresults.jobs.running import fenced
from jobresults.jobs.states import TERMINAL, Event, State, WaitingOn
from jobresults.settings import JobsSettings


@dataclass(frozen=True)
class JobError:
    """Why an attempt failed, as callers read it. `retryable`: whether a rerun may help."""

    code: str
    title: str
    detail: str
    retryable: bool = True
    type: str = "about:blank"

    def to_json(self) -> str:
        """As the ledger stores it; readable, so that it can be searched."""
        return json.dumps(asdict(self), ensure_ascii=False)


CANCELED = JobError("job_canceled", "Job canceled", "The job was canceled.", retryable=True)


def succeed(database: Database, job_id: str, epoch: int, result: bytes) -> State | None:
    """Record the result. A job that was asked to cancel in time is canceled instead.

    Raises:
        LedgerUnavailable: try again; repeating is harmless.
    """
    with database.write() as connection:
        wanted = fenced(job_id, epoch) & job.c.cancel_requested_at_ms.is_(None)
        row = connection.execute(
            update(job)
            .where(wanted)
            .values(
                **ended_values(database, State.SUCCEEDED),
                result=result,
                result_sha256=hashlib.sha256(result).hexdigest(),
            )
            .returning(job.c.attempt)
        ).first()
        if row is None:
            return _cancel_if_requested(database, connection, job_id, epoch) or _already(
                connection, job_id, epoch
            )
        events.append(
            database,
            connection,
            [events.Entry(job_id, Event.SUCCEEDED, row.attempt, {"result_bytes": len(result)})],
        )
        return State.SUCCEEDED


def fail(
    database: Database,
    settings: JobsSettings,
    job_id: str,
    epoch: int,
    error: JobError,
    traceback: str | None = None,
) -> State | None:
    """Record a failed attempt: tried again after a backoff while attempts are left and it may help,
    else failed.

    Raises:
        LedgerUnavailable: try again; repeating is harmless.
    """
    with database.write() as connection:
        row = connection.execute(
            select(job.c.attempt, job.c.max_attempts)
            .where(fenced(job_id, epoch))
            .with_for_update()  # a wish to cancel comes before or after, not in between
        ).first()
        if row is None:
            return _already(connection, job_id, epoch)
        canceled = _cancel_if_requested(database, connection, job_id, epoch)
        if canceled is not None:
            return canceled
        if error.retryable and row.attempt < row.max_attempts:
            pause_ms = round(backoff_seconds(settings, row.attempt) * 1000)
            connection.execute(
                update(job)
                .where(fenced(job_id, epoch))
                .values(
                    **queued_values(),
                    waiting_on=WaitingOn.RETRY,
                    due_at_ms=database.now_ms() + pause_ms,
                )
            )
            detail = {"error": asdict(error), "in_seconds": pause_ms / 1000}
            events.append(
                database, connection, [events.Entry(job_id, Event.RETRIED, row.attempt, detail)]
            )
            return State.QUEUED
        connection.execute(
            update(job)
            .where(fenced(job_id, epoch))
            .values(
                **ended_values(database, State.FAILED),
                error=error.to_json(),
                traceback=traceback,
            )
        )
        events.append(
            database,
            connection,
            [events.Entry(job_id, Event.FAILED, row.attempt, {"error": asdict(error)})],
        )
        return State.FAILED


def requeue(database: Database, job_id: str, epoch: int, reason: str) -> State | None:
    """Give a running job back at once, for another worker. The attempt that was cut short does not
    count.

    Raises:
        LedgerUnavailable: the lease runs out instead.
    """
    with database.write() as connection:
        row = connection.execute(
            update(job)
            .where(fenced(job_id, epoch) & job.c.cancel_requested_at_ms.is_(None))
            .values(
                **queued_values(),
                waiting_on=WaitingOn.WORKER,
                attempt=job.c.attempt - 1,
                due_at_ms=database.now_ms(),
            )
            .returning(job.c.attempt)
        ).first()
        if row is None:
            return _cancel_if_requested(database, connection, job_id, epoch) or _already(
                connection, job_id, epoch
            )
        events.append(
            database,
            connection,
            [events.Entry(job_id, Event.REQUEUED, row.attempt, {"reason": reason})],
        )
        return State.QUEUED


def backoff_seconds(settings: JobsSettings, attempt: int) -> float:
    """Exponential with full jitter in its upper half, so that failing together does not mean
    retrying together.
    """
    ceiling = min(settings.retry_base_seconds * 2 ** (attempt - 1), settings.retry_max_seconds)
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter needs no cryptography


def ended_values(database: Database, state: State) -> dict[str, Any]:
    """Column values of a job that ends now."""
    return {
        "state": state,
        "waiting_on": None,
        "lease_until_ms": None,
        "ended_at_ms": database.now_ms(),
        "expires_at_ms": database.now_ms() + job.c.result_ttl_seconds * 1000,
    }


def queued_values() -> dict[str, Any]:
    """Column values of a running job that goes back to the queue; the new epoch fences the old
    worker out.
    """
    return {
        "state": State.QUEUED,
        "epoch": job.c.epoch + 1,
        "lease_until_ms": None,
        "dispatched_at_ms": None,
        "worker": None,
    }


def _cancel_if_requested(
    database: Database, connection: Connection, job_id: str, epoch: int
) -> State | None:
    wanted = fenced(job_id, epoch) & job.c.cancel_requested_at_ms.is_not(None)
    row = connection.execute(
        update(job)
        .where(wanted)
        .values(
            **ended_values(database, State.CANCELED),
            error=CANCELED.to_json(),
        )
        .returning(job.c.attempt)
    ).first()
    if row is None:
        return None
    events.append(database, connection, [events.Entry(job_id, Event.CANCELED, row.attempt, {})])
    return State.CANCELED


def _already(connection: Connection, job_id: str, epoch: int) -> State | None:
    """The outcome this very epoch recorded before, when only the answer to its commit was lost."""
    row = connection.execute(
        select(job.c.state).where(job.c.id == job_id, job.c.epoch == epoch)
    ).first()
    return State(row.state) if row is not None and row.state in TERMINAL else None
