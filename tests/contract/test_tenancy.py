"""One client's jobs do not exist for another: not read, not touched, not told from unknown ones."""

from __future__ import annotations

import pytest
import requests

from jobresults.web.app import ROUTES
from jobresults.web.routing import Route
from tests.services.stack import Stack
from tests.services.stacks import with_and_without_lane

pytestmark = with_and_without_lane

UNKNOWN = "00000000-0000-7000-8000-000000000000"
MALFORMED = "x" * len(UNKNOWN)
# Every route that names a job, found by itself when one is added.
OF_ONE_JOB = [
    (route.method, route.path.replace("<job_id>", "{}"))
    for route in ROUTES
    if "<job_id>" in route.path
] + [
    (route.method, f"{route.path}?job_id={{}}") for route in ROUTES if "job_id" in route.parameters
]
matrix = pytest.mark.parametrize(("method", "path"), OF_ONE_JOB)


def seen(response: requests.Response, job_id: str) -> tuple[int, dict[str, str], bytes]:
    """All a caller sees, but for what differs between any two requests."""
    request_id = response.headers["X-Request-ID"]
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("Date", "X-Request-ID")
    }
    body = response.content.replace(request_id.encode(), b"?").replace(job_id.encode(), b"?")
    return response.status_code, headers, body


@matrix
@pytest.mark.parametrize("task", ["echo", "fails_for_good", "unserved"])
def test_a_foreign_job_looks_like_an_unknown_one(
    stack: Stack, method: str, path: str, task: str
) -> None:
    foreign = stack.submit("unserved") if task == "unserved" else stack.run(task)
    before, jobs = stack.job(foreign), stack.count_jobs()

    answers = [
        seen(stack.request(method, path.format(job_id), key=stack.other_key), job_id)
        for job_id in (foreign, UNKNOWN)
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert stack.count_jobs() == jobs
    after = stack.job(foreign)
    assert {**before, "position": None} == {**after, "position": None}


@matrix
def test_a_wait_does_not_tell_a_foreign_job_from_an_unknown_one(
    stack: Stack, method: str, path: str
) -> None:
    foreign = stack.submit("unserved")
    headers = {"Prefer": "wait=20"}
    answers = [
        seen(
            stack.request(method, path.format(job_id), key=stack.other_key, headers=headers), job_id
        )
        for job_id in (foreign, UNKNOWN)
    ]
    assert answers[0] == answers[1]


@matrix
def test_operators_reach_every_clients_job(stack: Stack, method: str, path: str) -> None:
    job_id = stack.submit("unserved")
    response = stack.request(method, path.format(job_id), key=stack.operator_key)
    assert response.status_code in (200, 202, 409)


@matrix
def test_a_malformed_id_is_told_by_get_result_alone(stack: Stack, method: str, path: str) -> None:
    responses = [stack.request(method, path.format(job_id)) for job_id in (MALFORMED, UNKNOWN)]
    if path.startswith("/get_result"):
        assert [response.status_code for response in responses] == [400, 404]
    else:
        assert seen(responses[0], MALFORMED) == seen(responses[1], UNKNOWN)


def test_the_matrix_holds_every_route_that_names_a_job(stack: Stack) -> None:
    assert len(OF_ONE_JOB) == 8
    assert all(isinstance(route, Route) for route in ROUTES)
