"""Errors of real processes: web under gunicorn, workers and their executors, on a real Redis."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from jobresults.alerts.groups import Tracked, list_groups
from jobresults.alerts.model import Kind
from jobresults.alerts.relay import Relay
from jobresults.alerts.transport import RedisTransport
from jobresults.redis_store import Client, connect
from jobresults.settings import AlertsSettings, RedisSettings, Settings
from tests.integration.alerts.web_process import Web, running_web
from tests.integration.worker.service import Service, running_service
from tests.services.ledger import SQLITE
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.support.recording_sink import RecordingSink

pytestmark = pytest.mark.parametrize("database_url", [SQLITE], indirect=True)


@pytest.fixture(scope="module")
def server(start_redis: Callable[[], RedisServer]) -> RedisServer:
    return start_redis()


@pytest.fixture(scope="module")
def jobs(
    server: RedisServer, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Two workers."""
    with running_service(database_url, server, tmp_path_factory.mktemp("jobs")) as service:
        service.start("worker")
        service.start("worker")
        yield service


@pytest.fixture(scope="module")
def web(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Three workers of gunicorn."""
    with running_web(tmp_path_factory.mktemp("web"), server.url, workers=3) as running:
        yield running


@pytest.fixture
def redis(server: RedisServer, jobs: Service) -> Iterator[Client]:
    """Without alerts of an earlier test."""
    with connect(RedisSettings(url=SecretStr(server.url)), socket_timeout_seconds=20) as client:
        for key in client.scan_iter("jr:alerts:*"):
            if b":taken:" not in key:
                client.delete(key)
        yield client


def totals(redis: Client) -> dict[str, int]:
    """Events by the title's first word."""
    found: dict[str, int] = {}
    for tracked in list_groups(redis):
        word = tracked.group.sample.title.partition(":")[0]
        found[word] = found.get(word, 0) + tracked.group.count
    return found


def counted(redis: Client, word: str, count: int) -> Tracked:
    """The group once it has so many events; never more."""
    eventually(lambda: totals(redis).get(word, 0) >= count, f"{count} of {word}")
    assert totals(redis)[word] == count
    return next(it for it in list_groups(redis) if it.group.sample.title.startswith(word))


def test_thousands_of_errors_of_three_bugs_are_three_messages_with_exact_counts(
    redis: Client, server: RedisServer, web: Web, jobs: Service
) -> None:
    alerts = AlertsSettings(group_wait_seconds=1)
    settings = Settings(redis=RedisSettings(url=SecretStr(server.url)), alerts=alerts)
    sink = RecordingSink()
    relay = Relay(settings, RedisTransport(settings), sinks=[sink])
    relay.start()
    try:
        asked = [jobs.submit("logs_errors", count=60) for _ in range(10)]
        pids = {web.get(f"log/{bug}/50") for _ in range(25) for bug in ("first", "second")}
        for job_id in asked:
            jobs.ended(job_id)
        expected = {"ValueError": 1250, "KeyError": 1250, "ArithmeticError": 600}
        eventually(lambda: totals(redis) == expected, "all are counted")
        eventually(lambda: len(sink.counts) == 3, "all are told")
        time.sleep(1)
    finally:
        relay.stop()
    assert len(pids) > 1
    assert totals(redis) == expected
    firsts = [notification for notification in sink.sent if notification.kind is Kind.FIRST]
    assert len(firsts) == 3
    of_jobs = counted(redis, "ArithmeticError", 600).group
    assert (of_jobs.job_count, of_jobs.sample.task) == (10, "logs_errors")
    assert counted(redis, "ValueError", 1250).group.customer_count == 5


def test_the_errors_of_a_web_worker_killed_300_ms_later_are_counted(
    redis: Client, web: Web
) -> None:
    pid = web.get("log/first/7")
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    counted(redis, "ValueError", 7)
    eventually(lambda: len(web.worker_pids()) == 3, "there is another worker")


@pytest.mark.parametrize("task", ["logs_errors", "logs_errors_alone"])
def test_an_error_on_the_last_line_of_a_job_is_counted(
    redis: Client, jobs: Service, task: str
) -> None:
    jobs.run(task, count=3)
    group = counted(redis, "ArithmeticError", 3).group
    assert (group.job_count, group.sample.attempt) == (1, 1)


def test_the_last_words_of_a_killed_executor_are_counted(redis: Client, jobs: Service) -> None:
    jobs.run("logs_and_is_killed")
    counted(redis, "out of memory soon", 1)


def test_a_timeout_amid_errors_gets_through_and_costs_no_count(
    redis: Client, jobs: Service
) -> None:
    row = jobs.run("logs_until_its_time_is_over")
    assert "timeout" in row.error
    output = "".join(process.log_file.read_text() for process in jobs.processes)
    printed = output.count("still here, ")
    # The timeout may come between the console's handler and that of the alerts.
    eventually(lambda: sum(_still_here(redis)) >= printed - 1, "all are counted")
    assert sum(_still_here(redis)) in (printed - 1, printed)


def _still_here(redis: Client) -> list[int]:
    words = totals(redis)
    return [count for word, count in words.items() if word.startswith("still here")]


def test_a_redis_that_hangs_amid_a_storm_makes_no_count_wrong(
    redis: Client, server: RedisServer, web: Web
) -> None:
    """Red without the number of each batch: what a hanging Redis takes after all counts twice."""
    web.get("log/second/100")
    for _ in range(2):
        server.process.send(signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(5):
            web.get("log/second/100")
        took_seconds = time.monotonic() - began
        time.sleep(1.2)  # longer than a flush waits for an answer
        server.process.send(signal.SIGCONT)
        assert took_seconds < 5, "nobody who logs waits for Redis"
    counted(redis, "KeyError", 1100)


def test_errors_of_a_time_without_redis_are_counted_after_it(
    redis: Client, server: RedisServer, web: Web
) -> None:
    with server.stopped():
        for _ in range(5):
            web.get("log/first/100")
    counted(redis, "ValueError", 500)


@pytest.mark.parametrize("flags", [(), ("--preload",)])
def test_gunicorns_own_errors_and_those_of_its_workers_are_counted(
    redis: Client, server: RedisServer, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    timeouts = "--timeout", "2", "--graceful-timeout", "1"
    with running_web(tmp_path, server.url, *timeouts, *flags) as web:
        web.get("log/first/20")
        counted(redis, "ValueError", 20)
        web.send("stuck")
        group = counted(redis, "WORKER TIMEOUT (pid", 1).group
        assert group.severity == "critical"
        web.get("log/first/5")
    counted(redis, "ValueError", 25)
