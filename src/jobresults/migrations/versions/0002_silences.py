"""Silences of alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "silence",
        sa.Column("id", sa.String(length=36), nullable=False, comment="UUIDv7: sorts by creation"),
        sa.Column("fingerprint", sa.String(length=200), nullable=True, comment="null: any"),
        sa.Column("task", sa.String(length=200), nullable=True, comment="null: any"),
        sa.Column("customer", sa.String(length=200), nullable=True, comment="null: any"),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "ended_at_ms", sa.BigInteger(), nullable=True, comment="when someone ended it early"
        ),
        sa.Column("ended_by", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silence")),
    )
    with op.batch_alter_table("silence", schema=None) as batch_op:
        batch_op.create_index("ix_silence_expires_at_ms", ["expires_at_ms"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("silence", schema=None) as batch_op:
        batch_op.drop_index("ix_silence_expires_at_ms")
    op.drop_table("silence")
