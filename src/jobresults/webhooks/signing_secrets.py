"""The secrets callbacks are signed with: one for each subscription, and one for each client's URLs
that jobs name. A replaced one goes on signing for a while, so that receivers can change over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import uuid_utils
from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from jobresults.database import Database
from jobresults.jobs.model import callback_subscription
from jobresults.webhooks import signatures
from jobresults.webhooks.model import callback_secret


@dataclass(frozen=True)
class NewSecret:
    """The only time it can be read. `retires_at_ms`: when the one before it stops signing, None:
    there was none.
    """

    secret: str
    retires_at_ms: int | None


def rotate(
    database: Database, client: str, subscription_id: str | None, overlap_seconds: int
) -> NewSecret:
    """Make a secret; the newest one before it signs too until the overlap is over, older ones no
    more.

    Raises:
        LedgerUnavailable: nothing has changed, unless the answer to the commit was lost.
    """
    with database.write() as connection:
        now_ms = database.read_clock_ms(connection)
        if subscription_id is not None:  # two who rotate at once: one after the other
            connection.execute(
                select(callback_subscription.c.id)
                .where(callback_subscription.c.id == subscription_id)
                .with_for_update()
            ).all()
        ours = _of(client, subscription_id)
        connection.execute(
            delete(callback_secret).where(ours, callback_secret.c.retires_at_ms.is_not(None))
        )
        retires_at_ms = now_ms + overlap_seconds * 1000
        replaced = connection.execute(
            update(callback_secret).where(ours).values(retires_at_ms=retires_at_ms)
        ).rowcount
        secret = add(connection, client, subscription_id, now_ms)
    return NewSecret(secret, retires_at_ms if replaced else None)


def add(connection: Connection, client: str, subscription_id: str | None, now_ms: int) -> str:
    """A new secret, within the caller's transaction."""
    secret = signatures.new_secret()
    connection.execute(
        insert(callback_secret).values(
            id=str(uuid_utils.uuid7()),
            client=client,
            subscription_id=subscription_id,
            secret=secret,
            created_at_ms=now_ms,
        )
    )
    return secret


def active(database: Database, client: str, subscription_id: str | None) -> Sequence[str]:
    """Those that sign now, the newest first.

    Raises:
        LedgerUnavailable
    """
    retires = callback_secret.c.retires_at_ms
    rows = database.rows(
        select(callback_secret.c.secret)
        .where(_of(client, subscription_id), or_(retires.is_(None), retires > database.now_ms()))
        .order_by(callback_secret.c.id.desc())
    )
    return [row.secret for row in rows]


def forget(connection: Connection, client: str, subscription_id: str) -> None:
    """Drop the secrets of a subscription, within the caller's transaction."""
    connection.execute(delete(callback_secret).where(_of(client, subscription_id)))


def _of(client: str, subscription_id: str | None) -> ColumnElement[bool]:
    return (callback_secret.c.client == client) & (
        callback_secret.c.subscription_id.is_(None)
        if subscription_id is None
        else callback_secret.c.subscription_id == subscription_id
    )
