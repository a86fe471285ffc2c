"""A worker process runs jobs, whatever their tasks do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobresults.jobs import reading
from jobresults.jobs.states import State
from tests.integration.worker.odd_tasks import announced
from tests.integration.worker.service import MAX_LOG_LINES, Service
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
