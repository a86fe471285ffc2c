"""How many bytes each client stores: its params and results that are kept. Every transaction that
changes it appends the difference, so nobody waits for a counter and none is counted over all jobs.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from jobresults.database import Database
from jobresults.jobs.model import stored_bytes
from jobresults.jobs.prepared import Prepared

_INSERT = Prepared(
    insert(stored_bytes).values(client=bindparam("client"), bytes=bindparam("bytes")).inline(),
    *("client", "bytes"),
)


def change(connection: Connection, sizes: Iterable[tuple[str, int]]) -> None:
    """Count bytes of clients as stored or, below 0, as forgotten, within the caller's
    transaction.
    """
    totals: dict[str, int] = {}
    for client, size_bytes in sizes:
        totals[client] = totals.get(client, 0) + size_bytes
    _INSERT.execute(connection, list(totals.items()))


def of_client(database: Database, client: str) -> int:
    """What a client stores now.

    Raises:
        LedgerUnavailable
    """
    total = select(func.sum(stored_bytes.c.bytes)).where(stored_bytes.c.client == client)
    return int(database.rows(total)[0][0] or 0)


def fold(database: Database, least_rows: int) -> int:
    """Make one row of the many of a client. Returns how many rows went.

    Raises:
        LedgerUnavailable
    """
    of_client = stored_bytes.c.client
    many = select(of_client).group_by(of_client).having(func.count() >= least_rows)
    clients = [row.client for row in database.rows(many)]
    if not clients:
        return 0
    with database.write() as connection:
        gone = connection.execute(
            delete(stored_bytes)
            .where(of_client.in_(clients))
            .returning(of_client, stored_bytes.c.bytes)
        ).all()
        change(connection, [(row.client, row.bytes) for row in gone])
    return len(gone)
