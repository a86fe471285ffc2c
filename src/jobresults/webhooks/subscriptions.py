"""Subscriptions: a client's standing wish to be told how its jobs end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import uuid_utils
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from jobresults.database import Database
from jobresults.errors import Conflict, NotFound
from jobresults.jobs import outbox
from jobresults.jobs.model import callback, callback_subscription
from jobresults.webhooks import signing_secrets

MAX_PER_CLIENT = 20


@dataclass(frozen=True)
class Subscription:
    """As it is stored. `disabled_at_ms`: its target answered 410; nothing is sent to it since."""

    id: str
    client: str
    url: str
    events: str
    created_at_ms: int
    disabled_at_ms: int | None


_COLUMNS = [callback_subscription.c[name] for name in Subscription.__dataclass_fields__]


def subscribe(
    database: Database, client: str, url: str, events: Sequence[str]
) -> tuple[Subscription, str]:
    """A new subscription, for jobs that begin from now on, and its secret: the only time that can
    be read.

    Raises:
        Conflict: the client has as many as it may have.
        LedgerUnavailable: nothing was made.
    """
    with database.write() as connection:
        count = connection.execute(
            select(func.count()).where(callback_subscription.c.client == client)
        ).scalar_one()
        if count >= MAX_PER_CLIENT:
            raise Conflict(f"a client has at most {MAX_PER_CLIENT} subscriptions; delete one first")
        now_ms = database.read_clock_ms(connection)
        made = Subscription(
            str(uuid_utils.uuid7()), client, url, " ".join(dict.fromkeys(events)), now_ms, None
        )
        connection.execute(insert(callback_subscription).values(**vars(made)))
        return made, signing_secrets.add(connection, client, made.id, now_ms)


def of_client(database: Database, owner: str | None) -> list[Subscription]:
    """Those of the owner, of everyone if it is None, the oldest first.

    Raises:
        LedgerUnavailable
    """
    query = select(*_COLUMNS).order_by(callback_subscription.c.id)
    if owner is not None:
        query = query.where(callback_subscription.c.client == owner)
    return [Subscription(*row) for row in database.rows(query)]


def get(database: Database, id_: str, owner: str | None) -> Subscription:
    """One of them.

    Raises:
        NotFound: unknown, or not the owner's.
        LedgerUnavailable
    """
    rows = database.rows(select(*_COLUMNS).where(_visible(id_, owner)))
    if not rows:
        raise NotFound("no such callback subscription")
    return Subscription(*rows[0])


def unsubscribe(database: Database, id_: str, owner: str | None) -> None:
    """Delete it; what was still to be sent to it is not.

    Raises:
        NotFound: unknown, or not the owner's.
        LedgerUnavailable: nothing has changed, unless the answer to the commit was lost.
    """
    with database.write() as connection:
        row = connection.execute(
            delete(callback_subscription)
            .where(_visible(id_, owner))
            .returning(callback_subscription.c.client, callback_subscription.c.url)
        ).first()
        if row is None:
            raise NotFound("no such callback subscription")
        signing_secrets.forget(connection, row.client, id_)
        target = outbox.target_of(row.client, row.url)
        _stop_pending(connection, id_, target, database.read_clock_ms(connection))


def disable(connection: Connection, id_: str, target: str, now_ms: int) -> None:
    """Its target is gone for good: send nothing there any more. Within the caller's transaction."""
    connection.execute(
        update(callback_subscription)
        .where(callback_subscription.c.id == id_)
        .values(disabled_at_ms=now_ms)
    )
    _stop_pending(connection, id_, target, now_ms)


def _stop_pending(connection: Connection, id_: str, target: str, now_ms: int) -> None:
    # The target stands there for the index.
    connection.execute(
        update(callback)
        .where(outbox.IS_PENDING, callback.c.target == target, callback.c.subscription_id == id_)
        .values(state="stopped", ended_at_ms=now_ms)
    )


def _visible(id_: str, owner: str | None) -> ColumnElement[bool]:
    mine = callback_subscription.c.id == id_
    return mine if owner is None else mine & (callback_subscription.c.client == owner)
