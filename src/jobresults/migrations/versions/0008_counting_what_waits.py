"""What queues hold is counted out of one index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from jobresults.migrations.online import make_index

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_QUEUED = "state = 'queued'"


def upgrade() -> None:
    columns = ("queue", "dispatched_at_ms", "turn", "limited_by", "due_at_ms", "state")
    make_index("ix_job_dispatched", "job", columns, _QUEUED)


def downgrade() -> None:
    op.drop_index("ix_job_dispatched", table_name="job")
    queued = sa.text(_QUEUED)
    op.create_index(
        "ix_job_dispatched",
        "job",
        ["queue", "dispatched_at_ms"],
        postgresql_where=queued,
        sqlite_where=queued,
    )
