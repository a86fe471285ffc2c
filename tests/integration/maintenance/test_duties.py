"""What maintenance does, again and again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from jobresults.errors import LedgerUnavailable, RedisUnavailable, Unavailable
from jobresults.jobs.states import State
from jobresults.maintenance.duties import Duty, duties_of
from jobresults.settings import MaintenanceSettings, Settings
from jobresults.telemetry.outages import Outages
from tests.integration.driver import Driver, on_postgresql, on_sqlite
from tests.integration.worker.service import Service, running_service, says
from tests.services.postgresql_server import PostgresqlServer
from tests.services.process import eventually
from tests.services.redis_server import RedisServer

LONG_AGO_MS = 1


@pytest.fixture
def sweep(driver: Driver) -> Callable[[], None]:
    """Does every duty once, in bites of two."""
    settings = Settings(maintenance=MaintenanceSettings(batch_size=2))
    duties = duties_of(driver.database, driver.redis, settings, ["default", "unserved"])

    def run() -> None:
        for duty in duties:
            duty.run()

    return run


def test_jobs_of_lost_workers_are_dispatched_again_in_the_same_sweep(
    driver: Driver, sweep: Callable[[], None]
) -> None:
    ids = [driver.start().id for _ in range(5)]
    for job_id in ids:
        driver.alter(job_id, lease_until_ms=LONG_AGO_MS)
    driver.redis.delete("rq:queue:default")
    sweep()
    assert sorted(driver.waiting()) == [f"{job_id}_2" for job_id in ids]


def test_all_that_is_due_is_dispatched(driver: Driver, sweep: Callable[[], None]) -> None:
    for _ in range(5):
        driver.submit(run_at_ms=LONG_AGO_MS)
    sweep()
    assert len(driver.waiting()) == 5


def test_all_that_was_lost_is_dispatched_again_in_every_queue(
    driver: Driver, sweep: Callable[[], None]
) -> None:
    for task in ("echo", "unserved") * 3:
        driver.alter(driver.submit(task), dispatched_at_ms=LONG_AGO_MS)
    driver.redis.flushall()
    sweep()
    assert (len(driver.waiting()), len(driver.waiting("unserved"))) == (3, 3)


def test_a_sweep_changes_nothing_where_all_is_well(
    driver: Driver, sweep: Callable[[], None]
) -> None:
    driver.start()
    driver.submit()
    driver.submit(delay_seconds=3_600)
    driver.end(State.SUCCEEDED)
    before, waiting = driver.rows(), driver.waiting()
    sweep()
    assert driver.rows() == before
    assert set(driver.waiting()) <= set(waiting)
    assert driver.rq_id(before[1].id) in driver.waiting()


def test_all_that_is_over_is_forgotten(driver: Driver, sweep: Callable[[], None]) -> None:
    ids = [driver.end(State.SUCCEEDED) for _ in range(5)]
    for job_id in ids:
        driver.alter(job_id, expires_at_ms=LONG_AGO_MS)
    sweep()
    assert all(driver.row(job_id).result is None for job_id in ids)
    for job_id in ids:
        driver.alter(job_id, expired_at_ms=LONG_AGO_MS)
    sweep()
    assert driver.rows() == []


def test_rq_forgets_dead_workers_and_their_executions(
    driver: Driver, sweep: Callable[[], None]
) -> None:
    driver.redis.sadd("rq:workers", "rq:worker:dead", "rq:worker:alive")
    driver.redis.sadd("rq:workers:default", "rq:worker:dead", "rq:worker:alive")
    driver.redis.hset("rq:worker:alive", "birth", "2024-01-01T00:00:00Z")
    driver.redis.zadd("rq:wip:default", {"over:1": 1, "running:1": time.time() + 60})
    sweep()
    assert driver.redis.smembers("rq:workers") == {b"rq:worker:alive"}
    assert driver.redis.smembers("rq:workers:default") == {b"rq:worker:alive"}
    assert driver.redis.zrange("rq:wip:default", 0, -1) == [b"running:1"]


@pytest.mark.parametrize(
    "failure", [LedgerUnavailable("away"), RedisUnavailable("away"), ZeroDivisionError("oops")]
)
def test_a_duty_that_fails_is_told_and_tried_again(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise failure

    duty, outages = Duty("sweeping", 0.0, fail), Outages({})
    duty.run_if_due(outages)
    duty.run_if_due(outages)
    assert len(calls) == 2
    assert str(failure) in caplog.text
    broken = isinstance(failure, ZeroDivisionError)
    assert ("sweeping" in caplog.text) is broken
    assert caplog.records[0].levelno == (logging.ERROR if broken else logging.WARNING)


def test_a_duty_is_not_done_before_its_time() -> None:
    calls: list[int] = []
    duty = Duty("sweeping", 3_600.0, lambda: calls.append(1))
    duty.run_if_due(Outages({}))
    duty.run_if_due(Outages({}))
    assert calls == [1]


def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    away = {"ledger": True, "redis": True}

    def ask(name: str, error: type[Unavailable]) -> None:
        if away[name]:
            raise error(f"{name} is away")

    probes = {
        LedgerUnavailable: partial(ask, "ledger", LedgerUnavailable),
        RedisUnavailable: partial(ask, "redis", RedisUnavailable),
    }
    outages = Outages(probes)
    duties = [Duty(str(number), 0.0, probe) for number in range(3) for probe in probes.values()]

    def sweep() -> list[str]:
        with caplog.at_level(logging.INFO):
            for duty in duties:
                duty.run_if_due(outages)
            outages.look()
        said = list(caplog.messages)
        caplog.clear()
        return said

    assert sweep() == [
        "the ledger does not answer, and what needs it waits: ledger is away",
        "Redis does not answer, and what needs it waits: redis is away",
    ]
    assert sweep() == sweep() == []
    away["redis"] = False
    assert [line.partition(" after")[0] for line in sweep()] == ["Redis answers again"]
    away["ledger"] = False
    assert [line.partition(" after")[0] for line in sweep()] == ["the ledger answers again"]
    assert sweep() == []
    away["ledger"] = True
    assert len(sweep()) == 1


@on_sqlite
def test_maintenance_stops_when_told(service: Service) -> None:
    process = service.start("maintenance")
    says(process, "maintenance watches queues default, unserved")
    assert process.stop() == 0


@pytest.mark.postgresql
def test_maintenance_waits_for_what_is_away(
    start_postgresql: Callable[[], PostgresqlServer],
    start_redis: Callable[[], RedisServer],
    tmp_path: Path,
) -> None:
    server, redis = start_postgresql(), start_redis()
    with running_service(server.ledger(), redis, tmp_path) as service:
        job_id = service.driver.submit(run_at_ms=LONG_AGO_MS)
        server.stop()
        redis.stop()
        process = service.start("maintenance", {"DATABASE__CONNECT_TIMEOUT_SECONDS": "2"})
        says(process, "the ledger does not answer")
        says(process, "Redis does not answer")
        says(process, "maintenance.watch: database")  # it looks twice, so duties have met it often
        server.start()
        redis.start()
        eventually(lambda: service.driver.waiting() == [f"{job_id}_1"], "it is dispatched")
        says(process, "the ledger answers again")
        says(process, "Redis answers again")
        assert process.stop() == 0
        told = process.log(1_000)
        assert told.count("the ledger does not answer") == 1
        assert told.count("Redis does not answer") == 1


@on_postgresql
def test_many_maintenance_processes_do_not_get_in_each_others_way(service: Service) -> None:
    ids = [service.driver.submit(run_at_ms=LONG_AGO_MS) for _ in range(100)]
    processes = [service.start("maintenance") for _ in range(3)]
    eventually(lambda: len(service.driver.waiting()) == 100, "all are dispatched")
    assert sorted(service.driver.waiting()) == [f"{job_id}_1" for job_id in ids]
    for process in processes:
        says(process, "maintenance watches")  # before, SIGTERM would meet Python starting up
    assert [process.stop() for process in processes] == [0, 0, 0]
    assert all(service.driver.events(job_id) == ["submitted", "dispatched"] for job_id in ids)
