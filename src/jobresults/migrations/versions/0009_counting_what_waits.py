"""What queues hold is counted out of one index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _remake("queue", "dispatched_at_ms", "turn", "limited_by", "due_at_ms", "state")


def downgrade() -> None:
    _remake("queue", "dispatched_at_ms")


def _remake(*columns: str) -> None:
    op.drop_index("ix_job_dispatched", table_name="job")
    queued = sa.text("state = 'queued'")
    op.create_index(
        "ix_job_dispatched", "job", [*columns], postgresql_where=queued, sqlite_where=queued
    )
