"""Results: attempts that have succeeded, many with one statement."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Executable,
    Integer,
    LargeBinary,
    Text,
    Update,
    bindparam,
    cast,
    column,
    func,
    insert,
    literal,
    select,
    update,
)

from jobresults.database import Database
from jobresults.jobs import events, outbox, stored
from jobresults.jobs.model import Identifier, job, job_event, stored_bytes
from jobresults.jobs.prepared import Prepared
from jobresults.jobs.running import Claimed, Fence, once_found
from jobresults.jobs.states import Event, State

Succeeded = tuple[Claimed, bytes]


def record(
    database: Database, connection: Connection, succeeded: Sequence[Succeeded], now_ms: int
) -> set[Fence]:
    """Write these results, with all that belongs to a job's end. Returns which were written: not
    those of jobs that are not their worker's any more, or are to be canceled.
    """
    if not succeeded:
        return set()
    if database.dialect == "postgresql":
        written = _on_postgresql(connection, succeeded, now_ms)
    else:
        written = _on_sqlite(database, connection, succeeded, now_ms)
    told = [item.id for item, _ in succeeded if item.calls_back and item.fence in written]
    outbox.add(connection, told)
    return written


def digest(result: bytes) -> str:
    """SHA-256 of a result, which is its ETag."""
    return hashlib.sha256(result).hexdigest()


def _on_sqlite(
    database: Database, connection: Connection, succeeded: Sequence[Succeeded], now_ms: int
) -> set[Fence]:
    """All at once. If that writes fewer, nobody knows which: then each alone."""
    rows = [
        (item.id, item.epoch, now_ms, result, digest(result), item.result_ttl_seconds * 1000)
        for item, result in succeeded
    ]
    connection.exec_driver_sql("SAVEPOINT results")
    if _SUCCEED.execute(connection, rows) == len(rows):
        written = list(succeeded)
    else:
        connection.exec_driver_sql("ROLLBACK TO results")
        written = [
            one
            for one, row in zip(succeeded, rows, strict=True)
            if _SUCCEED.execute(connection, [row])
        ]
    connection.exec_driver_sql("RELEASE results")
    sizes = {len(result): {"result_bytes": len(result)} for _, result in written}
    lines = [
        events.Entry(item.id, Event.SUCCEEDED, item.attempt, sizes[len(result)])
        for item, result in written
    ]
    events.append(database, connection, lines, at_ms=now_ms)
    stored.change(connection, [(item.client, len(result)) for item, result in written])
    return {item.fence for item, _ in written}


def _on_postgresql(
    connection: Connection, succeeded: Sequence[Succeeded], now_ms: int
) -> set[Fence]:
    values = {
        "now_ms": now_ms,
        "ids": [item.id for item, _ in succeeded],
        "epochs": [item.epoch for item, _ in succeeded],
        "results": [result for _, result in succeeded],
        "digests": [digest(result) for _, result in succeeded],
    }
    return {(row.id, row.epoch) for row in connection.execute(_all_of_it(), values)}


def _succeed(
    now_ms: ColumnElement[int],
    kept_ms: ColumnElement[int],
    result: ColumnElement[bytes],
    digest: ColumnElement[str],
) -> Update:
    return update(job).values(
        state=State.SUCCEEDED,
        waiting_on=None,
        lease_until_ms=None,
        ended_at_ms=now_ms,
        expires_at_ms=now_ms + kept_ms,
        result=result,
        result_sha256=digest,
    )


# One that was asked to cancel in time is canceled instead.
_IS_WANTED = job.c.cancel_requested_at_ms.is_(None)
_NOW_MS = bindparam("now_ms", type_=BigInteger)
_SUCCEED = Prepared(
    _succeed(
        _NOW_MS,
        bindparam("kept_ms", type_=BigInteger),
        bindparam("bytes", type_=LargeBinary),
        bindparam("digest", type_=Text),
    ).where(
        job.c.id == bindparam("job_id"),
        job.c.epoch == bindparam("fence"),
        job.c.state == State.RUNNING,
        _IS_WANTED,
    ),
    *("job_id", "fence", "now_ms", "bytes", "digest", "kept_ms"),
)


# Made once, and of one text however many jobs there are, so that the server plans it once as well.
@cache
def _all_of_it() -> Executable:
    """The results, their lines of the timeline and the clients' bytes, in one round trip."""
    done = _done()
    detail = func.concat('{"result_bytes": ', done.c.size, "}")
    line = select(done.c.id, _NOW_MS, literal(Event.SUCCEEDED.value), done.c.attempt, detail)
    columns = ["job_id", "at_ms", "event", "attempt", "detail"]
    history = insert(job_event).from_select(columns, line).cte("history")
    total = select(done.c.client, func.sum(done.c.size)).group_by(done.c.client)
    sums = insert(stored_bytes).from_select(["client", "bytes"], total).cte("sums")
    return select(done.c.id, done.c.epoch).add_cte(history, sums)


def _done() -> Any:
    ended = (
        func.unnest(
            cast(bindparam("ids", type_=ARRAY(Text)), ARRAY(Identifier)),
            bindparam("epochs", type_=ARRAY(Integer)),
            bindparam("results", type_=ARRAY(LargeBinary)),
            bindparam("digests", type_=ARRAY(Text)),
        )
        .table_valued(
            column("id", Identifier),
            column("epoch", Integer),
            column("result", LargeBinary),
            column("digest", Text),
            name="ended",
        )
        .render_derived()
    )
    kept_ms = cast(job.c.result_ttl_seconds, BigInteger) * 1000  # months are too many for 32 bits
    return (
        _succeed(_NOW_MS, kept_ms, ended.c.result, ended.c.digest)
        .where(
            job.c.id == ended.c.id,
            job.c.epoch == ended.c.epoch,
            once_found(job.c.state == State.RUNNING, _IS_WANTED),
        )
        .returning(
            job.c.id,
            job.c.epoch,
            job.c.attempt,
            job.c.client,
            func.octet_length(job.c.result).label("size"),
        )
        .cte("done")
    )
