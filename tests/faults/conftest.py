"""What fault tests have: the marker, and effects that can be counted."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.faults.ledgers import Ledger, on_postgresql, on_sqlite
from tests.services.ledger import POSTGRESQL, SQLITE
from tests.services.postgresql_server import PostgresqlServer
from tests.services.redis_server import RedisServer
from tests.services.stack import Shape, Stack, running_stack
from tests.services.stacks import StartStack

OwnStack = Callable[..., AbstractContextManager[Stack]]

MODULES = ("jobresults.tasks.score", "tests.support.sample_tasks", "tests.faults.fault_tasks")


class Effects:
    """What jobs of `leaves_a_mark` have done to the world."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "effects"

    @property
    def by_job(self) -> dict[str, list[int]]:
        """The attempts that had an effect, by job id."""
        found: dict[str, list[int]] = defaultdict(list)
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                job_id, attempt = line.split()
                found[job_id].append(int(attempt))
        return dict(found)

    def params(self, gate: Path | None = None) -> dict[str, str | None]:
        """Parameters of a job that leaves its mark here, and runs until the gate is there."""
        return {"path": str(self.path), "gate": str(gate) if gate else None}


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    return Effects(tmp_path)


@pytest.fixture
def own_stack(
    empty_database: Callable[[str], str], start_redis: Callable[..., RedisServer]
) -> OwnStack:
    """Runs a service on SQLite for one test: `with own_stack(Shape(…), redis=…) as stack`."""

    @contextmanager
    def running(shape: Shape | None = None, *, redis: RedisServer | None = None) -> Iterator[Stack]:
        url, server = empty_database("sqlite"), redis or start_redis()
        with running_stack(url, server, shape or Shape()) as stack:
            yield stack

    return running


@pytest.fixture(scope="session")
def own_cluster(start_postgresql: Callable[[], PostgresqlServer]) -> PostgresqlServer:
    """A PostgreSQL that may be stopped: only the stack of the running test uses it."""
    return start_postgresql()


@pytest.fixture(scope="module", params=[SQLITE, POSTGRESQL])
def ledger(request: pytest.FixtureRequest, empty_database: Callable[[str], str]) -> Ledger:
    """A ledger for one module's stack, on each kind of database."""
    if request.param == "sqlite":
        return on_sqlite(empty_database("sqlite"))
    return on_postgresql(request.getfixturevalue("own_cluster"))


@pytest.fixture(scope="module")
def bare_stack(ledger: Ledger, start_stack: StartStack) -> Stack:
    """Web and maintenance for one module; its tests bring the workers."""
    settings = {"TASKS__MODULES": json.dumps(MODULES), "REDIS__SOCKET_TIMEOUT_SECONDS": "5"}
    return start_stack(Shape(workers=0, settings=settings), database_url=ledger.url)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here is a fault test, marked before `-m` selects."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)
