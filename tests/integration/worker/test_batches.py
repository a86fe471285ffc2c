"""Jobs that one executor runs one after the other, and what keeps them from harming each other."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobresults.jobs.states import State
from tests.integration.driver import on_sqlite
from tests.integration.worker.odd_tasks import announced
from tests.integration.worker.service import Service, error, go
from tests.services.process import Process, eventually


def results(service: Service, ids: list[str]) -> list[Any]:
    """What these jobs have returned."""
    rows = [service.ended(job_id) for job_id in ids]
    assert {row.state for row in rows} == {State.SUCCEEDED}
    return [json.loads(row.result) for row in rows]


def get_going(service: Service) -> None:
    """The worker has seen so many quick jobs that it claims the next ones by the batch."""
    results(service, [service.submit("echo") for _ in range(60)])


@contextmanager
def standing_still(*workers: Process) -> Iterator[None]:
    """What is submitted within the block is taken all at once, after it."""
    for worker in workers:
        psutil.Process(worker.pid).suspend()
    yield
    for worker in workers:
        psutil.Process(worker.pid).resume()


def test_every_job_of_a_flood_is_run_once(service: Service) -> None:
    ids = [service.submit("echo", value=number) for number in range(300)]
    service.start("worker")
    service.start("worker")
    assert results(service, ids) == list(range(300))
    assert {service.row(job_id).attempt for job_id in ids} == {1}
    assert {tuple(service.driver.events(job_id)) for job_id in ids} == {
        ("submitted", "started", "succeeded")
    }


@on_sqlite
def test_quick_jobs_share_an_executor(service: Service) -> None:
    service.start("worker")
    ids = [service.submit("tells_its_process") for _ in range(50)]
    assert len(set(results(service, ids))) == 1


@on_sqlite
def test_what_waits_behind_a_long_job_is_run_by_another_worker(
    service: Service, tmp_path: Path
) -> None:
    first = service.start("worker")
    get_going(service)
    hold = tmp_path / "hold"
    hold.touch()
    with standing_still(first):
        long = service.submit("runs_beside", directory=str(tmp_path))
        behind = [service.submit("echo", value=number) for number in range(20)]
    service.reached(long, State.RUNNING)

    def waiting() -> list[str]:
        return [entry.partition("_")[0] for entry in service.driver.waiting()]

    # The worker may look at them again at any moment.
    eventually(lambda: waiting() == behind, "they wait in the queue, or again, in order")
    counted: Any = service.driver.redis.keys("rq:worker:*")
    assert not service.driver.redis.hexists(counted[0], "failed_job_count"), "nothing has failed"
    later = service.submit("echo", value="later")
    service.start("worker")
    assert results(service, [*behind, later]) == [*range(20), "later"]
    assert {service.row(job_id).attempt for job_id in behind} == {1}, "they had not begun"
    assert service.row(long).state == State.RUNNING
    hold.unlink()
    assert results(service, [long]) == ["ran"]


@on_sqlite
def test_an_executor_killed_in_a_batch_costs_the_running_job_its_attempt_alone(
    service: Service, tmp_path: Path
) -> None:
    worker = service.start("worker")
    get_going(service)
    with standing_still(worker):
        victim = service.submit("runs_until_told", directory=str(tmp_path))
        behind = [service.submit("tells_its_process") for _ in range(10)]
    eventually(lambda: announced(tmp_path), "the executor runs")
    os.kill(announced(tmp_path)[0], signal.SIGKILL)
    after = results(service, behind)
    assert announced(tmp_path)[0] not in after
    assert {service.row(job_id).attempt for job_id in behind} == {1}
    assert service.driver.events(victim)[2] == "retried"
    go(tmp_path)
    service.start("maintenance")
    assert results(service, [victim]) == [2]


@on_sqlite
def test_an_executor_is_replaced_after_so_many_jobs(service: Service) -> None:
    service.start("worker", {"WORKER__EXECUTOR_MAX_JOBS": "10"})
    ids = [service.submit("tells_its_process") for _ in range(35)]
    found = results(service, ids)
    assert [found.count(pid) for pid in dict.fromkeys(found)] == [10, 10, 10, 5]


@on_sqlite
def test_an_executor_that_has_used_much_memory_is_replaced(service: Service) -> None:
    service.start("worker", {"WORKER__EXECUTOR_MAX_RSS_MIB": "300"})
    first, second, third = (
        results(service, [service.submit("uses_memory", mebibytes=size)])[0] for size in (1, 400, 1)
    )
    assert (first == second, second == third) == (True, False)


@on_sqlite
def test_an_executor_with_a_process_left_behind_is_replaced_and_the_process_ended(
    service: Service,
) -> None:
    service.start("worker")
    first, second = (results(service, [service.submit("leaves_a_process")])[0] for _ in range(2))
    assert first != second
    eventually(lambda: group_of(first) == [], "what was left is gone")


def group_of(leader: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def test_an_isolated_task_has_a_process_for_each_job(shared_service: Service) -> None:
    ids = [shared_service.submit("tells_its_own_process") for _ in range(10)]
    assert len(set(results(shared_service, ids))) == 10


@on_sqlite
def test_what_an_isolated_task_changes_in_its_process_is_gone_with_it(
    shared_service: Service,
) -> None:
    ids = [shared_service.submit("spoils_its_process") for _ in range(3)]
    assert results(shared_service, ids) == [[], [], []]
    assert error(shared_service.run("never_ends"))["code"] == "timeout", "alarms are heard"


@on_sqlite
def test_a_task_that_closes_the_executors_pipes_fails_alone(shared_service: Service) -> None:
    failed = error(shared_service.run("closes_everything"))
    assert failed["code"] == "executor_killed"
    assert shared_service.run("echo", value=1).state == State.SUCCEEDED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@on_sqlite
def test_no_process_is_left_of_a_worker(service: Service, number: signal.Signals) -> None:
    worker = service.start("worker")
    results(service, [service.submit("echo")])
    family = psutil.Process(worker.pid).children(recursive=True)
    assert family
    worker.stop(number)
    eventually(lambda: not any(each.is_running() for each in family), "all are gone")
