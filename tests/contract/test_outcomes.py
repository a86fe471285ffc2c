"""How jobs end badly, and what callers then read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.stack import Stack
from tests.services.stacks import on_both_databases

pytestmark = on_both_databases


@pytest.mark.parametrize(
    ("task", "code", "attempts", "retryable", "detail"),
    [
        ("fails", "task_error", 2, True, "ValueError: boom"),
        ("fails_for_good", "task_error", 1, False, "PermanentError: the account is closed"),
        ("is_killed", "executor_killed", 2, True, "SIGKILL"),
        ("never_ends", "timeout", 1, True, "0.3 s"),
        ("swallows_its_timeout", "timeout", 1, True, "0.3 s"),
        ("returns_an_object", "result_not_serializable", 1, False, "returned object"),
        ("returns_nan", "result_not_serializable", 1, False, "returned float"),
        ("returns_the_wrong_type", "result_not_serializable", 1, False, "returned str"),
        ("returns_too_much", "result_too_large", 1, False, "100002 bytes"),
        ("is_incoherent", "task_error", 1, True, "ValueError"),
    ],
)
def test_a_job_that_cannot_succeed_fails_with_its_reason(
    stack: Stack, task: str, code: str, attempts: int, retryable: bool, detail: str
) -> None:
    job = stack.ended(stack.submit(task))

    assert (job["state"], job["done"], job["attempt"]) == ("failed", True, attempts)
    assert "result" not in job
    error = job["error"]
    assert (error["code"], error["retryable"]) == (code, retryable)
    assert error["type"] == f"urn:jobresults:job-error:{code}"
    assert error["title"]
    assert detail in error["detail"]
    response = stack.request("GET", f"/get_result?job_id={job['job_id']}")
    assert response.status_code == 424
    assert response.json()["job_error"] == error


def test_what_a_task_says_is_kept_even_where_no_database_could_hold_it(stack: Stack) -> None:
    job_id = stack.run("is_incoherent")

    job = stack.job(job_id)
    assert job["progress"] == {"done": 2**63 - 1, "total": None, "message": "\ufffd ?"}
    assert job["error"]["detail"] == "ValueError: \ufffd ?"
    (line,) = stack.request("GET", f"/v1/jobs/{job_id}/logs").json()["logs"]
    assert line["message"] == r"\x00 \ud800"


def test_a_job_that_fails_first_may_succeed_later(stack: Stack) -> None:
    job = stack.ended(stack.submit("succeeds_at_attempt", {"attempt": 3}))
    assert (job["state"], job["attempt"], job["result"]) == ("succeeded", 3, 3)


def test_a_submission_may_allow_fewer_attempts_and_less_time(stack: Stack) -> None:
    limits: dict[str, Any] = {"max_attempts": 1, "timeout_seconds": 0.2}
    job = stack.ended(stack.submit("waits_for_file", {"path": "/nowhere/at/all"}, **limits))
    assert (job["error"]["code"], job["attempt"]) == ("timeout", 1)
    assert "0.2 s" in job["error"]["detail"]
