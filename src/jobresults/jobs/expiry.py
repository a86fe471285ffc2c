"""Forgetting on time: results after their kept time, the rest of a job after its tombstone's, spent
keys.
"""

from __future__ import annotations

from sqlalchemy import delete, func, select, update

from jobresults.database import Database
from jobresults.jobs import events, stored
from jobresults.jobs.batches import batch_of
from jobresults.jobs.model import idempotency_key, job, job_event, job_log
from jobresults.jobs.states import Event


def forget_results(database: Database, batch_size: int) -> int:
    """Drop params, result, log lines and the timeline's details of jobs whose kept time is over.
    What stays answers 410.

    Raises:
        LedgerUnavailable
    """
    over = job.c.expired_at_ms.is_(None) & (job.c.expires_at_ms <= database.now_ms())
    with database.write() as connection:
        sizes = connection.execute(
            select(
                job.c.id,
                job.c.client,
                (func.length(job.c.params) + func.coalesce(func.length(job.c.result), 0)).label(
                    "bytes"
                ),
            ).where(job.c.id.in_(batch_of(over, batch_size)))
        ).all()
        stored.change(connection, [(row.client, -row.bytes) for row in sizes])
        rows = connection.execute(
            update(job)
            .where(job.c.id.in_([row.id for row in sizes]))
            .values(
                expired_at_ms=database.now_ms(),
                params=b"null",
                result=None,
                error=None,
                traceback=None,
                progress_message=None,
            )
            .returning(job.c.id, job.c.attempt)
        ).all()
        if rows:
            gone = [row.id for row in rows]
            connection.execute(delete(job_log).where(job_log.c.job_id.in_(gone)))
            # Errors and progress messages may speak of the customer.
            connection.execute(
                update(job_event).where(job_event.c.job_id.in_(gone)).values(detail="{}")
            )
        events.append(
            database,
            connection,
            [events.Entry(row.id, Event.EXPIRED, row.attempt, {}) for row in rows],
        )
    return len(rows)


def forget_jobs(database: Database, tombstone_seconds: int, batch_size: int) -> int:
    """Delete what is left of jobs whose result was forgotten long ago. They answer 404 from then
    on.

    Raises:
        LedgerUnavailable
    """
    over = job.c.expired_at_ms <= database.now_ms() - tombstone_seconds * 1000
    with database.write() as connection:
        gone = delete(job).where(job.c.id.in_(batch_of(over, batch_size))).returning(job.c.id)
        return len(connection.execute(gone).all())


def forget_idempotency_keys(database: Database, batch_size: int) -> int:
    """Delete keys whose 24 h are over.

    Raises:
        LedgerUnavailable
    """
    spent = (
        select(idempotency_key.c.client, idempotency_key.c.key)
        .where(idempotency_key.c.expires_at_ms <= database.now_ms())
        .limit(batch_size)
    )
    with database.write() as connection:
        rows = connection.execute(spent).all()
        for row in rows:
            connection.execute(
                delete(idempotency_key).where(
                    idempotency_key.c.client == row.client,
                    idempotency_key.c.key == row.key,
                    idempotency_key.c.expires_at_ms <= database.now_ms(),
                )
            )
    return len(rows)
