"""What becomes of executors, and of what their tasks have started."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobresults.jobs.states import State
from tests.integration.driver import on_sqlite
from tests.integration.worker.odd_tasks import announced
from tests.integration.worker.service import Service, alive, error, log_lines
from tests.services.process import eventually

pytestmark = on_sqlite


@pytest.mark.parametrize("task", ["never_ends", "swallows_its_timeout", "computes_in_c"])
def test_a_job_without_end_is_stopped(shared_service: Service, task: str) -> None:
    row = shared_service.run(task)
    assert error(row)["code"] == "timeout"
    assert error(row)["detail"].startswith("The attempt was stopped after 0.")


def test_a_timeout_does_not_tear_what_a_task_says(shared_service: Service) -> None:
    assert error(shared_service.run("interrupted_while_it_talks"))["code"] == "timeout"


def test_a_job_whose_executor_is_killed_is_tried_again(shared_service: Service) -> None:
    row = shared_service.run("is_killed")
    assert error(row)["code"] == "executor_killed"
    assert "was killed by SIGKILL (often: out of memory)" in error(row)["detail"]
    assert row.attempt == 2


@pytest.mark.parametrize(
    ("how", "detail"),
    [
        ("os._exit", "The executor left with exit status 3; it used"),
        ("sys.exit", "SystemExit: enough"),
    ],
)
def test_a_task_that_leaves_the_interpreter_has_failed(
    shared_service: Service, how: str, detail: str
) -> None:
    assert error(shared_service.run("exits", how=how))["detail"].startswith(detail)


def test_threads_of_a_task_may_all_log(shared_service: Service) -> None:
    row = shared_service.run("logs_from_threads", threads=8, lines=4)
    assert (row.state, row.result) == (State.SUCCEEDED, b"32")
    lines = log_lines(shared_service, row.id)
    assert {len(line["message"]) for line in lines[:-1]} == {20_016}
    assert lines[-1]["message"].startswith("log limit of this job reached")


@pytest.mark.parametrize("ending", ["returned", "killed"])
def test_what_a_task_has_started_ends_with_it(
    shared_service: Service, tmp_path: Path, ending: str
) -> None:
    shared_service.run("starts_children", directory=str(tmp_path), ending=ending)
    assert len(announced(tmp_path)) == 2
    eventually(lambda: not alive(tmp_path), "the children are gone")


def test_what_a_canceled_task_has_started_ends_with_it(
    shared_service: Service, tmp_path: Path
) -> None:
    job_id = shared_service.running("starts_children", directory=str(tmp_path), ending="waiting")
    eventually(lambda: len(alive(tmp_path)) == 2, "the children run")
    shared_service.driver.cancel(job_id)
    assert shared_service.ended(job_id).state == State.CANCELED
    eventually(lambda: not alive(tmp_path), "the children are gone")


def test_a_task_may_stop_by_itself_when_it_is_canceled(
    shared_service: Service, tmp_path: Path
) -> None:
    job_id = shared_service.running("stops_when_asked", directory=str(tmp_path))
    assert shared_service.driver.cancel(job_id) == State.RUNNING
    row = shared_service.ended(job_id)
    assert (row.state, row.result) == (State.CANCELED, None)
    assert (tmp_path / "cleaned").exists()


def test_a_task_that_does_not_stop_when_it_is_canceled_is_killed(
    shared_service: Service, tmp_path: Path
) -> None:
    job_id = shared_service.running("runs_until_told", directory=str(tmp_path))
    eventually(lambda: alive(tmp_path), "the executor runs")
    shared_service.driver.cancel(job_id)
    row = shared_service.ended(job_id)
    assert (row.state, row.attempt) == (State.CANCELED, 1)
    assert alive(tmp_path) == []
    assert shared_service.driver.events(job_id) == [
        "submitted",
        "started",
        "cancel_requested",
        "canceled",
    ]
