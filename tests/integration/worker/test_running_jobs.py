"""A worker process runs jobs and keeps what comes of them, on both kinds of ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobresults.jobs.states import State
from tests.integration.worker.service import MAX_LOG_LINES, Service, error, log_lines
from tests.services.process import eventually


def test_a_job_succeeds_with_its_result(shared_service: Service) -> None:
    row = shared_service.run("echo", value={"a": [1, None, "ä"]})
    assert (row.state, row.result) == (State.SUCCEEDED, '{"a":[1,null,"ä"]}'.encode())
    assert shared_service.driver.events(row.id) == ["submitted", "started", "succeeded"]


def test_parameters_reach_the_task_as_models(shared_service: Service) -> None:
    row = shared_service.run("typed", items=[{"name": "a", "count": 1}], ratio=1)
    assert json.loads(row.result) == [{"name": "a", "count": 1}]


def test_a_failing_job_is_tried_so_often_and_then_fails(shared_service: Service) -> None:
    row = shared_service.run("fails", message="boom")
    assert error(row)["code"] == "task_error"
    assert error(row)["detail"] == "ValueError: boom"
    assert row.attempt == 2
    assert "raise ValueError(message)" in row.traceback
    assert shared_service.driver.events(row.id) == [
        "submitted",
        "started",
        "retried",
        "dispatched",
        "started",
        "failed",
    ]


def test_a_job_may_succeed_at_a_later_attempt(shared_service: Service) -> None:
    row = shared_service.run("succeeds_at_attempt", attempt=3)
    assert (row.state, row.result, row.attempt) == (State.SUCCEEDED, b"3", 3)


def test_a_permanent_error_ends_a_job_at_once(shared_service: Service) -> None:
    row = shared_service.run("fails_for_good")
    assert error(row)["detail"] == "PermanentError: the account is closed"
    assert error(row)["retryable"] is False
    assert row.attempt == 1


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
    begin = ["said: nul", "cannot be", "level", "zzzzzzzzz"]
    assert [line["message"][:9] for line in lines] == begin
    assert [line["logger"] for line in lines][2] == "l" * 200
    if fail:
        assert len(error(row)["detail"]) == 2_000
        assert len(row.traceback) <= 50_000
