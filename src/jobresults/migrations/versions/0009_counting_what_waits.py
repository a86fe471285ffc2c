"""Jobs that are not due yet are counted out of their index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0006"
branch_labels = None
depends_on = None

_DUE = "state = 'queued' AND dispatched_at_ms IS NULL AND turn IS NULL AND limited_by IS NULL"


def upgrade() -> None:
    _remake(["due_at_ms", "queue"])


def downgrade() -> None:
    _remake(["due_at_ms"])


def _remake(columns: list[str]) -> None:
    op.drop_index("ix_job_due", table_name="job")
    where = sa.text(_DUE)
    op.create_index("ix_job_due", "job", columns, postgresql_where=where, sqlite_where=where)
