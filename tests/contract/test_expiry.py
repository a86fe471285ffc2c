"""Kept time over: 410 with how and when the job ended, never "failed" and never "unknown"."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from jobresults.jobs import expiry, reading
from tests.services.process import eventually
from tests.services.stack import Stack
from tests.services.stacks import with_and_without_lane

pytestmark = with_and_without_lane

# Less than maintenance takes to come round: the answer does not depend on its sweep.
SOON_SECONDS = 10
ends = pytest.mark.parametrize(("fail", "state"), [(False, "succeeded"), (True, "failed")])


def expired(stack: Stack, **params: Any) -> tuple[str, requests.Response]:
    """A job whose second is over, and what its result answers."""
    job_id = stack.run("short_lived", params)
    path = f"/get_result?job_id={job_id}"
    eventually(
        lambda: stack.request("GET", path).status_code == 410,
        "the result has expired",
        within_seconds=SOON_SECONDS,
    )
    return job_id, stack.request("GET", path)


@ends
def test_an_expired_result_is_gone_and_tells_how_it_ended(
    stack: Stack, fail: bool, state: str
) -> None:
    job_id, response = expired(stack, value=0, fail=fail)

    problem = response.json()
    assert problem["code"] == "result_expired"
    assert (problem["job_id"], problem["final_state"]) == (job_id, state)
    assert problem["ended_at"] < problem["expired_at"]
    assert "Retry-After" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"
    assert stack.request("GET", f"/v1/jobs/{job_id}/result").json()["code"] == "result_expired"


@ends
def test_the_expired_job_itself_is_still_there(stack: Stack, fail: bool, state: str) -> None:
    job_id, problem = expired(stack, value=0, fail=fail)

    job = stack.job(job_id)
    assert (job["state"], job["done"], job["error"]["code"]) == (state, True, "result_expired")
    assert "result" not in job
    assert job["expires_at"] == problem.json()["expired_at"]


@ends
def test_sweeping_an_expired_job_changes_no_answer(stack: Stack, fail: bool, state: str) -> None:
    job_id, before = expired(stack, value=0, fail=fail)
    job = stack.job(job_id)
    while expiry.forget_results(stack.ledger, 100):
        pass

    after = stack.request("GET", f"/get_result?job_id={job_id}")
    assert {**after.json(), "request_id": ""} == {**before.json(), "request_id": ""}
    assert stack.job(job_id) == job
    events = stack.request("GET", f"/v1/jobs/{job_id}/events").json()["events"]
    assert events[-1]["event"] == "expired"
    listed = stack.request("GET", f"/v1/jobs?id={job_id}").json()["jobs"]
    assert [entry["state"] for entry in listed] == [state]


@ends
def test_what_a_job_has_said_is_gone_with_its_result(stack: Stack, fail: bool, state: str) -> None:
    job_id, result = expired(stack, value=0, fail=fail)
    for accept in ("application/json", "text/event-stream"):
        headers = {"Accept": accept}
        logs = stack.request("GET", f"/v1/jobs/{job_id}/logs", headers=headers)
        assert logs.status_code == 410
        own = {"request_id": "", "instance": ""}
        assert {**logs.json(), **own} == {**result.json(), **own}
    assert logs.json()["final_state"] == state
    while expiry.forget_results(stack.ledger, 100):
        pass
    assert reading.logs(stack.ledger, job_id, after=0, limit=10) == []
    assert stack.request("GET", f"/v1/jobs/{job_id}/logs").status_code == 410


def test_who_holds_an_expired_result_is_told_so_too(stack: Stack) -> None:
    job_id = stack.run("short_lived")
    etag = stack.request("GET", f"/get_result?job_id={job_id}").headers["ETag"]

    def status() -> int:
        headers = {"If-None-Match": etag}
        return stack.request("GET", f"/get_result?job_id={job_id}", headers=headers).status_code

    eventually(lambda: status() == 410, "the result has expired", within_seconds=SOON_SECONDS)


def test_an_expired_job_cannot_be_run_again(stack: Stack) -> None:
    job_id, _ = expired(stack)
    response = stack.request("POST", f"/v1/jobs/{job_id}/rerun")
    assert response.status_code == 409


def test_a_forgotten_job_is_unknown(stack: Stack) -> None:
    job_id, _ = expired(stack)
    while expiry.forget_results(stack.ledger, 100) or expiry.forget_jobs(stack.ledger, 0, 100):
        pass
    assert stack.request("GET", f"/get_result?job_id={job_id}").status_code == 404
