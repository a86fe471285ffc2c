"""`POST /v1/jobs` with an array: each job is accepted or refused, and each is answered for."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
import requests

from tests.services.stack import Stack
from tests.services.stacks import on_both_databases

pytestmark = on_both_databases

MAX_JOBS = 1_000


def post(stack: Stack, body: list[Any], key: str | None = None, **options: Any) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    response = stack.request("POST", "/v1/jobs", json=body, headers=headers, **options)
    assert response.status_code == 207, response.text
    return {**response.json(), "replayed": response.headers.get("Idempotency-Replayed")}


def job_ids(answer: dict[str, Any]) -> list[str | None]:
    """Of the accepted jobs; None for the refused ones."""
    return [item["job"]["job_id"] if "job" in item else None for item in answer["jobs"]]


def refused(response: requests.Response) -> str:
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_request"
    return str(response.json()["detail"])


def test_all_are_accepted_in_their_order_and_run(stack: Stack) -> None:
    tag = secrets.token_hex(8)
    answer = post(
        stack, [{"task": "echo", "params": {"value": n}, "tags": [tag]} for n in range(5)]
    )
    assert (answer["accepted"], answer["rejected"], answer["replayed"]) == (5, 0, None)
    assert [item["status"] for item in answer["jobs"]] == [202] * 5
    assert [stack.ended(str(job_id))["result"] for job_id in job_ids(answer)] == [0, 1, 2, 3, 4]
    listed = stack.request("GET", f"/v1/jobs?tag={tag}").json()["jobs"]
    assert [job["job_id"] for job in reversed(listed)] == job_ids(answer)


def test_each_job_is_answered_as_if_it_were_submitted_alone(stack: Stack) -> None:
    body = {"task": "unserved", "customer": "Ann Ö'Hara", "max_attempts": 7, "tags": ["b", "a"]}
    alone = stack.request("POST", "/v1/jobs", json=body).json()
    (item,) = post(stack, [body])["jobs"]

    assert (item["job"].pop("position"), item["job"].pop("eta_seconds")) == (None, None)
    for answer in (alone, item["job"]):
        del answer["links"], answer["created_at"]
    assert item["job"].pop("job_id") != alone.pop("job_id")
    assert {name: alone[name] for name in item["job"]} == item["job"]


def test_the_request_is_answered_as_such(stack: Stack) -> None:
    headers = {"X-Request-ID": "order-7"}
    response = stack.request("POST", "/v1/jobs", json=[{"task": "unserved"}], headers=headers)
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Location" not in response.headers


def test_what_is_wrong_is_refused_with_its_place_and_keeps_no_other_back(stack: Stack) -> None:
    before = stack.count_jobs()
    answer = post(
        stack,
        [
            {"task": "unserved"},
            {"task": "ech"},
            {"task": "typed", "params": {"items": [{"name": 3, "count": 0}], "ratio": "much"}},
            {"task": "echo", "bogus": 1, "tags": [""]},
            7,
            {"task": "echo", "max_attempts": 26, "queue": "nowhere"},
            {"task": "unserved"},
        ],
    )
    assert (answer["accepted"], answer["rejected"]) == (2, 5)
    assert [item["status"] for item in answer["jobs"]] == [202, 400, 400, 400, 400, 400, 202]
    assert stack.count_jobs() == before + 2

    problems = [item.get("problem", {}) for item in answer["jobs"]]
    assert [{found["path"] for found in problem.get("errors", [])} for problem in problems] == [
        set(),
        set(),
        {"[2].params.items[0].name", "[2].params.ratio"},
        {"[3].bogus", "[3].tags.0"},
        {"[4]"},
        {"[5].max_attempts", "[5].queue"},
        set(),
    ]
    assert problems[1]["code"] == "unknown_task"
    assert "'echo'" in problems[1]["detail"]
    for place in range(1, 6):
        assert problems[place]["detail"].startswith(f"[{place}]: ")
        assert problems[place]["error"] == problems[place]["detail"]
        assert problems[place]["instance"] == "/v1/jobs"


def test_an_array_of_which_nothing_is_valid_is_answered_for_too(stack: Stack) -> None:
    before = stack.count_jobs()
    answer = post(stack, [{"task": "ech"}, None, []], key=secrets.token_hex(8))
    assert (answer["accepted"], answer["rejected"]) == (0, 3)
    assert stack.count_jobs() == before


@pytest.mark.parametrize("count", [0, MAX_JOBS + 1])
def test_an_empty_or_too_long_array_is_refused(stack: Stack, count: int) -> None:
    before = stack.count_jobs()
    response = stack.request("POST", "/v1/jobs", json=[{"task": "unserved"}] * count)
    assert refused(response) == f"the array has {count:,} jobs; send 1 to 1,000 at once"
    assert stack.count_jobs() == before


def test_an_array_may_have_so_many(stack: Stack) -> None:
    before = stack.count_jobs()
    later = {"task": "unserved", "delay_seconds": 86_400}  # in no queue that others look at
    answer = post(stack, [later] * MAX_JOBS)
    assert answer["accepted"] == len(set(job_ids(answer))) == MAX_JOBS
    assert stack.count_jobs() == before + MAX_JOBS


@pytest.mark.parametrize("path", ["/add/ann", "/userdevicesms"])
def test_the_customer_routes_take_no_arrays(stack: Stack, path: str) -> None:
    assert stack.request("POST", path, json=[{"cust_id": "ann"}]).status_code == 400


@pytest.mark.parametrize("wait", ["5", "0", "soon"])
def test_a_wait_for_many_is_refused(stack: Stack, wait: str) -> None:
    before = stack.count_jobs()
    response = stack.request("POST", f"/v1/jobs?wait={wait}", json=[{"task": "unserved"}])
    assert "GET /v1/jobs?id=" in refused(response)
    assert stack.count_jobs() == before


def test_a_preferred_wait_for_many_is_ignored(stack: Stack) -> None:
    headers = {"Prefer": "wait=20"}
    response = stack.request("POST", "/v1/jobs", json=[{"task": "unserved"}], headers=headers)
    assert response.status_code == 207
    assert "Preference-Applied" not in response.headers


def test_the_same_request_gives_the_same_jobs_as_they_are_now(stack: Stack) -> None:
    key = secrets.token_hex(8)
    body = [{"task": "echo"}, {"task": "nope"}, {"task": "unserved", "params": {"value": 1}}]
    first = post(stack, body, key)
    stack.ended(str(job_ids(first)[0]))
    before = stack.count_jobs()
    again = post(stack, body, key)

    assert again["replayed"] == "true"
    assert job_ids(again) == job_ids(first)
    assert (again["accepted"], again["rejected"]) == (2, 1)
    assert [item["status"] for item in again["jobs"]] == [200, 400, 202]
    assert again["jobs"][0]["job"]["state"] == "succeeded"
    assert stack.count_jobs() == before


def test_the_same_array_in_other_words_is_the_same_request(stack: Stack) -> None:
    key = secrets.token_hex(8)
    body = [{"task": "unserved", "params": {"value": 1}}]
    first = post(stack, body, key)
    text = json.dumps([{"params": {"value": 1}, "task": "unserved"}], indent=2)
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    second = stack.request("POST", "/v1/jobs", data=text, headers=headers)
    assert job_ids(second.json()) == job_ids(first)


@pytest.mark.parametrize(
    "other",
    [
        [{"task": "unserved"}],
        [{"task": "unserved"}] * 3,
        [{"task": "unserved"}, {"task": "unserved", "customer": "ann"}],
        {"task": "unserved"},
    ],
)
def test_a_key_cannot_be_used_for_another_request(stack: Stack, other: Any) -> None:
    key = secrets.token_hex(8)
    post(stack, [{"task": "unserved"}] * 2, key)
    before = stack.count_jobs()
    response = stack.request("POST", "/v1/jobs", json=other, headers={"Idempotency-Key": key})
    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"
    assert stack.count_jobs() == before


def test_a_malformed_key_is_refused(stack: Stack) -> None:
    headers = {"Idempotency-Key": "two words"}
    response = stack.request("POST", "/v1/jobs", json=[{"task": "unserved"}], headers=headers)
    assert "Idempotency-Key" in refused(response)


def test_a_body_that_is_unsafe_to_read_is_refused_as_a_whole(stack: Stack) -> None:
    before = stack.count_jobs()
    body = b'[{"task": "unserved"}, {"task": "unserved", "params": {"value": "\\u0000"}}]'
    headers = {"Content-Type": "application/json"}
    assert "NUL" in refused(stack.request("POST", "/v1/jobs", data=body, headers=headers))
    assert stack.count_jobs() == before


def test_the_document_tells_of_arrays(stack: Stack) -> None:
    operation = stack.api.document["paths"]["/v1/jobs"]["post"]
    assert set(operation["responses"]) >= {"200", "202", "207"}
    schema = stack.api.document["components"]["schemas"]["SubmitRequest"]
    assert {"$ref": "#/components/schemas/SubmitBody"} in schema["anyOf"]
    (array,) = [each for each in schema["anyOf"] if each.get("type") == "array"]
    assert (array["minItems"], array["maxItems"]) == (1, MAX_JOBS)
