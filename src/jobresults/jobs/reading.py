"""Reading jobs: one, a page of them, their timeline and log lines. Foreign jobs are absent jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, case, literal, null, or_, select

from jobresults.database import Database
from jobresults.errors import NotFound
from jobresults.jobs.model import job, job_event, job_log, job_tag, paused_queue
from jobresults.jobs.states import TERMINAL, State, WaitingOn
from jobresults.jobs.visibility import Visibility

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class JobRecord:
    """A row of the ledger, and the ledger's time when it was read. Times in milliseconds since 1970
    UTC.
    """

    id: str
    task: str
    queue: str
    client: str
    customer: str | None
    tags: str
    state: str
    waiting_on: str | None
    epoch: int
    attempt: int
    max_attempts: int
    timeout_seconds: float
    due_at_ms: int
    dispatched_at_ms: int | None
    worker: str | None
    cancel_requested_at_ms: int | None
    progress_done: int | None
    progress_total: int | None
    progress_message: str | None
    result: bytes | None
    result_sha256: str | None
    error: str | None
    traceback: str | None
    request_id: str | None
    rerun_of: str | None
    created_at_ms: int
    started_at_ms: int | None
    ended_at_ms: int | None
    expires_at_ms: int | None
    expired_at_ms: int | None
    now_ms: int
    # Copies in Redis that an older version wrote lack it.
    sentry_event_id: str | None = None

    @property
    def done(self) -> bool:
        return self.state in TERMINAL

    @property
    def expired(self) -> bool:
        """Its kept time is over, whether or not maintenance has swept it yet."""
        return self.expires_at_ms is not None and self.expires_at_ms <= self.now_ms

    def as_of(self, now_ms: int) -> JobRecord:
        """The same at another time."""
        # As `dataclasses.replace` does, at a tenth of its price: answers from memory pay it.
        record = object.__new__(JobRecord)
        record.__dict__.update(self.__dict__)
        record.__dict__["now_ms"] = now_ms
        return record


# A pause is told of the queue, not of each job in it.
_waiting_on = case(
    (
        (job.c.waiting_on == WaitingOn.WORKER)
        & job.c.queue.in_(select(paused_queue.c.queue).scalar_subquery()),
        literal(WaitingOn.QUEUE_PAUSED.value),
    ),
    else_=job.c.waiting_on,
)
_FIELDS = tuple(JobRecord.__dataclass_fields__)


@dataclass(frozen=True)
class Filter:
    """Which of the visible jobs a page shows."""

    visible: Visibility
    ids: Sequence[str] = ()
    state: Sequence[str] = ()
    task: str | None = None
    customer: str | None = None
    tag: str | None = None
    text: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None


def select_records(database: Database, result: ColumnElement[Any]) -> Select[Any]:
    """All jobs, as rows that each make a `JobRecord(*row)`; `result` stands for their results."""
    special = {
        "result": result.label("result"),
        "now_ms": database.now_ms().label("now_ms"),
        "waiting_on": _waiting_on.label("waiting_on"),
    }
    return select(
        *(special[name] if name in special else job.c[name] for name in _FIELDS)
    ).select_from(job)


def get(database: Database, job_id: str, visible: Visibility) -> JobRecord:
    """One job, result included.

    Raises:
        NotFound: unknown, or not visible.
        LedgerUnavailable
    """
    rows = database.rows(_jobs(database, visible).where(job.c.id == job_id))
    if not rows:
        raise NotFound("no such job")
    return JobRecord(*rows[0])


def page(
    database: Database, wanted: Filter, *, before_id: str | None, limit: int
) -> tuple[list[JobRecord], str | None]:
    """Newest first, without results; and the id to continue before, None on the last page.

    Raises:
        LedgerUnavailable
    """
    query = _jobs(database, wanted.visible, with_result=False).where(*_conditions(wanted))
    if before_id is not None:
        query = query.where(job.c.id < before_id)
    rows = database.rows(query.order_by(job.c.id.desc()).limit(limit + 1))
    records = [JobRecord(*row) for row in rows[:limit]]
    return records, records[-1].id if len(rows) > limit else None


def latest_of_customer(
    database: Database, *, task: str, customer: str, visible: Visibility, states: Sequence[State]
) -> JobRecord | None:
    """The customer's newest visible job of a task in one of these states, result included.

    Raises:
        LedgerUnavailable
    """
    query = (
        _jobs(database, visible)
        .where(job.c.customer == customer, job.c.task == task, job.c.state.in_(states))
        .where(or_(job.c.expires_at_ms.is_(None), job.c.expires_at_ms > database.now_ms()))
        .order_by(job.c.id.desc())
        .limit(1)
    )
    rows = database.rows(query)
    return JobRecord(*rows[0]) if rows else None


def timeline(database: Database, job_id: str) -> list[dict[str, Any]]:
    """The events of a job, oldest first: `at_ms`, `event`, `attempt`, `detail`.

    Raises:
        LedgerUnavailable
    """
    rows = database.rows(
        select(job_event.c.at_ms, job_event.c.event, job_event.c.attempt, job_event.c.detail)
        .where(job_event.c.job_id == job_id)
        .order_by(job_event.c.id)
    )
    return [{**row._mapping, "detail": json.loads(row.detail)} for row in rows]


def logs(database: Database, job_id: str, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Log lines of a job with a number above `after`, oldest first: `seq`, `at_ms`, `attempt`,
    `level`, …

    Raises:
        LedgerUnavailable
    """
    rows = database.rows(
        select(
            job_log.c.id.label("seq"),
            job_log.c.at_ms,
            job_log.c.attempt,
            job_log.c.level,
            job_log.c.logger,
            job_log.c.message,
        )
        .where(job_log.c.job_id == job_id, job_log.c.id > after)
        .order_by(job_log.c.id)
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]


def params(database: Database, job_id: str) -> bytes:
    """The parameters a job was submitted with, as JSON.

    Raises:
        LedgerUnavailable
    """
    (row,) = database.rows(select(job.c.params).where(job.c.id == job_id))
    return bytes(row.params)


def callback_url(database: Database, job_id: str) -> str | None:
    """The URL a job was submitted with, to be told how it ends.

    Raises:
        LedgerUnavailable
    """
    (row,) = database.rows(select(job.c.callback_url).where(job.c.id == job_id))
    url: str | None = row.callback_url
    return url


def _jobs(database: Database, visible: Visibility, *, with_result: bool = True) -> Select[Any]:
    query = select_records(database, job.c.result if with_result else null())
    return query.where(*visible.conditions())


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: tuple[tuple[Any, Callable[[Any], ColumnElement[bool]]], ...] = (
        (wanted.ids, job.c.id.in_),
        (wanted.state, job.c.state.in_),
        (wanted.task, lambda task: job.c.task == task),
        (wanted.customer, lambda customer: job.c.customer == customer),
        (
            wanted.tag,
            lambda tag: job.c.id.in_(select(job_tag.c.job_id).where(job_tag.c.tag == tag)),
        ),
        (wanted.created_after_ms, lambda at_ms: job.c.created_at_ms > at_ms),
        (wanted.created_before_ms, lambda at_ms: job.c.created_at_ms < at_ms),
        (wanted.text or None, _mentions),
    )
    return [condition(given) for given, condition in conditions if given not in (None, (), [])]


def _mentions(text: str) -> ColumnElement[bool]:
    """Jobs whose task, customer or error contains the text, ignoring case; or the job with that
    very id.
    """
    found = [
        column.icontains(text, autoescape=True)
        for column in (job.c.task, job.c.customer, job.c.error)
    ]
    if UUID.fullmatch(text.lower()):
        found.append(job.c.id == text.lower())
    return or_(*found)
