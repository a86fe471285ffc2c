"""Callbacks: subscriptions, secrets, what is to be sent and what became of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "callback_secret",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column(
            "subscription_id",
            sa.Uuid(as_uuid=False),
            nullable=True,
            comment="null: signs what goes to URLs of jobs",
        ),
        sa.Column(
            "secret", sa.String(length=100), nullable=False, comment="signing needs it as it is"
        ),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "retires_at_ms",
            sa.BigInteger(),
            nullable=True,
            comment="replaced: still signs until then",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback_secret")),
    )
    with op.batch_alter_table("callback_secret", schema=None) as batch_op:
        batch_op.create_index(
            "ix_callback_secret_client", ["client", "subscription_id"], unique=False
        )

    op.create_table(
        "callback_subscription",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.String(length=100), nullable=False, comment="separated by spaces"),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "disabled_at_ms", sa.BigInteger(), nullable=True, comment="its target answered 410"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback_subscription")),
    )
    with op.batch_alter_table("callback_subscription", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_callback_subscription_client"), ["client"], unique=False
        )

    op.create_table(
        "callback",
        sa.Column(
            "id",
            sa.Uuid(as_uuid=False),
            nullable=False,
            comment="UUIDv7; what receivers know it by",
        ),
        sa.Column("job_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column(
            "subscription_id",
            sa.Uuid(as_uuid=False),
            nullable=True,
            comment="null: the job named its own URL",
        ),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column(
            "target",
            sa.String(length=400),
            nullable=False,
            comment="client and host: these share limits",
        ),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column(
            "attempts", sa.Integer(), server_default="0", nullable=False, comment="also the fence"
        ),
        sa.Column(
            "failures",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="since it was asked for",
        ),
        sa.Column(
            "due_at_ms",
            sa.BigInteger(),
            nullable=False,
            comment="while it is sent: when that is lost",
        ),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(state = 'pending') = (ended_at_ms IS NULL)", name=op.f("ck_callback_ended")
        ),
        sa.CheckConstraint(
            "state IN ('pending','delivered','given_up','stopped')", name=op.f("ck_callback_state")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_callback_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback")),
    )
    with op.batch_alter_table("callback", schema=None) as batch_op:
        batch_op.create_index("ix_callback_client_id", ["client", "id"], unique=False)
        batch_op.create_index("ix_callback_job_id", ["job_id"], unique=False)
        batch_op.create_index(
            "ix_callback_pending",
            ["target", "due_at_ms"],
            unique=False,
            postgresql_where=sa.text("state = 'pending'"),
            sqlite_where=sa.text("state = 'pending'"),
        )

    op.create_table(
        "callback_attempt",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("callback_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True, comment="HTTP; null: there was no answer"),
        sa.Column("error", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(
            ["callback_id"],
            ["callback.id"],
            name=op.f("fk_callback_attempt_callback_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback_attempt")),
    )
    with op.batch_alter_table("callback_attempt", schema=None) as batch_op:
        batch_op.create_index(
            "ix_callback_attempt_callback_id", ["callback_id", "id"], unique=False
        )

    op.add_column(
        "job",
        sa.Column("callback_url", sa.Text(), nullable=True, comment="who is told how it ended"),
    )


def downgrade() -> None:
    # Not by batch: SQLite would make the table anew, and dropping the old one takes what refers to it.
    op.drop_column("job", "callback_url")

    with op.batch_alter_table("callback_attempt", schema=None) as batch_op:
        batch_op.drop_index("ix_callback_attempt_callback_id")

    op.drop_table("callback_attempt")
    with op.batch_alter_table("callback", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_callback_pending",
            postgresql_where=sa.text("state = 'pending'"),
            sqlite_where=sa.text("state = 'pending'"),
        )
        batch_op.drop_index("ix_callback_job_id")
        batch_op.drop_index("ix_callback_client_id")

    op.drop_table("callback")
    with op.batch_alter_table("callback_subscription", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_callback_subscription_client"))

    op.drop_table("callback_subscription")
    with op.batch_alter_table("callback_secret", schema=None) as batch_op:
        batch_op.drop_index("ix_callback_secret_client")

    op.drop_table("callback_secret")
