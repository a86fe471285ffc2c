"""What callers' servers are to be told: written with a job's end, in one transaction, so that
neither is ever there without the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import uuid_utils
from sqlalchemy import Boolean, ColumnElement, Connection, and_, insert, literal_column, select

from jobresults.jobs.model import callback, callback_subscription, job
from jobresults.jobs.states import State

PENDING = "pending"
# Written out, so that databases see that the partial index is meant.
IS_PENDING: ColumnElement[bool] = callback.c.state == literal_column("'pending'")
EVENTS = ("job.succeeded", "job.failed", "job.canceled")

_subscribes = and_(
    callback_subscription.c.client == job.c.client, callback_subscription.c.disabled_at_ms.is_(None)
)

# Read with each claim, so that a job that nobody waits for costs no statement when it ends.
# As text, since SQLAlchemy names no tables in what SQLite returns from an UPDATE; and not by IS NOT
# NULL, which SQLite 3.40 finds true there of every column.
CALLS_BACK: ColumnElement[bool] = literal_column(
    "(coalesce(job.callback_url, '') > '' OR EXISTS (SELECT 1 FROM callback_subscription AS wanted"
    " WHERE wanted.client = job.client AND wanted.disabled_at_ms IS NULL))",
    Boolean(),
).label("calls_back")


def event_of(state: str) -> str:
    """What a job's end is called in callbacks."""
    return f"job.{state}"


def target_of(client: str, url: str) -> str:
    """Whose callbacks share limits: those of one client to one host and port."""
    parts = urlsplit(url)
    return f"{client} {parts.scheme}://{parts.netloc.lower()}"[:400]


def add(connection: Connection, job_ids: Sequence[str]) -> None:
    """Note what is to be sent about jobs that this transaction has ended."""
    if not job_ids:
        return
    rows = connection.execute(
        select(
            job.c.id,
            job.c.client,
            job.c.state,
            job.c.ended_at_ms,
            job.c.callback_url,
            callback_subscription.c.id.label("subscription_id"),
            callback_subscription.c.url,
            callback_subscription.c.events,
        )
        .select_from(job.outerjoin(callback_subscription, _subscribes))
        .where(job.c.id.in_(job_ids))
    ).all()
    new = [_callback(row, url, id_) for row in rows for url, id_ in _receivers(row)]
    new += [
        _callback(row, row.callback_url, None)
        for row in {row.id: row for row in rows}.values()
        if row.callback_url is not None
    ]
    if new:
        connection.execute(insert(callback), new)


def _receivers(row: Any) -> Iterator[tuple[str, str]]:
    """The subscription a row is joined with, if it wants this event."""
    if row.subscription_id is not None and event_of(row.state) in row.events.split():
        yield row.url, row.subscription_id


def _callback(row: Any, url: str, subscription_id: str | None) -> dict[str, Any]:
    return {
        "id": str(uuid_utils.uuid7()),
        "job_id": row.id,
        "client": row.client,
        "subscription_id": subscription_id,
        "url": url,
        "target": target_of(row.client, url),
        "event": event_of(State(row.state)),
        "state": PENDING,
        "due_at_ms": row.ended_at_ms,
        "created_at_ms": row.ended_at_ms,
    }
