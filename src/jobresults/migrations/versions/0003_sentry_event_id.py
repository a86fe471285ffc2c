"""The Sentry event of a failed job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "job",
        sa.Column(
            "sentry_event_id", sa.String(length=32), nullable=True, comment="for operators only"
        ),
    )


def downgrade() -> None:
    op.drop_column("job", "sentry_event_id")
