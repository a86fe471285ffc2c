"""What is lost with a worker, Redis or the ledger, and what is not."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from jobresults.database import migrate
from jobresults.jobs.states import State, WaitingOn
from jobresults.settings import DatabaseSettings
from tests.integration.worker.odd_tasks import announced
from tests.integration.worker.service import Service, alive, running_service
from tests.services.ledger import SQLITE
from tests.services.postgresql_server import PostgresqlServer
from tests.services.process import Process, eventually
from tests.services.redis_server import RedisServer

on_sqlite = pytest.mark.parametrize("database_url", [SQLITE], indirect=True)
PATIENT = {"WORKER__SHUTDOWN_GRACE_SECONDS": "30"}


@pytest.fixture
def own_redis(start_redis: Callable[[], RedisServer]) -> RedisServer:
    """One that may be stopped."""
    return start_redis()


def runs_until_told(service: Service, directory: Path, *, attempt: int = 1) -> str:
    """The id of a job whose executor is known."""
    job_id = service.running("runs_until_told", directory=str(directory))
    eventually(lambda: len(announced(directory)) == attempt, "the executor runs")
    return job_id


def go(directory: Path) -> None:
    (directory / "go").touch()


def says(process: Process, words: str) -> None:
    eventually(lambda: words in process.log(1_000), f"it says {words!r}")


def registered_workers(service: Service) -> int:
    return int(service.driver.redis.scard("rq:workers"))  # type: ignore[arg-type]


def test_a_job_whose_worker_is_killed_runs_again(service: Service, tmp_path: Path) -> None:
    first = service.start("worker")
    service.start("maintenance")
    job_id = runs_until_told(service, tmp_path)
    first.send(signal.SIGKILL)
    eventually(lambda: not alive(tmp_path), "the executor has died with its worker")
    service.start("worker")
    eventually(lambda: len(announced(tmp_path)) == 2, "it runs again")
    go(tmp_path)
    row = service.ended(job_id)
    assert (row.state, row.result, row.attempt) == (State.SUCCEEDED, b"2", 2)
    assert service.driver.events(job_id) == [
        "submitted",
        "started",
        "requeued",
        "dispatched",
        "started",
        "succeeded",
    ]
    eventually(lambda: not service.driver.rq_hashes(), "no dispatch is left")
    assert not service.driver.redis.exists("rq:queue:default:intermediate")


@on_sqlite
def test_a_job_whose_worker_is_killed_in_its_last_attempt_fails(
    service: Service, gate: Path
) -> None:
    worker = service.start("worker")
    service.start("maintenance")
    job_id = service.running("waits_for_file", path=str(gate))
    worker.send(signal.SIGKILL)
    row = service.ended(job_id)
    assert (row.state, json.loads(row.error)["code"]) == (State.FAILED, "worker_lost")
    eventually(lambda: not service.driver.rq_hashes(), "no dispatch is left")


def test_a_worker_that_slept_over_its_lease_changes_nothing(
    service: Service, tmp_path: Path
) -> None:
    zombie = service.start("worker")
    service.start("maintenance")
    job_id = runs_until_told(service, tmp_path)
    psutil.Process(zombie.pid).suspend()
    service.start("worker")
    eventually(lambda: len(announced(tmp_path)) == 2, "another worker runs it")
    go(tmp_path)
    row = service.ended(job_id)
    psutil.Process(zombie.pid).resume()
    says(zombie, "went to another worker")
    assert (row.state, row.result) == (State.SUCCEEDED, b"2")
    assert service.row(job_id) == row
    job_id = service.submit("echo", value=1)
    assert service.ended(job_id).state == State.SUCCEEDED
    assert zombie.stop() == 0


@on_sqlite
def test_a_worker_told_to_stop_finishes_its_job_within_the_grace(
    service: Service, tmp_path: Path
) -> None:
    worker = service.start("worker", PATIENT)
    job_id = runs_until_told(service, tmp_path)
    waiting = service.submit("echo")
    worker.send(signal.SIGTERM)
    go(tmp_path)
    row = service.ended(job_id)
    assert (row.state, row.attempt) == (State.SUCCEEDED, 1)
    assert worker.end() == 0
    assert service.row(waiting).state == State.QUEUED, "it took no other"
    assert registered_workers(service) == 0


@on_sqlite
def test_a_job_beyond_the_grace_is_given_back_at_once(service: Service, tmp_path: Path) -> None:
    worker = service.start("worker", {"WORKER__LEASE_SECONDS": "600"})
    job_id = runs_until_told(service, tmp_path)
    worker.send(signal.SIGTERM)
    row = service.reached(job_id, State.QUEUED)
    assert (row.waiting_on, row.attempt) == (WaitingOn.WORKER, 0)
    assert service.driver.detail(job_id) == {"reason": "shutdown"}
    assert worker.end() == 0
    assert alive(tmp_path) == []
    service.start("maintenance")
    service.start("worker")
    go(tmp_path)
    row = service.ended(job_id)
    assert (row.state, row.result) == (State.SUCCEEDED, b"1")


@on_sqlite
def test_a_worker_told_twice_stops_at_once(service: Service, tmp_path: Path) -> None:
    worker = service.start("worker", PATIENT)
    job_id = runs_until_told(service, tmp_path)
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGINT)
    service.reached(job_id, State.QUEUED)
    assert worker.end() == 0


@on_sqlite
def test_an_idle_worker_stops_when_told(service: Service) -> None:
    worker = service.start("worker")
    says(worker, "serves queues default")
    eventually(lambda: registered_workers(service) == 1, "it is registered")
    assert worker.stop() == 0
    assert registered_workers(service) == 0


def test_what_redis_forgets_is_dispatched_again(service: Service, tmp_path: Path) -> None:
    worker = service.start("worker")
    service.start("maintenance")
    running = runs_until_told(service, tmp_path)
    queued = [service.submit("echo", value=number) for number in range(20)]
    service.driver.redis.flushall()
    go(tmp_path)
    for job_id in (running, *queued):
        row = service.ended(job_id)
        assert (row.state, row.attempt) == (State.SUCCEEDED, 1)
    assert worker.is_running
    eventually(lambda: registered_workers(service) == 1, "it is registered again")


@on_sqlite
def test_a_worker_outlives_its_redis(
    database_url: str, own_redis: RedisServer, tmp_path: Path
) -> None:
    with running_service(database_url, own_redis, tmp_path) as service:
        worker = service.start("worker")
        maintenance = service.start("maintenance")
        job_id = runs_until_told(service, tmp_path)
        own_redis.stop()
        go(tmp_path)
        row = service.ended(job_id)
        assert (row.state, row.result) == (State.SUCCEEDED, b"1"), "Redis is still away"
        while_away = service.submit("echo", value=2)
        says(worker, "Redis does not answer")
        own_redis.start()
        assert service.ended(while_away).state == State.SUCCEEDED
        assert service.run("echo", value=3).state == State.SUCCEEDED
        eventually(lambda: registered_workers(service) == 1, "it is registered again")
        assert (worker.stop(), maintenance.stop()) == (0, 0)


@pytest.mark.postgresql
def test_an_outcome_waits_for_the_ledger(
    start_postgresql: Callable[[], PostgresqlServer], redis_server: RedisServer, tmp_path: Path
) -> None:
    server = start_postgresql()
    with running_service(server.ledger(), redis_server, tmp_path) as service:
        worker = service.start("worker", {"WORKER__LEASE_SECONDS": "600"})
        maintenance = service.start("maintenance")
        job_id = runs_until_told(service, tmp_path)
        server.stop()
        go(tmp_path)
        says(worker, "is not recorded yet")
        says(maintenance, "trying again")
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
