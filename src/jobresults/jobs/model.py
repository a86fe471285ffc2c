"""The ledger's tables. Times are milliseconds since 1970-01-01 UTC by the database's clock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    literal_column,
)

from jobresults.database import metadata


class _Text(TypeDecorator[str]):
    """A UUID as text. SQLite keeps its digits alone, and making an object of the standard library
    of each one read only to put the hyphens back took a tenth of the time of a claim.
    """

    impl = Uuid(as_uuid=False)
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """How a value becomes what callers see."""
        return (
            _hyphenated if dialect.name == "sqlite" else super().result_processor(dialect, coltype)
        )


def _hyphenated(digits: str | None) -> str | None:
    if digits is None:
        return None
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


Identifier = _Text()
# SQLite counts rows by itself only in a column of type INTEGER.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")

job = Table(
    "job",
    metadata,
    Column("id", Identifier, primary_key=True, comment="UUIDv7: sorts by creation"),
    Column("task", String(100), nullable=False),
    Column("queue", String(100), nullable=False),
    Column("client", String(100), nullable=False, comment="who calls: owns the job"),
    Column("customer", String(200), comment="whose data"),
    Column("params", LargeBinary, nullable=False, comment="JSON"),
    Column("tags", Text, nullable=False, server_default="[]", comment="JSON list"),
    Column("state", String(9), nullable=False),
    Column("waiting_on", String(20)),
    Column("epoch", Integer, nullable=False, comment="fence: each dispatch has its own"),
    Column("attempt", Integer, nullable=False, comment="starts so far"),
    Column("max_attempts", Integer, nullable=False),
    Column("timeout_seconds", Float, nullable=False),
    Column("result_ttl_seconds", Integer, nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("dispatched_at_ms", BigInteger, comment="null: not handed to Redis in this epoch"),
    Column("lease_until_ms", BigInteger),
    Column("turn", BigInteger, comment="place among the held jobs of the queue; null: none"),
    Column("limited_by", String(210), comment="which limit holds it: customer:… or task:…"),
    Column("worker", String(200)),
    Column("cancel_requested_at_ms", BigInteger),
    Column("progress_done", BigInteger),
    Column("progress_total", BigInteger),
    Column("progress_message", Text),
    Column("result", LargeBinary, comment="JSON as callers read it"),
    Column("result_sha256", String(64)),
    Column("error", Text, comment="JSON: type, title, detail, code, retryable"),
    Column("traceback", Text, comment="for operators only"),
    Column("sentry_event_id", String(32), comment="for operators only"),
    Column("request_id", String(200)),
    Column("traceparent", String(55)),
    Column("tracestate", String(512)),
    Column("rerun_of", Identifier),
    Column("callback_url", Text, comment="who is told how it ended"),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("started_at_ms", BigInteger, comment="of the newest attempt"),
    Column("ended_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger, comment="when the result is forgotten"),
    Column("expired_at_ms", BigInteger, comment="when it was"),
    CheckConstraint("state IN ('queued','running','succeeded','failed','canceled')", name="state"),
    CheckConstraint(
        "(state IN ('succeeded','failed','canceled')) = (ended_at_ms IS NOT NULL)", name="ended"
    ),
    CheckConstraint("(state = 'running') = (lease_until_ms IS NOT NULL)", name="lease"),
)

# Statements that are to find the indexes over these (indexes.py) say the very same.
QUEUED: ColumnElement[bool] = literal_column("state = 'queued'")
IN_LIST: ColumnElement[bool] = literal_column(
    "state = 'queued' AND dispatched_at_ms IS NOT NULL AND customer IS NOT NULL"
)
IN_TURN: ColumnElement[bool] = literal_column(
    "state = 'queued' AND dispatched_at_ms IS NULL AND turn IS NOT NULL"
)
LIMITED: ColumnElement[bool] = literal_column("state = 'queued' AND limited_by IS NOT NULL")
TO_DISPATCH: ColumnElement[bool] = literal_column(
    "state = 'queued' AND dispatched_at_ms IS NULL AND turn IS NULL AND limited_by IS NULL"
)
RUNNING: ColumnElement[bool] = literal_column("state = 'running'")

job_tag = Table(
    "job_tag",
    metadata,
    Column("tag", String(100), primary_key=True),
    Column(
        "job_id", Identifier, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, index=True
    ),
)

job_event = Table(
    "job_event",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("job_id", Identifier, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("event", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("detail", Text, nullable=False, server_default="{}", comment="JSON"),
    Index("ix_job_event_job_id_id", "job_id", "id"),
)

job_log = Table(
    "job_log",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("job_id", Identifier, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("level", String(10), nullable=False),
    Column("logger", String(200), nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_job_log_job_id_id", "job_id", "id"),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("client", String(100), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_sha256", String(64), nullable=False),
    Column(
        "job_id", Identifier, ForeignKey("job.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)

callback_subscription = Table(
    "callback_subscription",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("client", String(100), nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("events", String(100), nullable=False, comment="separated by spaces"),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("disabled_at_ms", BigInteger, comment="its target answered 410"),
)

callback = Table(
    "callback",
    metadata,
    Column("id", Identifier, primary_key=True, comment="UUIDv7; what receivers know it by"),
    Column("job_id", Identifier, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("client", String(100), nullable=False),
    Column("subscription_id", Identifier, comment="null: the job named its own URL"),
    Column("url", Text, nullable=False),
    Column("target", String(400), nullable=False, comment="client and host: these share limits"),
    Column("event", String(20), nullable=False),
    Column("state", String(9), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0", comment="also the fence"),
    Column(
        "failures", Integer, nullable=False, server_default="0", comment="since it was asked for"
    ),
    Column("due_at_ms", BigInteger, nullable=False, comment="while it is sent: when that is lost"),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
    CheckConstraint("state IN ('pending','delivered','given_up','stopped')", name="state"),
    CheckConstraint("(state = 'pending') = (ended_at_ms IS NULL)", name="ended"),
    Index("ix_callback_job_id", "job_id"),
    Index("ix_callback_client_id", "client", "id"),
)

paused_queue = Table(
    "paused_queue",
    metadata,
    Column("queue", String(100), primary_key=True),
    Column("paused_at_ms", BigInteger, nullable=False),
    Column("paused_by", String(100), nullable=False),
)

stored_bytes = Table(
    "stored_bytes",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("client", String(100), nullable=False, index=True),
    Column("bytes", BigInteger, nullable=False, comment="added or, below 0, forgotten"),
)
