"""The ledger's tables of who may call: API keys, people, and tokens that were given back."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Float, Integer, String, Table, Text

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
    Column("expires_at_ms", BigInteger),
    Column("customers", Text, comment="JSON list; null: every customer"),
    Column("requests_per_second", Float),
    Column("last_used_at_ms", BigInteger, comment="to the minute"),
)

person = Table(
    "person",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("name", String(64), nullable=False, unique=True, comment="in lower case"),
    Column("password_hash", String(200), nullable=False, comment="argon2id"),
    Column("role", String(10), nullable=False),
    Column(
        "token_generation",
        Integer,
        nullable=False,
        server_default="0",
        comment="tokens of an earlier one are revoked",
    ),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("disabled_at_ms", BigInteger),
    CheckConstraint("role IN ('viewer','operator','admin')", name="role"),
    sqlite_autoincrement=True,  # an id is never given to another person
)

revoked_token = Table(
    "revoked_token",
    metadata,
    Column("id", String(32), primary_key=True, comment="the token's jti"),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)
