"""Taking callbacks to send, and noting what came of it. Any number of processes may do both: a
claim moves a callback's due time beyond the end of its delivery, so one whose sender died is due
again by itself.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from jobresults.database import Database
from jobresults.jobs import events
from jobresults.jobs.model import callback
from jobresults.jobs.outbox import IS_PENDING, PENDING
from jobresults.jobs.states import Event
from jobresults.settings import CallbacksSettings
from jobresults.webhooks import subscriptions
from jobresults.webhooks.model import callback_attempt

GONE = 410
_JITTER = 0.2
_LONGEST_RETRY_AFTER_SECONDS = 86_400.0
_EVENTS = {
    "delivered": Event.CALLBACK_DELIVERED,
    "given_up": Event.CALLBACK_GIVEN_UP,
    "stopped": Event.CALLBACK_STOPPED,
}


@dataclass(frozen=True)
class Claim:
    """A callback this process may send now. `attempts` counts this one and fences it."""

    id: str
    job_id: str
    client: str
    subscription_id: str | None
    url: str
    target: str
    attempts: int
    failures: int


@dataclass(frozen=True)
class Sent:
    """What came of an attempt: a status, or an error if there was no answer. `stop`: nothing is to
    be sent there ever again.
    """

    took_ms: int
    job_attempt: int = 0
    status: int | None = None
    error: str | None = None
    retry_after_seconds: float | None = None
    stop: bool = False

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


_CLAIM = [callback.c[name] for name in Claim.__dataclass_fields__]


def due_targets(database: Database) -> list[str]:
    """The targets that something is due for, who has waited longest first.

    Leaps from target to target in the index, so a long backlog of one costs nothing here.

    Raises:
        LedgerUnavailable
    """
    rows = database.rows(_due_targets(database))
    due = [row for row in rows if row.due_at_ms is not None and row.due_at_ms <= row.now_ms]
    return [row.target for row in sorted(due, key=lambda row: int(row.due_at_ms))]


def longest_overdue_seconds(database: Database) -> float:
    """For how long the first undelivered callback has been due; 0 if none is. One search of the
    index for each target that something is pending for.

    Raises:
        LedgerUnavailable
    """
    rows = database.rows(_due_targets(database))
    overdue_ms = (row.now_ms - row.due_at_ms for row in rows if row.due_at_ms is not None)
    return max(0, max(overdue_ms, default=0)) / 1000


def claim(database: Database, wanted: Mapping[str, int], lease_seconds: float) -> list[Claim]:
    """Take so many due callbacks of each target.

    Raises:
        LedgerUnavailable: those taken, if any, are due again when the lease is over.
    """
    claimed: list[Claim] = []
    with database.write() as connection:
        now_ms = database.read_clock_ms(connection)
        for target, count in wanted.items():
            due = IS_PENDING & (callback.c.target == target) & (callback.c.due_at_ms <= now_ms)
            batch = (
                select(callback.c.id)
                .where(due)
                .order_by(callback.c.due_at_ms)
                .limit(count)
                .with_for_update(skip_locked=True)
                .cte("batch")
            )
            rows = connection.execute(
                update(callback)
                .where(due, callback.c.id.in_(select(batch.c.id)))
                .values(
                    attempts=callback.c.attempts + 1,
                    due_at_ms=now_ms + round(lease_seconds * 1000),
                )
                .returning(*_CLAIM)
            ).all()
            claimed += [Claim(*row) for row in rows]
    return claimed


def record(
    database: Database, settings: CallbacksSettings, results: Sequence[tuple[Claim, Sent]]
) -> list[str | None]:
    """Note what came of attempts, and give the state of each callback then: `pending` if it is
    tried again, None if it was claimed anew or is gone, and nothing was written.

    Raises:
        LedgerUnavailable: nothing was written; they are due again when their leases are over.
    """
    with database.write() as connection:
        now_ms = database.read_clock_ms(connection)
        return [
            _record(database, connection, settings, item, sent, now_ms) for item, sent in results
        ]


def pause_seconds(settings: CallbacksSettings, failures: int, retry_after: float | None) -> float:
    """How long to wait after so many failures. Never shorter than the schedule: jitter adds."""
    schedule = settings.retry_seconds
    planned = schedule[min(failures, len(schedule)) - 1]
    planned *= random.uniform(1, 1 + _JITTER)  # nosec B311  # noqa: S311 - as for retries
    return max(planned, min(retry_after or 0.0, _LONGEST_RETRY_AFTER_SECONDS))


def _record(
    database: Database,
    connection: Connection,
    settings: CallbacksSettings,
    item: Claim,
    sent: Sent,
    now_ms: int,
) -> str | None:
    state, changes = _verdict(settings, item, sent, now_ms)
    written = connection.execute(
        update(callback)
        .where(IS_PENDING, callback.c.id == item.id, callback.c.attempts == item.attempts)
        .values(state=state, **changes)
    ).rowcount
    if not written:
        return None
    connection.execute(
        insert(callback_attempt).values(
            callback_id=item.id,
            at_ms=now_ms - sent.took_ms,
            attempt=item.attempts,
            took_ms=sent.took_ms,
            status=sent.status,
            error=None if sent.error is None else sent.error[:200],
        )
    )
    if state in _EVENTS:
        detail = {"callback_id": item.id, "attempts": item.attempts}
        entry = events.Entry(item.job_id, _EVENTS[state], sent.job_attempt, detail)
        events.append(database, connection, [entry], at_ms=now_ms)
    if sent.status == GONE and item.subscription_id is not None:
        subscriptions.disable(connection, item.subscription_id, item.target, now_ms)
    return state


def _verdict(
    settings: CallbacksSettings, item: Claim, sent: Sent, now_ms: int
) -> tuple[str, dict[str, Any]]:
    if sent.ok:
        return "delivered", {"ended_at_ms": now_ms}
    failures = item.failures + 1
    if sent.stop or sent.status == GONE:
        return "stopped", {"ended_at_ms": now_ms, "failures": failures}
    # Attempts cut short by a crash are none of these, so the whole schedule has passed.
    if failures > len(settings.retry_seconds):
        return "given_up", {"ended_at_ms": now_ms, "failures": failures}
    pause = pause_seconds(settings, failures, sent.retry_after_seconds)
    return PENDING, {"due_at_ms": now_ms + round(pause * 1000), "failures": failures}


def _due_targets(database: Database) -> Select[Any]:
    first = select(func.min(callback.c.target).label("target")).where(IS_PENDING)
    targets = first.cte("targets", recursive=True)
    beyond = (
        select(func.min(callback.c.target))
        .where(IS_PENDING, callback.c.target > targets.c.target)
        .correlate(targets)
        .scalar_subquery()
    )
    targets = targets.union_all(select(beyond).where(targets.c.target.is_not(None)))
    due_at_ms = (
        select(func.min(callback.c.due_at_ms))
        .where(IS_PENDING, callback.c.target == targets.c.target)
        .correlate(targets)
        .scalar_subquery()
    )
    return select(
        targets.c.target, due_at_ms.label("due_at_ms"), database.now_ms().label("now_ms")
    ).where(targets.c.target.is_not(None))
