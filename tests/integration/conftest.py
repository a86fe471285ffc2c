"""What tests of the core have: an empty ledger on each kind of database, and an empty Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from jobresults.database import Database, metadata, open_database
from jobresults.redis_store import Client, connect
from jobresults.settings import DatabaseSettings, RedisSettings
from tests.integration.driver import Driver


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty ledger."""
    opened = open_database(DatabaseSettings(url=SecretStr(database_url)))
    with opened.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    yield opened
    opened.close()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Client]:
    """An empty Redis."""
    with connect(RedisSettings(url=SecretStr(redis_url))) as client:
        yield client


@pytest.fixture
def driver(database: Database, redis: Client) -> Driver:
    return Driver(database, redis)
