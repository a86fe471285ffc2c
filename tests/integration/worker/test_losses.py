"""What is lost with a worker, and what is not."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil

from jobresults.jobs.states import State, WaitingOn
from tests.integration.driver import on_postgresql, on_sqlite
from tests.integration.worker.odd_tasks import announced
from tests.integration.worker.service import Service, alive, go, says
from tests.services.process import eventually

PATIENT = {"WORKER__SHUTDOWN_GRACE_SECONDS": "30"}


def test_a_job_whose_worker_is_killed_runs_again(service: Service, tmp_path: Path) -> None:
    first = service.start("worker")
    service.start("maintenance")
    job_id = service.runs_until_told(tmp_path)
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


@on_postgresql
def test_a_worker_that_slept_over_its_lease_changes_nothing(
    service: Service, tmp_path: Path
) -> None:
    zombie = service.start("worker")
    service.start("maintenance")
    job_id = service.runs_until_told(tmp_path)
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
    job_id = service.runs_until_told(tmp_path)
    waiting = service.submit("echo")
    worker.send(signal.SIGTERM)
    go(tmp_path)
    row = service.ended(job_id)
    assert (row.state, row.attempt) == (State.SUCCEEDED, 1)
    assert worker.end() == 0
    assert service.row(waiting).state == State.QUEUED, "it took no other"
    assert service.registered_workers == 0


@on_sqlite
def test_a_job_beyond_the_grace_is_given_back_at_once(service: Service, tmp_path: Path) -> None:
    worker = service.start("worker", {"WORKER__LEASE_SECONDS": "600"})
    job_id = service.runs_until_told(tmp_path)
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
    job_id = service.runs_until_told(tmp_path)
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGINT)
    service.reached(job_id, State.QUEUED)
    assert worker.end() == 0


@on_sqlite
def test_an_idle_worker_stops_when_told(service: Service) -> None:
    worker = service.start("worker")
    says(worker, "serves queues default")
    eventually(lambda: service.registered_workers == 1, "it is registered")
    assert worker.stop() == 0
    assert service.registered_workers == 0
