"""Which stacks tests share, and the stacks' logs in the reports of failed tests."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.services.ledger import POSTGRESQL, SQLITE
from tests.services.redis_server import RedisServer
from tests.services.stack import Shape, Stack, running_stack

StartStack = Callable[..., Stack]

# The core of the contract holds on both kinds of ledger.
on_both_databases = pytest.mark.parametrize("stack", [SQLITE, POSTGRESQL], indirect=True)
# What the fast lane answers holds without it, too.
WITHOUT_LANE = pytest.param("sqlite without lane", id="sqlite-without-lane")
with_and_without_lane = pytest.mark.parametrize(
    "stack", [SQLITE, POSTGRESQL, WITHOUT_LANE], indirect=True
)


@pytest.fixture(scope="session")
def empty_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Gives the URL of a database without tables, of the kind asked for."""

    def url(kind: str) -> str:
        if kind == "postgresql":
            server = request.getfixturevalue("postgresql_server")
            return str(server.empty_database())
        return f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db"

    return url


@pytest.fixture(scope="session")
def shared_stack(
    empty_database: Callable[[str], str], start_redis: Callable[[], RedisServer]
) -> Iterator[Callable[[str], Stack]]:
    """The one stack of this session of a kind, started when first asked for."""
    with ExitStack() as running:

        @cache
        def stack(kind: str) -> Stack:
            database, _, lane = kind.partition(" ")
            shape = Shape(
                web_workers=2,
                workers=2 if kind == "sqlite" else 1,
                settings={"WEB__FAST_LANE": "false"} if lane else {},
            )
            url = empty_database(database)
            return running.enter_context(running_stack(url, start_redis(), shape))

        yield stack


@pytest.fixture
def stack(request: pytest.FixtureRequest, shared_stack: Callable[[str], Stack]) -> Stack:
    """The running service. Tests share it, so they leave nothing running and look for their own."""
    return shared_stack(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="module")
def start_stack(
    empty_database: Callable[[str], str], start_redis: Callable[[], RedisServer]
) -> Iterator[StartStack]:
    """Starts a stack that a module has for itself: `start_stack(Shape(…), database_url=…)`."""
    with ExitStack() as running:

        def start(
            shape: Shape | None = None,
            *,
            database_url: str | None = None,
            redis: RedisServer | None = None,
        ) -> Stack:
            url = database_url or empty_database("sqlite")
            server = redis or start_redis()
            return running.enter_context(running_stack(url, server, shape or Shape()))

        yield start


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Where a job of `stack.running` looks for a file; there is one at the end of the test."""
    path = tmp_path / "gate"
    yield path
    path.touch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the logs of the stacks a failed test used; lets skips for one missing service be one
    line of the summary.
    """
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and "needs" in report.longrepr[2]:
        report.longrepr = ("tests/services", 0, report.longrepr[2])
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Stack):
                report.sections.append((f"logs below {value.directory}", value.logs()))
    return report
