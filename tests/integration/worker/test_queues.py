"""Worker processes: what turns, limits and pauses come to."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

from jobresults.jobs import queues, reading
from jobresults.jobs.states import State, WaitingOn
from jobresults.jobs.visibility import EVERYTHING
from tests.integration.driver import on_sqlite
from tests.integration.worker.service import Service
from tests.services.process import eventually


def submit_many(service: Service, count: int, **members: str) -> list[str]:
    return [service.driver.submit("echo", {"value": n}, **members) for n in range(count)]


def test_a_single_job_overtakes_anothers_many(service: Service, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = service.driver.submit("waits_for_file", {"path": str(gate)}, customer="ann")
    many = submit_many(service, 300, customer="ann")
    service.start("worker")
    service.reached(first, State.RUNNING)
    single = service.driver.submit("echo", customer="bob")
    gate.touch()
    for job_id in (*many, single):
        service.ended(job_id)
    rows = {row.id: row for row in service.driver.rows()}
    assert {rows[job_id].state for job_id in many} == {State.SUCCEEDED}
    before = sum(rows[job_id].started_at_ms < rows[single].started_at_ms for job_id in many)
    assert before <= 20  # the list's four, and what was claimed ahead with them
    assert service.driver.waiting() == []


def test_a_customers_limit_holds_over_all_workers(service: Service, tmp_path: Path) -> None:
    limit = {"LIMITS__MAX_RUNNING_PER_CUSTOMER": "1"}
    for _ in range(3):
        service.start("worker", limit)
    gate = tmp_path / "gate"
    path = str(tmp_path / "marks")
    task = ("leaves_a_mark", {"path": path, "gate": str(gate)})
    ids = [service.driver.submit(*task, customer="ann") for _ in range(3)]
    eventually(
        lambda: (
            sorted(str(service.row(job_id).waiting_on) for job_id in ids)
            == ["None", "customer_limit", "customer_limit"]
        ),
        "one runs and two are held",
    )
    other = service.driver.submit("echo", customer="bob")
    service.ended(other)
    assert len(Path(path).read_text().splitlines()) == 1
    gate.touch()
    rows = [service.ended(job_id) for job_id in ids]
    stretches = sorted((row.started_at_ms, row.ended_at_ms) for row in rows)
    assert all(ended <= started for (_, ended), (started, _) in pairwise(stretches))


@on_sqlite
def test_no_job_of_a_paused_queue_is_started_until_it_is_resumed(
    service: Service, tmp_path: Path
) -> None:
    workers = [service.start("worker") for _ in range(2)]
    gate = tmp_path / "gate"
    busy = service.driver.submit("waits_for_file", {"path": str(gate)})
    service.reached(busy, State.RUNNING)
    assert queues.pause(service.database, "default", "ops")
    assert not queues.pause(service.database, "default", "ops")
    time.sleep(1)
    ids = submit_many(service, 10)
    workers.append(service.start("worker"))  # a new one knows it too
    gate.touch()  # what runs goes on
    service.ended(busy)
    eventually(lambda: service.registered_workers == 3, "all workers are there")
    time.sleep(1)
    assert {service.row(job_id).state for job_id in ids} == {State.QUEUED}
    record = reading.get(service.database, ids[0], EVERYTHING)
    assert record.waiting_on == WaitingOn.QUEUE_PAUSED
    assert queues.resume(service.database, "default", "ops")
    assert {service.ended(job_id).attempt for job_id in ids} == {1}
    assert not queues.resume(service.database, "default", "ops")


@on_sqlite
def test_what_a_worker_has_claimed_ahead_goes_back_when_its_queue_is_paused(
    service: Service, tmp_path: Path
) -> None:
    naps = tmp_path / "naps"
    queues.pause(service.database, "default", "ops")
    quick = submit_many(service, 200)  # after these it claims many ahead
    ids = [service.driver.submit("naps", {"path": str(naps)}) for _ in range(100)]
    service.start("worker")
    eventually(lambda: service.registered_workers == 1, "the worker is there")
    queues.resume(service.database, "default", "ops")
    for job_id in quick:
        service.ended(job_id)
    eventually(naps.exists, "the first nap has begun")
    queues.pause(service.database, "default", "ops")
    time.sleep(1)
    before = naps.stat().st_size
    time.sleep(0.5)
    assert naps.stat().st_size == before
    assert {service.row(job_id).state for job_id in ids[-20:]} == {State.QUEUED}
    queues.resume(service.database, "default", "ops")
    assert {service.ended(job_id).attempt for job_id in ids} == {1}
