"""PostgreSQL counts jobs that are not due yet, by queue, out of their index alone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0006"
branch_labels = None
depends_on = None

_DUE = "state = 'queued' AND dispatched_at_ms IS NULL AND turn IS NULL AND limited_by IS NULL"


def upgrade() -> None:
    _remake(postgresql_include=["queue"])


def downgrade() -> None:
    _remake()


def _remake(**options: Any) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_job_due", table_name="job")
        where = sa.text(_DUE)
        op.create_index("ix_job_due", "job", ["due_at_ms"], postgresql_where=where, **options)
