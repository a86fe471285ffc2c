"""`POST /v1/jobs`: accepted, delayed, waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from jobresults.jobs.model import job as job_table
from tests.services.stack import Stack
from tests.services.stacks import on_both_databases

pytestmark = on_both_databases

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def at(text: str) -> datetime:
    """A time as the service writes it: RFC 3339, UTC."""
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def test_an_accepted_job_is_answered_with_its_whole_body(stack: Stack) -> None:
    body = {
        "task": "unserved",
        "params": {"value": 1},
        "customer": "Ann Ö'Hara",
        "max_attempts": 7,
        "tags": ["b", "a", "b"],
    }
    response = stack.request("POST", "/v1/jobs", json=body)

    assert response.status_code == 202
    job = response.json()
    job_id = job["job_id"]
    assert response.headers["Location"] == f"/v1/jobs/{job_id}"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Retry-After" in response.headers
    assert "Preference-Applied" not in response.headers
    assert "Idempotency-Replayed" not in response.headers
    assert abs(at(job.pop("created_at")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert job.pop("position") >= 1
    assert job == {
        "job_id": job_id,
        "task": "unserved",
        "customer": "Ann Ö'Hara",
        "queue": "unserved",
        "state": "queued",
        "done": False,
        "started_at": None,
        "ended_at": None,
        "expires_at": None,
        "attempt": 0,
        "max_attempts": 7,
        "progress": None,
        "eta_seconds": None,
        "waiting_on": "worker",
        "tags": ["b", "a"],
        "rerun_of": None,
        "links": {
            "self": f"/v1/jobs/{job_id}",
            "result": f"/get_result?job_id={job_id}",
            "cancel": f"/v1/jobs/{job_id}/cancel",
            "rerun": f"/v1/jobs/{job_id}/rerun",
            "logs": f"/v1/jobs/{job_id}/logs",
            "events": f"/v1/jobs/{job_id}/events",
        },
    }


def test_a_job_can_be_put_into_another_tasks_queue(stack: Stack) -> None:
    assert stack.job(stack.submit("echo", queue="unserved"))["queue"] == "unserved"


def test_a_job_that_ends_within_the_preferred_wait_is_answered_with_its_result(
    stack: Stack,
) -> None:
    body = {"task": "echo", "params": {"value": {"a": [None, 1.5]}}}
    response = stack.request("POST", "/v1/jobs", json=body, headers={"Prefer": "wait=20"})

    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "wait=20"
    assert "Retry-After" not in response.headers
    job = response.json()
    assert response.headers["Location"] == f"/v1/jobs/{job['job_id']}"
    assert (job["state"], job["done"], job["attempt"]) == ("succeeded", True, 1)
    assert job["result"] == {"a": [None, 1.5]}
    assert "error" not in job
    assert at(job["created_at"]) <= at(job["started_at"]) <= at(job["ended_at"])
    assert at(job["expires_at"]) - at(job["ended_at"]) == timedelta(days=7)


def test_the_wait_can_be_a_query_parameter(stack: Stack) -> None:
    response = stack.request("POST", "/v1/jobs?wait=20", json={"task": "fails_for_good"})

    assert response.status_code == 200
    assert "Preference-Applied" not in response.headers
    assert response.json()["error"]["code"] == "task_error"
    assert "result" not in response.json()


def test_a_job_that_does_not_end_within_the_wait_is_accepted_all_the_same(stack: Stack) -> None:
    headers = {"Prefer": "respond-async, wait=1"}
    response = stack.request("POST", "/v1/jobs", json={"task": "unserved"}, headers=headers)

    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize("preference", ["wait=soon", "wait", "wait=-1", "handling=lenient"])
def test_a_preference_that_means_nothing_here_is_ignored(stack: Stack, preference: str) -> None:
    headers = {"Prefer": preference}
    response = stack.request("POST", "/v1/jobs", json={"task": "unserved"}, headers=headers)
    assert response.status_code == 202


@pytest.mark.parametrize("moment", [{"delay_seconds": 0.4}, {"run_at": 0.4}])
def test_a_delayed_job_runs_when_it_is_due(stack: Stack, moment: dict[str, Any]) -> None:
    if "run_at" in moment:
        moment = {"run_at": (datetime.now(UTC) + timedelta(seconds=0.4)).isoformat()}
    response = stack.request("POST", "/v1/jobs", json={"task": "echo", **moment})
    queued = response.json()
    assert (queued["state"], queued["waiting_on"], queued["position"]) == (
        "queued",
        "schedule",
        None,
    )

    job = stack.ended(queued["job_id"])
    assert job["state"] == "succeeded"
    due = at(job["created_at"]) + timedelta(seconds=0.3)
    assert at(job["started_at"]) >= due


def test_a_far_job_is_asked_for_seldom(stack: Stack) -> None:
    response = stack.request("POST", "/v1/jobs", json={"task": "echo", "delay_seconds": 3600})
    assert response.headers["Retry-After"] == "30"
    assert 3590 < response.json()["eta_seconds"] < 3660


def test_a_due_date_in_the_past_means_now(stack: Stack) -> None:
    job_id = stack.submit("echo", run_at="2020-01-01T00:00:00+02:00")
    assert stack.ended(job_id)["state"] == "succeeded"


@pytest.mark.parametrize("sent", [TRACE, "00-zz", ""])
def test_the_callers_trace_and_request_id_stay_with_the_job(stack: Stack, sent: str) -> None:
    headers = {"traceparent": sent, "tracestate": "a=1 , b@c=2,", "X-Request-ID": "order-7"}
    response = stack.request("POST", "/v1/jobs", json={"task": "unserved"}, headers=headers)

    columns = (job_table.c.traceparent, job_table.c.tracestate, job_table.c.request_id)
    query = select(*columns).where(job_table.c.id == response.json()["job_id"])
    with stack.ledger.read() as connection:
        traceparent, tracestate, request_id = connection.execute(query).one()
    answered = response.headers["traceparent"]
    assert (traceparent, request_id) == (answered, "order-7")
    if sent == TRACE:  # its trace and its flags, but a span of our own
        assert (answered[:36], answered[52:]) == (TRACE[:36], TRACE[52:])
        assert tracestate == "a=1,b@c=2"
    else:
        assert tracestate is None
    assert answered[36:52] != TRACE[36:52]
