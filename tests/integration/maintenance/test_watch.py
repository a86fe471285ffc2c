"""Conditions that no error tells of: each is told while it lasts, and then no more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from jobresults.database import open_database
from jobresults.maintenance import watch as module
from jobresults.maintenance.watch import Watch
from jobresults.redis_store import connect
from jobresults.schema import migrate
from jobresults.settings import (
    AlertsSettings,
    DatabaseSettings,
    JobsSettings,
    LoggingSettings,
    RedisSettings,
    Settings,
    WatchSettings,
)
from tests.integration.driver import Driver, on_sqlite
from tests.services.redis_server import RedisServer

MINUTE_MS = 60_000


class Clock:
    """Stands still unless a test lets it go on."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def watch(driver: Driver) -> Watch:
    return Watch(driver.database, driver.redis, Settings(), ["default", "unserved"])


def settings(**chosen: Any) -> Settings:
    return Settings(alerts=AlertsSettings(watch=WatchSettings(**chosen)))


def keys(watch: Watch) -> list[str]:
    return [finding.key for finding in watch.findings()]


def serve(driver: Driver, queue: str = "default") -> None:
    """A worker is in the register."""
    driver.redis.sadd(f"rq:workers:{queue}", "rq:worker:somebody")


def wait(driver: Driver, job_id: str, milliseconds: int) -> None:
    """The job has been waiting for so long."""
    driver.alter(job_id, due_at_ms=driver.now_ms() - milliseconds)


def test_all_is_well_where_nobody_waits_too_long(driver: Driver, watch: Watch) -> None:
    assert keys(watch) == [], "nobody works, and nobody waits"
    serve(driver)
    wait(driver, driver.submit(), 4 * MINUTE_MS)
    driver.submit(delay_seconds=3_600)
    driver.start()
    assert keys(watch) == []


def test_jobs_that_wait_too_long_are_found_until_they_run(driver: Driver, watch: Watch) -> None:
    serve(driver)
    job_id = driver.submit()
    driver.submit()
    wait(driver, job_id, 6 * MINUTE_MS)
    (finding,) = watch.findings()
    assert (finding.key, finding.level) == ("condition:queue_oldest:default", logging.ERROR)
    assert finding.text.startswith("the oldest job of queue default waits for 360 s; 300 s are")
    driver.claim(job_id)
    assert keys(watch) == []


@on_sqlite
def test_a_queue_that_has_time_is_found_later(driver: Driver) -> None:
    serve(driver)
    wait(driver, driver.submit(), 6 * MINUTE_MS)
    for seconds, found in ((90.0, []), (60.0, ["condition:queue_oldest:default"])):
        aims = JobsSettings(queue_start_within_seconds={"default": seconds})
        assert keys(Watch(driver.database, driver.redis, Settings(jobs=aims), ["default"])) == found


def test_a_queue_that_nobody_serves_is_found_until_somebody_does(
    driver: Driver, watch: Watch
) -> None:
    wait(driver, driver.submit("unserved"), 10 * MINUTE_MS)
    (finding,) = watch.findings()
    assert (finding.key, finding.level) == ("condition:no_workers:unserved", logging.CRITICAL)
    assert finding.queue == "unserved"
    serve(driver, "unserved")
    assert keys(watch) == ["condition:queue_oldest:unserved"]


@pytest.fixture
def lonely(
    start_redis: Callable[[], RedisServer], tmp_path: Path
) -> Iterator[tuple[Watch, RedisServer, Path]]:
    """A watch over a Redis and a ledger of its own."""
    server, path = start_redis(), tmp_path / "ledger.db"
    database_settings = DatabaseSettings(url=SecretStr(f"sqlite:///{path}"))
    migrate(database_settings)
    database, redis = (
        open_database(database_settings),
        connect(RedisSettings(url=SecretStr(server.url))),
    )
    yield Watch(database, redis, settings(redis_memory_share=0.5), ["default"]), server, path
    redis.close()
    database.close()


def test_a_redis_that_is_away_or_full_is_found(lonely: tuple[Watch, RedisServer, Path]) -> None:
    watch, server, _ = lonely
    with server.stopped():
        assert keys(watch) == ["condition:redis_down"]
    assert keys(watch) == []
    with server.client() as client:
        client.config_set("maxmemory", "100mb")
        assert keys(watch) == []
        client.config_set("maxmemory", str(client.info("memory")["used_memory"] + 100_000))
        assert keys(watch) == ["condition:redis_memory"]
        client.acl_setuser("default", commands=["-info"], enabled=True)
        assert keys(watch) == [], "who may not know does not complain"


def test_a_ledger_that_is_away_is_found(
    lonely: tuple[Watch, RedisServer, Path], tmp_path: Path
) -> None:
    watch, _, path = lonely
    path.rename(tmp_path / "away")
    path.mkdir()
    assert keys(watch) == ["condition:database_down"]
    path.rmdir()
    (tmp_path / "away").rename(path)
    assert keys(watch) == []


@on_sqlite
def test_disks_that_run_full_are_found(driver: Driver, tmp_path: Path) -> None:
    def found(share: float, directory: Path) -> list[str]:
        chosen = settings(disk_share=share).model_copy(
            update={
                "logging": LoggingSettings(directory=str(directory)),
                "database": DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/ledger.db")),
            }
        )
        return keys(Watch(driver.database, driver.redis, chosen, []))

    assert found(1.0, tmp_path) == []
    assert found(1e-9, tmp_path) == ["condition:disk:logs", "condition:disk:ledger"]
    assert found(1e-9, tmp_path / "later") == ["condition:disk:ledger"]


@on_sqlite
def test_a_condition_is_told_at_its_second_sighting_and_then_at_every_interval(
    driver: Driver, watch: Watch, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    driver.submit()
    told = []
    for _ in range(8):  # looks, 5 s apart
        watch.look()
        told.append(len(caplog.records))
        clock.now += watch.look_seconds
    assert told == [0, 1, 1, 1, 2, 2, 2, 3]
    record = caplog.records[0]
    assert record.name == "jobresults.maintenance.watch"
    assert record.levelno == logging.CRITICAL
    assert vars(record)["alert_key"] == "condition:no_workers:default"
    assert vars(record)["alert_title"] == "No worker serves queue default, and jobs wait"
    assert vars(record)["alert_runbook"] == "no-workers"
    assert vars(record)["queue"] == "default"


@on_sqlite
def test_what_is_gone_at_the_next_look_is_not_told(
    driver: Driver, watch: Watch, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    driver.submit()
    for _ in range(3):
        watch.look()
        serve(driver)
        watch.look()
        driver.redis.delete("rq:workers:default")
    assert caplog.records == []
