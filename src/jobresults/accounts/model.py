"""The ledger's table of API keys."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from jobresults.database import metadata

api_key = Table(
    "api_key",
    metadata,
    Column("id", String(12), primary_key=True, comment="the visible part of the key"),
    Column("key_sha256", String(64), nullable=False),
    Column("client", String(100), nullable=False),
    Column("scopes", String(200), nullable=False, comment="separated by spaces"),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger),
)
