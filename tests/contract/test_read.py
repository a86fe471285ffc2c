"""`GET /get_result` and `GET /v1/jobs/{id}/result`: every row of their table."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from tests.services.process import eventually
from tests.services.stack import Stack
from tests.services.stacks import with_and_without_lane

pytestmark = with_and_without_lane

BY_QUERY, BY_PATH = "/get_result?job_id={}", "/v1/jobs/{}/result"
both_routes = pytest.mark.parametrize("route", [BY_QUERY, BY_PATH], ids=["get_result", "result"])
VALUES = (
    pytest.param(None, b"null", id="null"),
    pytest.param(0, b"0", id="zero"),
    pytest.param("", b'""', id="empty-text"),
    pytest.param([], b"[]", id="empty-list"),
    pytest.param(False, b"false", id="false"),
    pytest.param({}, b"{}", id="empty-object"),
    pytest.param({"ü": [1.5, "€", None]}, '{"ü":[1.5,"€",null]}'.encode(), id="nested"),
)


@both_routes
def test_a_queued_job_is_pending(stack: Stack, route: str) -> None:
    job_id = stack.submit("unserved")
    response = stack.request("GET", route.format(job_id))

    assert response.status_code == 202
    assert response.headers["Cache-Control"] == "no-store"
    assert "Retry-After" in response.headers
    assert "ETag" not in response.headers
    assert (response.json()["job_id"], response.json()["state"]) == (job_id, "queued")


@both_routes
def test_a_running_job_is_pending_and_tells_its_progress(
    stack: Stack, route: str, gate: Path
) -> None:
    job_id = stack.running(gate)
    eventually(lambda: stack.job(job_id)["progress"], "progress is recorded")
    response = stack.request("GET", route.format(job_id) + with_wait(route, 1))

    assert response.status_code == 202
    assert "Retry-After" in response.headers
    job = response.json()
    assert (job["state"], job["attempt"], job["waiting_on"]) == ("running", 1, None)
    assert job["progress"] == {"done": 1, "total": 2, "message": "waiting"}
    assert job["ended_at"] is None
    assert not {"result", "error"} & set(job)
    gate.touch()
    assert stack.ended(job_id)["progress"] == {"done": 2, "total": 2, "message": "found"}


@both_routes
@pytest.mark.parametrize(("value", "stored"), VALUES)
def test_a_succeeded_job_answers_what_the_task_returned(
    stack: Stack, route: str, value: Any, stored: bytes
) -> None:
    job_id = stack.run("echo", {"value": value})
    response = stack.request("GET", route.format(job_id))

    assert response.status_code == 200
    assert response.content == stored
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["ETag"] == f'"{hashlib.sha256(stored).hexdigest()}"'
    assert "Retry-After" not in response.headers
    kept = re.fullmatch(r"private, max-age=(\d+), immutable", response.headers["Cache-Control"])
    assert kept
    assert 7 * 86_400 - 60 < int(kept[1]) <= 7 * 86_400

    job = stack.job(job_id)
    assert (job["state"], job["done"], job["result"]) == ("succeeded", True, value)
    assert type(job["result"]) is type(value)
    assert "error" not in job


@both_routes
def test_a_caller_who_has_the_result_need_not_fetch_it_again(stack: Stack, route: str) -> None:
    job_id = stack.run("echo", {"value": 0})
    etag = stack.request("GET", route.format(job_id)).headers["ETag"]

    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        response = stack.request("GET", route.format(job_id), headers={"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["ETag"] == etag
        assert "immutable" in response.headers["Cache-Control"]
    response = stack.request("GET", route.format(job_id), headers={"If-None-Match": '"other"'})
    assert response.status_code == 200


@both_routes
def test_a_failed_job_answers_424_with_its_error(stack: Stack, route: str) -> None:
    job_id = stack.run("fails_for_good")
    response = stack.request("GET", route.format(job_id))

    assert response.status_code == 424
    problem = response.json()
    assert problem["code"] == "job_failed"
    assert problem["job_id"] == job_id
    assert problem["job_error"] == stack.job(job_id)["error"]
    assert problem["job_error"]["code"] == "task_error"
    assert problem["detail"] == problem["job_error"]["detail"]
    assert "Retry-After" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"


@both_routes
def test_a_canceled_job_answers_424(stack: Stack, route: str) -> None:
    job_id = stack.submit("unserved")
    stack.request("POST", f"/v1/jobs/{job_id}/cancel")
    response = stack.request("GET", route.format(job_id))

    assert response.status_code == 424
    assert response.json()["code"] == "job_canceled"
    assert response.json()["job_error"]["code"] == "job_canceled"


def test_only_operators_read_tracebacks(stack: Stack) -> None:
    job_id = stack.run("fails_for_good")

    for path in (BY_QUERY.format(job_id), BY_PATH.format(job_id), f"/v1/jobs/{job_id}"):
        own = stack.request("GET", path)
        assert "sample_tasks.py" not in own.text
        operators = stack.request("GET", path, key=stack.operator_key)
        assert "sample_tasks.py" in operators.text


@both_routes
def test_an_unknown_job_is_not_found(stack: Stack, route: str) -> None:
    response = stack.request("GET", route.format("00000000-0000-7000-8000-000000000000"))
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("query", ["", "?job_id=", "?job_id=7", "?job_id=%00", "?jobid=7"])
def test_a_missing_or_malformed_job_id_is_invalid(stack: Stack, query: str) -> None:
    response = stack.request("GET", f"/get_result{query}")
    assert response.status_code == 400
    assert [problem["path"] for problem in response.json()["errors"]] == ["job_id"]


@both_routes
def test_a_wait_ends_with_the_job(stack: Stack, route: str) -> None:
    job_id = stack.submit("succeeds_at_attempt", {"attempt": 2})
    response = stack.request("GET", route.format(job_id) + with_wait(route, 20))
    assert (response.status_code, response.content) == (200, b"2")
    assert "Preference-Applied" not in response.headers


@both_routes
def test_a_preferred_wait_ends_with_the_job(stack: Stack, route: str) -> None:
    job_id = stack.submit("succeeds_at_attempt", {"attempt": 2})
    response = stack.request("GET", route.format(job_id), headers={"Prefer": "wait=20"})
    assert (response.status_code, response.content) == (200, b"2")
    assert response.headers["Preference-Applied"] == "wait=20"


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "inf", "1e999"])
def test_a_wait_that_is_no_number_is_invalid(stack: Stack, wait: str) -> None:
    job_id = stack.run("echo")
    response = stack.request("GET", f"/get_result?job_id={job_id}&wait={wait}")
    assert response.status_code == 400
    assert [problem["path"] for problem in response.json()["errors"]] == ["wait"]


def test_the_job_itself_can_be_waited_for(stack: Stack) -> None:
    job_id = stack.submit("succeeds_at_attempt", {"attempt": 2})
    response = stack.request("GET", f"/v1/jobs/{job_id}", headers={"Prefer": "wait=20"})
    assert (response.status_code, response.json()["result"]) == (200, 2)
    assert response.headers["Cache-Control"] == "no-store"


def with_wait(route: str, seconds: int) -> str:
    """What to append to a route."""
    return f"{'&' if '?' in route else '?'}wait={seconds}"
