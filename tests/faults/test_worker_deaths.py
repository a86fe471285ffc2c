"""Workers that die or fall asleep in the middle of a job: another one does it, and only one
outcome counts.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
import pytest

from jobresults.settings import MaintenanceSettings, WorkerSettings
from tests.faults.conftest import MODULES, Effects, OwnStack
from tests.faults.workers import (
    await_heartbeats,
    executor_of,
    is_gone,
    kill_alone,
    lines_about,
    running_worker,
    story,
    waits_for_work,
    worker_of,
)
from tests.services.ledger import SQLITE
from tests.services.process import Process, eventually
from tests.services.stack import Shape, Stack

TAKEN_OVER = ["submitted", "started", "requeued", "dispatched", "started", "succeeded"]
RECOVERY_SECONDS = 20

on_sqlite = pytest.mark.parametrize("ledger", [SQLITE], indirect=True)


def start_job(stack: Stack, effects: Effects, gate: Path) -> str:
    """The id of a job that has had its effect and goes on until the gate is there."""
    job_id = stack.submit("leaves_a_mark", effects.params(gate))
    eventually(lambda: job_id in effects.by_job, "the job has its effect")
    return job_id


def assert_second_attempt_counts(stack: Stack, effects: Effects, job_id: str) -> None:
    job = stack.ended(job_id)
    assert (job["state"], job["result"]) == ("succeeded", 2)
    assert effects.by_job[job_id] == [1, 2]
    assert story(stack, job_id) == TAKEN_OVER


def stop_and_take_over(
    stack: Stack, effects: Effects, job_id: str, sleeper: Process
) -> psutil.Process:
    """Freeze the worker, but not its executor, until another runs its job. Gives the executor."""
    executor = executor_of(sleeper)
    psutil.Process(sleeper.pid).suspend()
    eventually(lambda: effects.by_job[job_id] == [1, 2], "another worker runs the job")
    return executor


def test_row_7_worker_killed_in_mid_job(bare_stack: Stack, effects: Effects, gate: Path) -> None:
    """Row 7: run again, with one outcome.

    Red without `lost_workers.take_over_expired_leases`. Stock RQ lets the orphan run on and starts
    the second copy minutes later, if at all.
    """
    with running_worker(bare_stack) as first, running_worker(bare_stack) as second:
        job_id = start_job(bare_stack, effects, gate)
        name = worker_of(bare_stack, job_id)
        victim = next(worker for worker in (first, second) if name in worker.log(1_000))
        kill_alone(victim)
        eventually(lambda: effects.by_job[job_id] == [1, 2], "the job runs again")
        gate.touch()
        assert_second_attempt_counts(bare_stack, effects, job_id)


def test_row_7_with_the_leases_of_production(
    own_stack: OwnStack, effects: Effects, gate: Path
) -> None:
    """Row 7: with the default lease, killed right after a heartbeat, it runs again within 20 s."""
    settings = {
        "WORKER__LEASE_SECONDS": str(WorkerSettings().lease_seconds),
        "WORKER__HEARTBEAT_SECONDS": str(WorkerSettings().heartbeat_seconds),
        "MAINTENANCE__SWEEP_SECONDS": str(MaintenanceSettings().sweep_seconds),
        "MAINTENANCE__DISPATCH_LOST_AFTER_SECONDS": str(
            MaintenanceSettings().dispatch_lost_after_seconds
        ),
    }
    with own_stack(Shape(workers=0, settings=settings)) as stack, running_worker(stack) as first:
        job_id = start_job(stack, effects, gate)
        with running_worker(stack):
            await_heartbeats(stack, job_id, 1)
            kill_alone(first)
            eventually(
                lambda: effects.by_job[job_id] == [1, 2],
                "the job runs again",
                within_seconds=RECOVERY_SECONDS,
            )
            gate.touch()
            assert_second_attempt_counts(stack, effects, job_id)


@on_sqlite
def test_row_8_worker_parent_killed(bare_stack: Stack, effects: Effects, gate: Path) -> None:
    """Row 8: no orphan works on.

    Red without `prctl(PR_SET_PDEATHSIG)` in the executor and without `Guard`; RQ's work horse lives
    on.
    """
    with running_worker(bare_stack) as worker:
        job_id = start_job(bare_stack, effects, gate)
        executor = executor_of(worker)
        kill_alone(worker)
        eventually(lambda: is_gone(executor), "the executor is dead", within_seconds=1)
    with running_worker(bare_stack):
        gate.touch()
        assert_second_attempt_counts(bare_stack, effects, job_id)


@on_sqlite
@pytest.mark.parametrize("task", ["starts_a_program", "starts_a_program_isolated"])
def test_row_8_what_a_task_has_started_ends_with_the_worker(
    bare_stack: Stack, tmp_path: Path, task: str
) -> None:
    """Row 8: programs that a task has started do not work on either.

    Red without `Guard`: the kernel's death signal reaches the executor alone.
    """
    told = tmp_path / "pid"
    with running_worker(bare_stack) as worker:
        bare_stack.submit(task, {"told": str(told)}, max_attempts=1)
        eventually(lambda: told.exists() and told.read_text(), "the program runs")
        program = psutil.Process(int(told.read_text()))
        time.sleep(0.3)  # the guard learns of a process forked for one job within a tick
        kill_alone(worker)
        eventually(lambda: is_gone(program), "the program is dead", within_seconds=2)


@on_sqlite
def test_row_8_without_the_kernels_help(bare_stack: Stack, effects: Effects, gate: Path) -> None:
    """Row 8: where the system knows no death signal, the guard ends the executor."""
    settings = {"TASKS__MODULES": json.dumps([*MODULES, "tests.faults.no_death_signal"])}
    with running_worker(bare_stack, settings) as worker:
        start_job(bare_stack, effects, gate)
        executor = executor_of(worker)
        kill_alone(worker)
        eventually(lambda: is_gone(executor), "the executor is dead", within_seconds=2)
        gate.touch()


def test_row_15_zombie_worker_wakes_with_a_result(
    bare_stack: Stack, effects: Effects, tmp_path: Path
) -> None:
    """Row 15: what a worker brings after its lease is refused, and it works on.

    Red if `running.fenced` does not ask for the epoch: its result ends the attempt of the other.
    """
    gate = tmp_path / "gate"
    params = {"path": str(effects.path), "gate": str(gate)}
    with running_worker(bare_stack) as sleeper:
        job_id = bare_stack.submit("waits_at_its_gate", params)
        eventually(lambda: job_id in effects.by_job, "the job runs")
        with running_worker(bare_stack):
            executor = stop_and_take_over(bare_stack, effects, job_id, sleeper)
            Path(f"{gate}1").touch()
            eventually(lambda: waits_for_work(executor), "the sleeper's executor has its result")
            psutil.Process(sleeper.pid).resume()
            eventually(lambda: lines_about(sleeper, job_id, "WARNING"), "it is refused")
            assert "outcome refused" in lines_about(sleeper, job_id, "WARNING")[-1]
            assert bare_stack.job(job_id)["state"] == "running"
            Path(f"{gate}2").touch()
            assert_second_attempt_counts(bare_stack, effects, job_id)
        assert bare_stack.job(bare_stack.run("echo"))["state"] == "succeeded"


def test_row_15_zombie_worker_wakes_in_mid_job(
    bare_stack: Stack, effects: Effects, gate: Path
) -> None:
    """Row 15: a worker that finds its job at another stops its own executor.

    Red if `running.cancel_requested` does not ask for the epoch: both run to the end.
    """
    with running_worker(bare_stack) as sleeper:
        job_id = start_job(bare_stack, effects, gate)
        with running_worker(bare_stack):
            executor = stop_and_take_over(bare_stack, effects, job_id, sleeper)
            assert not is_gone(executor)
            psutil.Process(sleeper.pid).resume()
            eventually(lambda: is_gone(executor), "the sleeper's executor is stopped")
            gate.touch()
            assert_second_attempt_counts(bare_stack, effects, job_id)
        assert bare_stack.job(bare_stack.run("echo"))["state"] == "succeeded"
