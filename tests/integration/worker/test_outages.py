"""What is lost with Redis, the ledger or a rolling deployment, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from jobresults.jobs.states import State
from jobresults.schema import migrate
from jobresults.settings import DatabaseSettings
from tests.integration.driver import on_sqlite
from tests.integration.worker.service import SUSPICIOUS, Service, go, running_service, says
from tests.services.postgresql_server import PostgresqlServer
from tests.services.process import eventually
from tests.services.redis_server import RedisServer


@on_sqlite
def test_what_redis_forgets_is_dispatched_again(service: Service, tmp_path: Path) -> None:
    worker = service.start("worker")
    service.start("maintenance", SUSPICIOUS)
    running = service.runs_until_told(tmp_path)
    queued = [service.submit("echo", value=number) for number in range(20)]
    service.driver.redis.flushall()
    go(tmp_path)
    for job_id in (running, *queued):
        row = service.ended(job_id)
        assert (row.state, row.attempt) == (State.SUCCEEDED, 1)
    assert worker.is_running
    eventually(lambda: service.registered_workers == 1, "it is registered again")


@on_sqlite
def test_a_worker_outlives_its_redis(
    database_url: str, start_redis: Callable[[], RedisServer], tmp_path: Path
) -> None:
    own_redis = start_redis()
    with running_service(database_url, own_redis, tmp_path) as service:
        worker = service.start("worker")
        maintenance = service.start("maintenance", SUSPICIOUS)
        job_id = service.runs_until_told(tmp_path)
        own_redis.stop()
        go(tmp_path)
        row = service.ended(job_id)
        assert (row.state, row.result) == (State.SUCCEEDED, b"1"), "Redis is still away"
        while_away = service.submit("echo", value=2)
        says(worker, "Redis does not answer")
        own_redis.start()
        assert service.ended(while_away).state == State.SUCCEEDED
        assert service.run("echo", value=3).state == State.SUCCEEDED
        eventually(lambda: service.registered_workers == 1, "it is registered again")
        assert (worker.stop(), maintenance.stop()) == (0, 0)


@pytest.mark.postgresql
def test_an_outcome_waits_for_the_ledger(
    start_postgresql: Callable[[], PostgresqlServer], redis_server: RedisServer, tmp_path: Path
) -> None:
    server = start_postgresql()
    with running_service(server.ledger(), redis_server, tmp_path) as service:
        worker = service.start("worker", {"WORKER__LEASE_SECONDS": "600"})
        maintenance = service.start("maintenance")
        job_id = service.runs_until_told(tmp_path)
        server.stop()
        go(tmp_path)
        says(worker, "is not recorded yet")
        says(maintenance, "the ledger does not answer")
        server.start()
        row = service.ended(job_id)
        assert (row.state, row.attempt) == (State.SUCCEEDED, 1)
        assert service.run("echo").state == State.SUCCEEDED


@on_sqlite
def test_workers_of_several_queues_serve_them_all(service: Service) -> None:
    service.start("worker", {"WORKER__QUEUES": '["default", "unserved"]'})
    assert service.run("unserved", value=1).state == State.SUCCEEDED
    assert service.run("echo", value=1).state == State.SUCCEEDED


@on_sqlite
def test_a_job_of_a_task_that_only_newer_workers_know_waits_for_one(service: Service) -> None:
    older = service.start("worker", {"TASKS__MODULES": '["jobresults.tasks.score"]'})
    job_id = service.submit("echo", value=1)
    says(older, f"job {job_id} waits for a worker that knows task 'echo'")
    row = service.row(job_id)
    assert (row.state, row.attempt) == (State.QUEUED, 0)
    older.stop()
    service.driver.alter(job_id, due_at_ms=1)
    service.start("maintenance")
    service.start("worker")
    assert service.ended(job_id).state == State.SUCCEEDED


def test_a_worker_waits_for_the_schema(
    redis_server: RedisServer, empty_database: Callable[[str], str], tmp_path: Path
) -> None:
    url = empty_database("sqlite")
    with running_service(url, redis_server, tmp_path) as service:
        waiting, stopped = service.start("worker"), service.start("worker")
        says(waiting, "waiting to start: ")
        says(stopped, "waiting to start: ")
        assert stopped.stop() == 0
        migrate(DatabaseSettings(url=SecretStr(url)))
        assert service.run("echo").state == State.SUCCEEDED
