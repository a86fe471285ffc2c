"""What becomes of executors, and of what their tasks have started."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobresults.jobs.states import State
from tests.integration.worker.odd_tasks import announced
from tests.integration.worker.service import Service, alive, error, log_lines
from tests.services.ledger import SQLITE
from tests.services.process import eventually

pytestmark = pytest.mark.parametrize("database_url", [SQLITE], indirect=True)


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


@pytest.mark.parametrize("task", ["returns_an_object", "returns_nan", "returns_the_wrong_type"])
def test_a_result_without_a_json_form_fails_the_job_for_good(
    shared_service: Service, task: str
) -> None:
    row = shared_service.run(task)
    assert error(row)["code"] == "result_not_serializable"
    assert error(row)["detail"].startswith(f"task '{task}' returned ")
    assert row.attempt == 1


def test_a_large_result_arrives_whole(shared_service: Service) -> None:
    row = shared_service.run("returns_much", size=1_500_000)
    assert len(row.result) == 1_500_002


def test_a_result_over_the_limit_fails_the_job_for_good(shared_service: Service) -> None:
    row = shared_service.run("returns_much", size=2_000_000)
    assert error(row)["code"] == "result_too_large"
    assert error(row)["detail"] == "The result has 2000002 bytes; the limit is 2000000."
    assert row.attempt == 1


def test_parameters_that_do_not_fit_any_more_fail_the_job_for_good(
    shared_service: Service,
) -> None:
    job_id = shared_service.driver.submit("echo", delay_seconds=3_600)
    shared_service.driver.alter(job_id, params=b'{"valeu": 1}', due_at_ms=1)
    row = shared_service.ended(job_id)
    assert error(row)["code"] == "params_invalid"
    assert "params.valeu" in error(row)["detail"]
    assert row.attempt == 1


def test_progress_and_log_lines_are_kept_with_the_job(shared_service: Service, gate: Path) -> None:
    job_id = shared_service.running("waits_for_file", path=str(gate))
    eventually(lambda: shared_service.row(job_id).progress_message == "waiting", "it reports")
    eventually(lambda: log_lines(shared_service, job_id), "its words are there while it runs")
    gate.touch()
    row = shared_service.ended(job_id)
    assert (row.progress_done, row.progress_total, row.progress_message) == (2, 2, "found")
    lines = log_lines(shared_service, job_id)
    assert [(line["level"], line["message"], line["attempt"]) for line in lines] == [
        ("INFO", "waiting for a file", 1),
        ("WARNING", "the file is there", 1),
    ]
    assert "progress" in shared_service.driver.events(job_id)


def test_a_talkative_job_is_kept_up_to_the_limit(shared_service: Service) -> None:
    row = shared_service.run("talks", lines=MAX_LOG_LINES * 3)
    assert row.state == State.SUCCEEDED
    lines = log_lines(shared_service, row.id)
    assert len(lines) == MAX_LOG_LINES
    assert lines[-2]["message"] == f"line {MAX_LOG_LINES - 1}"
    assert lines[-1]["message"].startswith("log limit of this job reached")


@pytest.mark.parametrize("fail", [False, True])
def test_strange_words_and_numbers_harm_nobody(shared_service: Service, fail: bool) -> None:
    row = shared_service.run("says_strange_things", fail=fail)
    assert row.state == (State.FAILED if fail else State.SUCCEEDED)
    assert (row.progress_done, row.progress_total) == (2**63 - 1, -(2**63))
    assert row.progress_message == "nul \ufffd, half ?, line\nbreak"
    lines = log_lines(shared_service, row.id)
    assert [line["message"][:9] for line in lines] == ["said: nul", "level", "zzzzzzzzz"]
    assert [line["logger"] for line in lines][1] == "l" * 200
    if fail:
        assert len(error(row)["detail"]) == 2_000
        assert len(row.traceback) <= 50_000


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
