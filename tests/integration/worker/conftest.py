"""Workers and maintenance, shared by a module or for one test alone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.integration.worker.service import Service, running_service
from tests.services.redis_server import RedisServer


@pytest.fixture(scope="module")
def shared_service(
    database_url: str,
    start_redis: Callable[[], RedisServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """One worker and maintenance, for tests that leave them as they were."""
    directory = tmp_path_factory.mktemp("service")
    with running_service(database_url, start_redis(), directory) as service:
        service.start("worker")
        service.start("maintenance")
        yield service


@pytest.fixture
def service(database_url: str, redis_server: RedisServer, tmp_path: Path) -> Iterator[Service]:
    """Nothing runs yet."""
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
