"""What tests of the core have: empty ledgers, an empty Redis, and processes on top of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from jobresults.database import Database, open_database
from jobresults.redis_store import Client, connect
from jobresults.settings import DatabaseSettings, RedisSettings
from tests.integration.driver import Driver, make_empty
from tests.integration.worker.service import Service, running_service
from tests.services.ledger import new_ledger
from tests.services.redis_server import RedisServer


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty ledger."""
    opened = open_database(DatabaseSettings(url=SecretStr(database_url)))
    make_empty(opened)
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


@pytest.fixture(scope="module")
def shared_service(
    request: pytest.FixtureRequest,
    database_url: str,
    start_redis: Callable[[], RedisServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """One worker and maintenance, for tests that leave them as they were. On a ledger of their own:
    this maintenance would look after the jobs of tests with a `service`, too.
    """
    own_url = new_ledger(make_url(database_url).get_backend_name(), request, tmp_path_factory)
    directory = tmp_path_factory.mktemp("service")
    with running_service(own_url, start_redis(), directory) as service:
        service.start("worker")
        service.start("maintenance")
        yield service


@pytest.fixture
def service(
    database_url: str, database: Database, redis_server: RedisServer, tmp_path: Path
) -> Iterator[Service]:
    """Nothing runs yet, and no jobs are there."""
    with running_service(database_url, redis_server, tmp_path) as started:
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Puts what the processes said into the report of a failed test."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Service):
                report.sections.append((f"logs below {value.directory}", value.logs()))
    return report
