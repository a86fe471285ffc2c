"""What a client may take: requests a second, queued jobs, stored bytes; and the queues."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from tests.services.process import eventually
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack

LIMITS = {
    "LIMITS__CLIENTS__SLOW__REQUESTS_PER_SECOND": "2",
    "LIMITS__CLIENTS__SMALL__MAX_QUEUED_JOBS": "3",
    "LIMITS__CLIENTS__TINY__MAX_STORED_BYTES": "100",
}


@pytest.fixture(scope="module")
def limited(start_stack: StartStack) -> Stack:
    return start_stack(Shape(settings=LIMITS))


def refused(response: requests.Response, code: str, limit: str) -> None:
    assert response.status_code == 429, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert 1 <= int(response.headers["Retry-After"]) <= 30
    problem = response.json()
    assert (problem["code"], problem["limit"]) == (code, limit)
    assert limit in problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/v1/jobs/{}", "/get_result?job_id={}"])
def test_requests_over_the_rate_are_told_when_to_come_again(limited: Stack, path: str) -> None:
    key = limited.new_key("slow")
    job_id = limited.run("echo")
    targets = [path.format(job_id)] * 8
    answers = [limited.request("GET", target, key=key) for target in targets]
    over = [answer for answer in answers if answer.status_code == 429]
    assert over
    assert {answer.status_code for answer in answers} <= {404, 429}
    refused(over[-1], "rate_limited", "requests_per_second")
    assert limited.job(job_id)["state"] == "succeeded"  # others' rates are their own


def test_a_remembered_result_counts_as_well(limited: Stack) -> None:
    key = limited.new_key("slow")

    def submitted() -> requests.Response | None:
        body = {"task": "echo", "params": {}}
        answer = limited.request(
            "POST", "/v1/jobs", key=key, json=body, headers={"Prefer": "wait=10"}
        )
        return None if answer.status_code == 429 else answer

    job_id = eventually(submitted, "it may submit").json()["job_id"]
    path = f"/get_result?job_id={job_id}"
    statuses = [limited.request("GET", path, key=key).status_code for _ in range(12)]
    assert set(statuses) <= {200, 202, 429}
    assert 429 in statuses


def test_a_client_with_enough_queued_jobs_is_refused_more(limited: Stack) -> None:
    key = limited.new_key("small")
    job = {"task": "unserved", "params": {}}
    answer = limited.request("POST", "/v1/jobs", key=key, json=[job] * 5)
    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (3, 2)
    assert [item["status"] for item in body["jobs"]] == [202, 202, 202, 429, 429]
    assert body["jobs"][3]["problem"]["detail"].startswith("[3]: max_queued_jobs")
    refused(
        limited.request("POST", "/v1/jobs", key=key, json=job), "quota_exceeded", "max_queued_jobs"
    )
    first = body["jobs"][0]["job"]["job_id"]
    assert limited.request("POST", f"/v1/jobs/{first}/cancel", key=key).status_code == 200

    def accepted() -> bool:
        return limited.request("POST", "/v1/jobs", key=key, json=job).status_code == 202

    eventually(accepted, "there is room for one more")


def test_a_client_that_stores_enough_is_refused_more(limited: Stack) -> None:
    key = limited.new_key("tiny")
    job = {"task": "unserved", "params": {"value": "x" * 60}}
    assert limited.request("POST", "/v1/jobs", key=key, json=job).status_code == 202
    refused(
        limited.request("POST", "/v1/jobs", key=key, json=job), "quota_exceeded", "max_stored_bytes"
    )


@pytest.fixture
def paused(limited: Stack) -> Iterator[str]:
    """The queue `unserved`, paused by an operator."""
    answer = limited.request("POST", "/v1/queues/unserved/pause", key=limited.operator_key)
    assert answer.status_code == 200
    assert (answer.json()["paused"], answer.json()["paused_by"]) == (True, "operations")
    yield "unserved"
    answer = limited.request("POST", "/v1/queues/unserved/resume", key=limited.operator_key)
    assert (answer.json()["paused"], answer.json()["paused_at"]) == (False, None)


def test_a_job_of_a_paused_queue_says_so(limited: Stack, paused: str) -> None:
    job_id = limited.submit("unserved")
    assert limited.job(job_id)["waiting_on"] == "queue_paused"
    listed = limited.request("GET", f"/v1/jobs?id={job_id}").json()["jobs"][0]
    assert listed["waiting_on"] == "queue_paused"
    pending = limited.request("GET", f"/get_result?job_id={job_id}")
    assert (pending.status_code, pending.json()["waiting_on"]) == (202, "queue_paused")
    later = limited.submit("unserved", delay_seconds=600)
    assert limited.job(later)["waiting_on"] == "schedule"


def test_pausing_twice_changes_nothing(limited: Stack, paused: str) -> None:
    before = limited.request("GET", "/v1/queues", key=limited.operator_key).json()
    again = limited.request("POST", f"/v1/queues/{paused}/pause", key=limited.operator_key)
    of_before = [queue for queue in before["queues"] if queue["name"] == paused]
    assert again.json()["paused_at"] == of_before[0]["paused_at"]


def test_queues_tell_what_they_hold(limited: Stack) -> None:
    for _ in range(6):
        limited.submit("unserved", customer="ann")
    answer = limited.request("GET", "/v1/queues", key=limited.operator_key)
    found = {queue["name"]: queue for queue in answer.json()["queues"]}
    assert set(found) == {"default", "unserved"}
    assert found["unserved"]["queued"] >= 6
    assert found["unserved"]["held"] == 2
    assert found["unserved"]["oldest_seconds"] >= 0
    assert found["default"]["workers"] == 1


def test_an_unknown_queue_is_named_with_those_there_are(limited: Stack) -> None:
    answer = limited.request("POST", "/v1/queues/none/pause", key=limited.operator_key)
    assert answer.status_code == 404
    assert "default, unserved" in answer.json()["detail"]


def test_the_command_line_lists_pauses_and_resumes(
    limited: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited._environ |= {"JOBRESULTS_URL": limited.url, "JOBRESULTS_TOKEN": limited.operator_key}
    assert json.loads(limited.command("queues", "pause", "default"))["paused"] is True
    listed = json.loads(limited.command("queues", "list", "-o", "json"))
    assert [queue["name"] for queue in listed if queue["paused"]] == ["default"]
    assert json.loads(limited.command("queues", "resume", "default"))["paused"] is False
    assert limited.run("echo")
