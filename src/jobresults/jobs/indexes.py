"""The indexes that jobs and callbacks are found by. Only who writes or compares the schema loads
them: SQLAlchemy loads both databases' dialects to read what stands here.
"""

from __future__ import annotations

from sqlalchemy import Index, text

from jobresults.jobs.model import (
    IN_LIST,
    IN_TURN,
    LIMITED,
    QUEUED,
    RUNNING,
    TO_DISPATCH,
    callback,
    job,
)

# Keyset pages, newest first; the score of a customer; each sweep of maintenance reads only what it
# works on.
Index("ix_job_client_id", job.c.client, job.c.id)
Index("ix_job_customer_id", job.c.customer, job.c.id)
Index("ix_job_state_id", job.c.state, job.c.id)
Index("ix_job_task_ended", job.c.task, job.c.ended_at_ms)
Index(
    "ix_job_due",
    job.c.due_at_ms,
    postgresql_where=TO_DISPATCH,
    sqlite_where=TO_DISPATCH,
)
# The columns from the third on are there to be counted by, without a look at the table; SQLite
# wants even the one that is the same in all.
Index(
    "ix_job_dispatched",
    job.c.queue,
    job.c.dispatched_at_ms,
    job.c.turn,
    job.c.limited_by,
    job.c.due_at_ms,
    job.c.state,
    postgresql_where=QUEUED,
    sqlite_where=QUEUED,
)
# Customers take turns, limits hold jobs: see turns.py and concurrency.py.
Index(
    "ix_job_in_list",
    job.c.customer,
    job.c.queue,
    postgresql_where=IN_LIST,
    sqlite_where=IN_LIST,
)
Index("ix_job_turn", job.c.queue, job.c.turn, postgresql_where=IN_TURN, sqlite_where=IN_TURN)
Index(
    "ix_job_customer_turn",
    job.c.customer,
    job.c.queue,
    job.c.turn,
    postgresql_where=IN_TURN,
    sqlite_where=IN_TURN,
)
Index(
    "ix_job_limited",
    job.c.limited_by,
    job.c.dispatched_at_ms,
    job.c.id,
    postgresql_where=LIMITED,
    sqlite_where=LIMITED,
)
Index("ix_job_queued_of", job.c.client, postgresql_where=QUEUED, sqlite_where=QUEUED)
Index("ix_job_lease", job.c.lease_until_ms, postgresql_where=RUNNING, sqlite_where=RUNNING)
Index(
    "ix_job_expires",
    job.c.expires_at_ms,
    postgresql_where=text("expired_at_ms IS NULL"),
    sqlite_where=text("expired_at_ms IS NULL"),
)
Index("ix_job_expired", job.c.expired_at_ms)

_pending = text("state = 'pending'")
Index(
    "ix_callback_pending",
    callback.c.target,
    callback.c.due_at_ms,
    postgresql_where=_pending,
    sqlite_where=_pending,
)
