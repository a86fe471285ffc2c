"""Accounts: people, tokens they gave back, and limits of API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "person",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("name", sa.String(length=64), nullable=False, comment="in lower case"),
        sa.Column("password_hash", sa.String(length=200), nullable=False, comment="argon2id"),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column(
            "token_generation",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="tokens of an earlier one are revoked",
        ),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("role IN ('viewer','operator','admin')", name=op.f("ck_person_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("name", name=op.f("uq_person_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "revoked_token",
        sa.Column("id", sa.String(length=32), nullable=False, comment="the token's jti"),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revoked_token")),
    )
    with op.batch_alter_table("revoked_token", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_revoked_token_expires_at_ms"), ["expires_at_ms"], unique=False
        )
    op.add_column("api_key", sa.Column("expires_at_ms", sa.BigInteger(), nullable=True))
    op.add_column(
        "api_key",
        sa.Column("customers", sa.Text(), nullable=True, comment="JSON list; null: every customer"),
    )
    op.add_column("api_key", sa.Column("requests_per_second", sa.Float(), nullable=True))
    op.add_column(
        "api_key",
        sa.Column("last_used_at_ms", sa.BigInteger(), nullable=True, comment="to the minute"),
    )


def downgrade() -> None:
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.drop_column("last_used_at_ms")
        batch_op.drop_column("requests_per_second")
        batch_op.drop_column("customers")
        batch_op.drop_column("expires_at_ms")
    with op.batch_alter_table("revoked_token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_revoked_token_expires_at_ms"))
    op.drop_table("revoked_token")
    op.drop_table("person")
