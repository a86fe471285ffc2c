"""The tables of callbacks that ending a job does not touch; the others are in `jobs.model`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table

from jobresults.database import metadata
from jobresults.jobs.model import Identifier, RowNumber

callback_secret = Table(
    "callback_secret",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("client", String(100), nullable=False),
    Column("subscription_id", Identifier, comment="null: signs what goes to URLs of jobs"),
    Column("secret", String(100), nullable=False, comment="signing needs it as it is"),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("retires_at_ms", BigInteger, comment="replaced: still signs until then"),
    Index("ix_callback_secret_client", "client", "subscription_id"),
)

callback_attempt = Table(
    "callback_attempt",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column(
        "callback_id", Identifier, ForeignKey("callback.id", ondelete="CASCADE"), nullable=False
    ),
    Column("at_ms", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("status", Integer, comment="HTTP; null: there was no answer"),
    Column("error", String(200)),
    Index("ix_callback_attempt_callback_id", "callback_id", "id"),
)
