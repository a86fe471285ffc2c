"""`/live` and `/ready` of processes that work in a loop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from jobresults.schema import migrate
from jobresults.settings import DatabaseSettings
from tests.integration.worker.service import Service, running_service, says
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.stack import reserved_port
from tests.support.revisions import bring_to, one_before

KINDS = pytest.mark.parametrize("kind", ["worker", "maintenance"])


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@pytest.fixture
def url(empty_database: Callable[[str], str]) -> str:
    """A ledger whose schema is one revision behind."""
    url = empty_database("sqlite")
    bring_to(url, one_before())
    return url


@pytest.fixture
def behind(url: str, start_redis: Callable[[], RedisServer], tmp_path: Path) -> Iterator[Service]:
    with running_service(url, start_redis(), tmp_path) as service:
        yield service


def probe(port: int, name: str) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{port}/{name}", timeout=2)


def answers(port: int, name: str, status: int) -> bool:
    try:
        return probe(port, name).status_code == status
    except requests.RequestException:
        return False


def silent_seconds(port: int) -> float:
    return float(probe(port, "live").json()["silent_seconds"])


def next_beat(port: int) -> Callable[[], bool]:
    """Whether it has beaten between two looks: then its silence is shorter than before."""
    last = silent_seconds(port)

    def look() -> bool:
        nonlocal last
        before, last = last, silent_seconds(port)
        return last < before

    return look


@KINDS
def test_a_process_is_ready_with_its_schema_and_alive_without_its_stores(
    behind: Service, url: str, port: int, kind: str
) -> None:
    process = behind.start(kind, {"METRICS__PORT": str(port)})
    says(process, "waiting to start: the ledger has another schema; run `jobresults migrate`")
    assert probe(port, "live").status_code == 200
    waiting = probe(port, "ready")
    assert waiting.status_code == 503
    assert "jobresults migrate" in waiting.json()["waits_for"]
    migrate(DatabaseSettings.model_validate({"url": url}))
    eventually(lambda: answers(port, "ready", 200), "it works")
    assert "Traceback" not in process.log(1_000)

    with behind.redis.stopped():
        says(process, "Redis does not answer")
        for _ in range(3):  # its loop turns
            eventually(next_beat(port), "it beats again")
    assert process.stop() == 0


@KINDS
def test_a_process_that_is_stopped_does_not_answer(behind: Service, port: int, kind: str) -> None:
    process = behind.start(kind, {"METRICS__PORT": str(port)})
    eventually(lambda: answers(port, "live", 200), "it lives")
    process.send(signal.SIGSTOP)
    with pytest.raises(requests.ReadTimeout):
        probe(port, "live")
    process.send(signal.SIGCONT)
    eventually(lambda: answers(port, "live", 200), "it lives again")
