"""A worker and maintenance that are scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.worker.service import SUSPICIOUS, Service, running_service
from tests.services.ledger import new_ledger
from tests.services.process import Process, eventually
from tests.services.redis_server import RedisServer
from tests.services.scraping import Scrape, scrape
from tests.services.stack import reserved_port


class Metered:
    """A service of which each process has a port."""

    def __init__(self, service: Service, ports: ExitStack) -> None:
        self.service = service
        self._ports = ports
        self.port_of: dict[str, int] = {}
        self.processes: dict[str, Process] = {}

    def start(self, command: str) -> Process:
        """Run it, and wait until it can be scraped."""
        port = self.port_of.get(command) or self._ports.enter_context(reserved_port())
        settings = SUSPICIOUS | {"METRICS__PORT": str(port)}
        process = self.service.start(command, settings)
        self.port_of[command], self.processes[command] = port, process
        words = {"worker": "serves queues", "maintenance": "watches queues"}[command]
        eventually(lambda: words in process.log(1_000), f"{command} runs")
        return process

    def scrape(self, command: str) -> Scrape:
        return scrape(self.port_of[command])

    def eventually(self, command: str, condition: Callable[[Scrape], bool], what: str) -> Scrape:
        """The first scrape of which that holds."""

        def found() -> Scrape | None:
            scraped = self.scrape(command)
            return scraped if condition(scraped) else None

        return eventually(found, what)


@pytest.fixture
def metered(service: Service) -> Iterator[Metered]:
    """Nothing runs yet, and no jobs are there."""
    with ExitStack() as ports:
        yield Metered(service, ports)


@pytest.fixture(scope="module")
def shared(
    request: pytest.FixtureRequest,
    database_url: str,
    start_redis: Callable[[], RedisServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Metered]:
    """One worker and maintenance, for tests that leave them as they were. With a ledger of their
    own, or this maintenance would do what another one is to count.
    """
    directory = tmp_path_factory.mktemp("metered")
    url = new_ledger(database_url.partition(":")[0], request, tmp_path_factory)
    with (
        running_service(url, start_redis(), directory) as service,
        ExitStack() as ports,
    ):
        metered = Metered(service, ports)
        metered.start("worker")
        metered.start("maintenance")
        yield metered
