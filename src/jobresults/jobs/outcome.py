"""How attempts end: the one place that decides between done, tried again and given up.

All writes are compare-and-set on the epoch: a worker whose lease went to another changes nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, select, update

from jobresults.database import Database
from jobresults.jobs import events, outbox, successes
from jobresults.jobs.model import job
from jobresults.jobs.running import Claimed, fenced
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
WORKER_LOST = JobError(
    "worker_lost",
    "Worker lost",
    "The worker running the job disappeared, and no attempts are left.",
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: with a result, with an error, or given up on purpose for the reason in
    `requeue`.
    """

    result: bytes | None = None
    error: JobError | None = None
    traceback: str | None = None
    requeue: str | None = None
    sentry_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of the job. Times by the database's clock; None while the job has not ended."""

    state: State
    ended_at_ms: int | None = None
    error: str | None = None


def record(
    database: Database,
    connection: Connection,
    settings: JobsSettings,
    endings: Sequence[tuple[Claimed, Ending]],
    now_ms: int,
) -> list[Recorded | None]:
    """Write how attempts ended, within the caller's transaction; repeating it is harmless. None for
    one that was fenced out: its lease went to another, and nothing was written.
    """
    succeeded = [(item, end.result) for item, end in endings if end.result is not None]
    written = successes.record(database, connection, succeeded, now_ms)
    done = Recorded(State.SUCCEEDED, now_ms)
    return [
        done
        if end.result is not None and item.fence in written
        else _record_one(database, connection, settings, item, end, now_ms)
        for item, end in endings
    ]


def _record_one(
    database: Database,
    connection: Connection,
    settings: JobsSettings,
    item: Claimed,
    ending: Ending,
    now_ms: int,
) -> Recorded | None:
    """Whatever is no success, or could not be recorded as one."""
    if ending.error is not None:
        recorded = _fail(database, connection, settings, item, ending, now_ms)
        if recorded is not None:
            return recorded
    elif ending.requeue is not None and _requeue(
        database, connection, item, ending.requeue, now_ms
    ):
        return Recorded(State.QUEUED)
    return _cancel_if_requested(database, connection, item, now_ms) or _already(connection, item)


def _fail(
    database: Database,
    connection: Connection,
    settings: JobsSettings,
    item: Claimed,
    ending: Ending,
    now_ms: int,
) -> Recorded | None:
    """Tried again after a backoff while attempts are left and it may help, else failed."""
    error = ending.error
    assert error is not None
    ours = fenced(*item.fence) & job.c.cancel_requested_at_ms.is_(None)
    again = is_tried_again(item, error)
    detail: dict[str, Any] = {"error": asdict(error)}
    if again:
        pause_ms = round(backoff_seconds(settings, item.attempt) * 1000)
        values: dict[str, Any] = {
            **queued_values(),
            "waiting_on": WaitingOn.RETRY,
            "due_at_ms": now_ms + pause_ms,
        }
        detail["in_seconds"] = pause_ms / 1000
    else:
        values = {
            **ended_values(now_ms, State.FAILED),
            "error": error.to_json(),
            "traceback": ending.traceback,
            "sentry_event_id": ending.sentry_event_id,
        }
    if connection.execute(update(job).where(ours).values(**values)).rowcount == 0:
        return None
    word = Event.RETRIED if again else Event.FAILED
    events.append(
        database, connection, [events.Entry(item.id, word, item.attempt, detail)], at_ms=now_ms
    )
    if item.calls_back and not again:
        outbox.add(connection, [item.id])
    return Recorded(State.QUEUED) if again else Recorded(State.FAILED, now_ms, error.to_json())


def _requeue(
    database: Database, connection: Connection, item: Claimed, reason: str, now_ms: int
) -> bool:
    """Give a running job back at once, for another worker. The attempt that was cut short does not
    count.
    """
    row = connection.execute(
        update(job)
        .where(fenced(*item.fence), job.c.cancel_requested_at_ms.is_(None))
        .values(
            **queued_values(),
            waiting_on=WaitingOn.WORKER,
            attempt=job.c.attempt - 1,
            due_at_ms=now_ms,
        )
        .returning(job.c.attempt)
    ).first()
    if row is None:
        return False
    entry = events.Entry(item.id, Event.REQUEUED, row.attempt, {"reason": reason})
    events.append(database, connection, [entry], at_ms=now_ms)
    return True


def is_tried_again(item: Claimed, error: JobError) -> bool:
    """Whether an attempt that failed so has another one after it."""
    return error.retryable and item.attempt < item.max_attempts


def backoff_seconds(settings: JobsSettings, attempt: int) -> float:
    """Exponential with full jitter in its upper half, so that failing together does not mean
    retrying together.
    """
    ceiling = min(settings.retry_base_seconds * 2 ** (attempt - 1), settings.retry_max_seconds)
    return random.uniform(ceiling / 2, ceiling)  # nosec B311  # noqa: S311 - jitter needs no cryptography


def ended_values(now_ms: int | ColumnElement[int], state: State) -> dict[str, Any]:
    """Column values of a job that ends now."""
    kept_ms = cast(job.c.result_ttl_seconds, BigInteger) * 1000  # months are too many for 32 bits
    return {
        "state": state,
        "waiting_on": None,
        "lease_until_ms": None,
        "ended_at_ms": now_ms,
        "expires_at_ms": kept_ms + now_ms,
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
    database: Database, connection: Connection, item: Claimed, now_ms: int
) -> Recorded | None:
    row = connection.execute(
        update(job)
        .where(fenced(*item.fence), job.c.cancel_requested_at_ms.is_not(None))
        .values(**ended_values(now_ms, State.CANCELED), error=CANCELED.to_json())
        .returning(job.c.attempt)
    ).first()
    if row is None:
        return None
    entry = events.Entry(item.id, Event.CANCELED, row.attempt, {})
    events.append(database, connection, [entry], at_ms=now_ms)
    if item.calls_back:
        outbox.add(connection, [item.id])
    return Recorded(State.CANCELED, now_ms, CANCELED.to_json())


def _already(connection: Connection, item: Claimed) -> Recorded | None:
    """The outcome this very epoch recorded before, when only the answer to its commit was lost."""
    row = connection.execute(
        select(job.c.state, job.c.ended_at_ms, job.c.error).where(
            job.c.id == item.id, job.c.epoch == item.epoch
        )
    ).first()
    if row is None or row.state not in TERMINAL:
        return None
    return Recorded(State(row.state), row.ended_at_ms, row.error)
