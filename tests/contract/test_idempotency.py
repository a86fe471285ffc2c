"""`Idempotency-Key`: one job for one key and request, whatever happens to the answers."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.services.stack import Stack
from tests.services.stacks import on_both_databases

pytestmark = on_both_databases


@pytest.fixture
def key() -> str:
    """A key nobody used before; also its jobs' tag."""
    return secrets.token_hex(8)


def submit(
    stack: Stack, once: str, task: str = "unserved", path: str = "/v1/jobs", **options: Any
) -> requests.Response:
    body = {"task": task, "params": {"value": 1}, "tags": [once]}
    return stack.request(
        "POST", path, **{"json": body, **options}, headers={"Idempotency-Key": once}
    )


def jobs_of(stack: Stack, key: str) -> list[str]:
    """The ids of all jobs that were submitted with the key, whoever owns them."""
    page = stack.request("GET", f"/v1/jobs?tag={key}", key=stack.operator_key).json()
    return [job["job_id"] for job in page["jobs"]]


def test_the_same_request_gives_the_same_job(stack: Stack, key: str) -> None:
    first, second = submit(stack, key), submit(stack, key)

    assert (first.status_code, second.status_code) == (202, 202)
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert second.json()["job_id"] == first.json()["job_id"]
    assert jobs_of(stack, key) == [first.json()["job_id"]]


def test_a_replay_tells_the_jobs_state_of_now(stack: Stack, key: str) -> None:
    first = submit(stack, key, "echo")
    stack.ended(first.json()["job_id"])

    second = submit(stack, key, "echo")
    assert second.status_code == 200
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (second.json()["job_id"], second.json()["result"]) == (first.json()["job_id"], 1)


def test_the_same_document_in_other_words_is_the_same_request(stack: Stack, key: str) -> None:
    first = submit(stack, key)
    text = f'{{ "tags":["{key}"], "params":{{"value":1}},\n"task":"unserved" }}'
    second = stack.request(
        "POST",
        "/v1/jobs",
        data=text,
        headers={"Idempotency-Key": key, "Content-Type": "application/json"},
    )
    assert second.json()["job_id"] == first.json()["job_id"]


@pytest.mark.parametrize(
    "other",
    [
        {"json": {"task": "unserved", "params": {"value": 2}}},
        {"json": {"task": "unserved", "params": {"value": True}}},
        {"json": {"task": "echo", "params": {"value": 1}}},
        {"path": "/add/ann", "json": {"messages": []}},
        {"path": "/userdevicesms", "json": {"cust_id": "ann", "messages": []}},
    ],
)
def test_a_key_cannot_be_used_for_another_request(
    stack: Stack, key: str, other: dict[str, Any]
) -> None:
    first = submit(stack, key)
    response = submit(stack, key, **other)

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"
    assert jobs_of(stack, key) == [first.json()["job_id"]]


def test_a_key_cannot_be_used_for_another_customer(stack: Stack, key: str) -> None:
    for customer, status in (("ann", 202), ("bob", 422)):
        response = submit(stack, key, path=f"/add/{customer}", json={"messages": []})
        assert response.status_code == status


def test_keys_of_two_clients_have_nothing_to_do_with_each_other(stack: Stack, key: str) -> None:
    mine, theirs = submit(stack, key), submit(stack, key, key=stack.other_key)

    assert (mine.status_code, theirs.status_code) == (202, 202)
    assert "Idempotency-Replayed" not in theirs.headers
    assert mine.json()["job_id"] != theirs.json()["job_id"]


def test_without_a_key_each_request_is_a_new_job(stack: Stack, key: str) -> None:
    assert stack.submit("unserved", tags=[key]) != stack.submit("unserved", tags=[key])
    assert len(jobs_of(stack, key)) == 2


def test_a_refused_request_does_not_use_its_key_up(stack: Stack, key: str) -> None:
    refused = submit(stack, key, json={"task": "unknown"})
    assert refused.status_code == 400

    accepted = submit(stack, key)
    assert accepted.status_code == 202
    assert "Idempotency-Replayed" not in accepted.headers


def test_many_at_once_make_one_job(stack: Stack, key: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda _: submit(stack, key), range(24)))

    assert {response.status_code for response in responses} <= {202, 409}
    accepted = {response.json()["job_id"] for response in responses if response.status_code == 202}
    assert list(accepted) == jobs_of(stack, key)
    for response in responses:
        if response.status_code == 409:
            assert response.json()["code"] == "idempotency_in_flight"
            assert response.headers["Retry-After"] == "1"


def test_a_rerun_can_be_repeated_too(stack: Stack, key: str) -> None:
    job_id = stack.run("echo")

    first, second = (
        stack.request("POST", f"/v1/jobs/{job_id}/rerun", headers={"Idempotency-Key": key})
        for _ in range(2)
    )
    assert first.json()["job_id"] == second.json()["job_id"] != job_id
    assert second.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("bad", ["", "two words", "x" * 256, "schlüssel"])
def test_a_malformed_key_is_refused(stack: Stack, bad: str) -> None:
    headers = {"Idempotency-Key": bad.encode()}
    response = stack.request("POST", "/v1/jobs", json={"task": "echo"}, headers=headers)
    assert response.status_code == 400
    assert "Idempotency-Key" in response.json()["detail"]
