"""What became of callbacks, for those who wait for them; and sending one again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, select, update

from jobresults.database import Database
from jobresults.errors import Conflict, NotFound
from jobresults.jobs.model import callback, callback_subscription
from jobresults.jobs.outbox import PENDING
from jobresults.webhooks.model import callback_attempt


@dataclass(frozen=True)
class Callback:
    """As it is stored; its attempts are the oldest first."""

    id: str
    job_id: str
    client: str
    subscription_id: str | None
    url: str
    event: str
    state: str
    attempts: int
    due_at_ms: int
    created_at_ms: int
    ended_at_ms: int | None
    log: list[dict[str, Any]] = field(default_factory=list)


_COLUMNS = [callback.c[name] for name in Callback.__dataclass_fields__ if name != "log"]


def of_job(database: Database, job_id: str) -> list[Callback]:
    """All callbacks of a job with their attempts, the oldest first.

    Raises:
        LedgerUnavailable
    """
    query = select(*_COLUMNS).where(callback.c.job_id == job_id).order_by(callback.c.id)
    return _with_attempts(database, [Callback(*row) for row in database.rows(query)])


def page(
    database: Database,
    owner: str | None,
    *,
    state: str | None,
    before_id: str | None,
    limit: int,
) -> tuple[list[Callback], str | None]:
    """Those of the owner, of everyone if it is None, without attempts, the newest first; and the id
    to continue before, None on the last page.

    Raises:
        LedgerUnavailable
    """
    query = select(*_COLUMNS)
    if owner is not None:
        query = query.where(callback.c.client == owner)
    if state is not None:
        query = query.where(callback.c.state == state)
    if before_id is not None:
        query = query.where(callback.c.id < before_id)
    rows = database.rows(query.order_by(callback.c.id.desc()).limit(limit + 1))
    found = [Callback(*row) for row in rows[:limit]]
    return found, found[-1].id if len(rows) > limit else None


def get(database: Database, id_: str, owner: str | None) -> Callback:
    """One of them with its attempts.

    Raises:
        NotFound: unknown, or not the owner's.
        LedgerUnavailable
    """
    rows = database.rows(select(*_COLUMNS).where(_visible(id_, owner)))
    if not rows:
        raise NotFound("no such callback")
    return _with_attempts(database, [Callback(*rows[0])])[0]


def redeliver(database: Database, id_: str, owner: str | None) -> None:
    """Send it now, whatever became of it, and try as long as the first time. Receivers know it by
    the same `webhook-id`.

    Raises:
        NotFound: unknown, or not the owner's.
        Conflict: its subscription is deleted or disabled.
        LedgerUnavailable
    """
    with database.write() as connection:
        row = connection.execute(
            select(callback.c.subscription_id).where(_visible(id_, owner)).with_for_update()
        ).first()
        if row is None:
            raise NotFound("no such callback")
        if row.subscription_id is not None:
            active = connection.execute(
                select(callback_subscription.c.id).where(
                    callback_subscription.c.id == row.subscription_id,
                    callback_subscription.c.disabled_at_ms.is_(None),
                )
            ).first()
            if active is None:
                raise Conflict("its subscription is deleted or disabled; make a new one")
        now_ms = database.read_clock_ms(connection)
        connection.execute(
            update(callback)
            .where(callback.c.id == id_)
            .values(state=PENDING, failures=0, due_at_ms=now_ms, ended_at_ms=None)
        )


def _with_attempts(database: Database, found: Sequence[Callback]) -> list[Callback]:
    by_id = {item.id: item for item in found}
    query = (
        select(
            callback_attempt.c.callback_id,
            callback_attempt.c.at_ms,
            callback_attempt.c.attempt,
            callback_attempt.c.took_ms,
            callback_attempt.c.status,
            callback_attempt.c.error,
        )
        .where(callback_attempt.c.callback_id.in_(by_id))
        .order_by(callback_attempt.c.id)
    )
    for row in database.rows(query) if by_id else ():
        attempt = dict(row._mapping)
        by_id[attempt.pop("callback_id")].log.append(attempt)
    return list(found)


def _visible(id_: str, owner: str | None) -> ColumnElement[bool]:
    mine = callback.c.id == id_
    return mine if owner is None else mine & (callback.c.client == owner)
