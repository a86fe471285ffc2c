"""Turns, limits, paused queues, and what each client stores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_QUEUED = "state = 'queued'"
_OLD_DUE = "state = 'queued' AND dispatched_at_ms IS NULL"
_DUE = "state = 'queued' AND dispatched_at_ms IS NULL AND turn IS NULL AND limited_by IS NULL"
_IN_LIST = "state = 'queued' AND dispatched_at_ms IS NOT NULL AND customer IS NOT NULL"
_IN_TURN = "state = 'queued' AND dispatched_at_ms IS NULL AND turn IS NOT NULL"
_LIMITED = "state = 'queued' AND limited_by IS NOT NULL"


def upgrade() -> None:
    op.add_column(
        "job",
        sa.Column(
            "turn",
            sa.BigInteger(),
            nullable=True,
            comment="place among the held jobs of the queue; null: none",
        ),
    )
    op.add_column(
        "job",
        sa.Column(
            "limited_by",
            sa.String(length=210),
            nullable=True,
            comment="which limit holds it: customer:… or task:…",
        ),
    )
    _index("ix_job_due", ["due_at_ms"], _DUE)
    op.drop_index("ix_job_undispatched", table_name="job")
    _index("ix_job_in_list", ["customer", "queue"], _IN_LIST)
    _index("ix_job_turn", ["queue", "turn"], _IN_TURN)
    _index("ix_job_customer_turn", ["customer", "queue", "turn"], _IN_TURN)
    _index("ix_job_limited", ["limited_by", "dispatched_at_ms", "id"], _LIMITED)
    _index("ix_job_queued_of", ["client"], _QUEUED)

    op.create_table(
        "paused_queue",
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("paused_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("paused_by", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_paused_queue")),
    )
    op.create_table(
        "stored_bytes",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False, comment="added or, below 0, forgotten"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_bytes")),
    )
    op.create_index("ix_stored_bytes_client", "stored_bytes", ["client"])
    op.execute(
        "INSERT INTO stored_bytes (client, bytes) "
        "SELECT client, sum(length(params) + coalesce(length(result), 0)) FROM job "
        "WHERE expired_at_ms IS NULL GROUP BY client"
    )


def downgrade() -> None:
    op.drop_table("stored_bytes")
    op.drop_table("paused_queue")
    for name in ("queued_of", "limited", "customer_turn", "turn", "in_list"):
        op.drop_index(f"ix_job_{name}", table_name="job")
    _index("ix_job_undispatched", ["due_at_ms"], _OLD_DUE)
    op.drop_index("ix_job_due", table_name="job")
    # Jobs that are held are found by the older version as jobs that are due.
    op.drop_column("job", "limited_by")
    op.drop_column("job", "turn")


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, "job", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where)
    )
