"""`jobresults web --server pywsgi` keeps the same contract."""

from __future__ import annotations

import pytest

from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack


@pytest.fixture(scope="module")
def small(start_stack: StartStack) -> Stack:
    return start_stack(Shape(server="pywsgi"))


def test_a_job_is_submitted_waited_for_and_read(small: Stack) -> None:
    body = {"task": "echo", "params": {"value": 0}}
    response = small.request("POST", "/v1/jobs", json=body, headers={"Prefer": "wait=20"})
    assert (response.status_code, response.json()["result"]) == (200, 0)

    path = f"/get_result?job_id={response.json()['job_id']}"
    result = small.request("GET", path)
    assert (result.status_code, result.content) == (200, b"0")
    known = {"If-None-Match": result.headers["ETag"]}
    assert small.request("GET", path, headers=known).status_code == 304


def test_a_failed_job_answers_424(small: Stack) -> None:
    job_id = small.run("fails_for_good")
    assert small.request("GET", f"/get_result?job_id={job_id}").status_code == 424


def test_log_lines_can_be_followed(small: Stack) -> None:
    job_id = small.submit("talks", {"lines": 2})
    response = small.request(
        "GET", f"/v1/jobs/{job_id}/logs", headers={"Accept": "text/event-stream"}
    )
    assert response.text.count("event: log\n") == 2
    assert "event: end\n" in response.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/status", 200),
        ("GET", "/docs", 200),
        ("GET", "/nope", 404),
        ("DELETE", "/v1/jobs", 405),
        ("POST", "/v1/jobs", 400),
    ],
)
def test_other_answers_are_the_same(small: Stack, method: str, path: str, status: int) -> None:
    assert small.request(method, path).status_code == status


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(small: Stack, chunked: bool) -> None:
    text = b'{"task": "' + b"x" * 1_048_576 + b'"}'
    response = small.request(
        "POST",
        "/v1/jobs",
        data=iter([text[:70_000], text[70_000:]]) if chunked else text,
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == 413


def test_credentials_are_wanted(small: Stack) -> None:
    response = small.request("GET", "/v1/tasks", key=None)
    assert response.status_code == 401
