"""`POST /v1/jobs/{id}/cancel` and `/rerun`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from tests.services.stack import Stack
from tests.services.stacks import on_both_databases

pytestmark = on_both_databases


def cancel(stack: Stack, job_id: str) -> requests.Response:
    return stack.request("POST", f"/v1/jobs/{job_id}/cancel")


def rerun(stack: Stack, job_id: str, **options: Any) -> requests.Response:
    return stack.request("POST", f"/v1/jobs/{job_id}/rerun", **options)


def test_a_queued_job_is_canceled_at_once(stack: Stack) -> None:
    job_id = stack.submit("unserved")

    for _ in range(2):  # repeating it changes nothing
        response = cancel(stack, job_id)
        assert response.status_code == 200
        job = response.json()
        assert (job["state"], job["done"], job["attempt"]) == ("canceled", True, 0)
        assert job["error"]["code"] == "job_canceled"
        assert job["ended_at"]
        assert "result" not in job
    assert stack.job(job_id) == job


def test_a_scheduled_job_is_canceled_at_once(stack: Stack) -> None:
    response = cancel(stack, stack.submit("echo", delay_seconds=3600))
    assert (response.status_code, response.json()["state"]) == (200, "canceled")


def test_a_running_job_is_stopped(stack: Stack, gate: Path) -> None:
    job_id = stack.running(gate)

    response = cancel(stack, job_id)
    assert response.status_code == 202
    assert response.json()["state"] == "running"
    assert cancel(stack, job_id).status_code in (200, 202)

    job = stack.ended(job_id)
    assert (job["state"], job["error"]["code"]) == ("canceled", "job_canceled")
    assert cancel(stack, job_id).status_code == 200


@pytest.mark.parametrize(("task", "state"), [("echo", "succeeded"), ("fails_for_good", "failed")])
def test_a_job_that_ended_otherwise_cannot_be_canceled(stack: Stack, task: str, state: str) -> None:
    job_id = stack.run(task)
    before = stack.job(job_id)

    response = cancel(stack, job_id)
    assert response.status_code == 409
    assert (response.json()["code"], response.json()["state"]) == ("conflict", state)
    assert stack.job(job_id) == before


@pytest.mark.parametrize("task", ["echo", "fails_for_good"])
def test_an_ended_job_can_be_run_again(stack: Stack, task: str) -> None:
    params = {"value": [1]} if task == "echo" else {}
    options: dict[str, Any] = {"customer": "ann", "tags": ["x", "y"], "max_attempts": 2}
    old = stack.ended(stack.submit(task, params, timeout_seconds=9, **options))

    response = rerun(stack, old["job_id"])
    assert response.status_code == 202
    new = response.json()
    assert response.headers["Location"] == f"/v1/jobs/{new['job_id']}"
    assert "Retry-After" in response.headers
    assert new["job_id"] != old["job_id"] == new["rerun_of"]
    kept = ("task", "customer", "tags", "max_attempts", "queue")
    assert {name: new[name] for name in kept} == {name: old[name] for name in kept}
    assert stack.ended(new["job_id"]).get("result") == old.get("result")
    assert stack.job(old["job_id"]) == old


def test_a_canceled_job_can_be_run_again_and_waited_for(stack: Stack) -> None:
    job_id = stack.submit("echo", {"value": 0}, delay_seconds=3600)
    cancel(stack, job_id)

    response = rerun(stack, job_id, headers={"Prefer": "wait=20"})
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "wait=20"
    assert response.json()["result"] == 0


def test_a_queued_job_cannot_be_run_again(stack: Stack) -> None:
    response = rerun(stack, stack.submit("unserved"))
    assert (response.status_code, response.json()["state"]) == (409, "queued")


def test_a_running_job_cannot_be_run_again(stack: Stack, gate: Path) -> None:
    job_id = stack.running(gate)
    response = rerun(stack, job_id)
    assert (response.status_code, response.json()["state"]) == (409, "running")
    gate.touch()
    stack.ended(job_id)


def test_a_job_an_operator_runs_again_stays_its_clients(stack: Stack) -> None:
    job_id = stack.run("echo", {"value": 5})
    new = rerun(stack, job_id, key=stack.operator_key).json()
    assert stack.ended(new["job_id"])["result"] == 5
