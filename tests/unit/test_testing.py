"""`jobresults.testing`: an author's unit test sees what callers of the service would see."""

from __future__ import annotations

import logging
from datetime import date

import pytest

from jobresults import current_job, task
from jobresults.errors import CatalogError
from jobresults.testing import InvalidRequest, ResultError, run_task


@task(name="report", max_attempts=7)
def report(day: date, pages: int = 1) -> dict[str, str | bool | None]:
    """Tell what it was given, as what, and for which job."""
    job = current_job()
    job.progress(1, pages, "written")
    job.log.info("written")
    return {
        "type": type(day).__name__,
        "job": job.id,
        "customer": job.customer,
        "starts": f"{job.attempt}/{job.max_attempts}",
        "canceled": job.cancel_requested,
    }


@task(name="wrong")
def wrong() -> int:
    """Return another type than declared."""
    return "seven"  # type: ignore[return-value]


def test_it_runs_as_the_job_it_is_told_to_be(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    params = {"day": "2026-01-31", "pages": 3}
    ran = run_task(report, params, job_id="j", customer="ann", attempt=2, cancel_requested=True)
    assert ran.result == {
        "type": "date",
        "job": "j",
        "customer": "ann",
        "starts": "2/7",
        "canceled": True,
    }
    assert ran.progress == ((1, 3, "written"),)
    assert caplog.messages == ["written"]
    assert current_job().id == "detached"


def test_parameters_are_refused_as_the_service_refuses_them() -> None:
    with pytest.raises(InvalidRequest) as refused:
        run_task(report, {"day": "tomorrow", "more": 1})
    errors = refused.value.extra["errors"]
    assert [problem["path"] for problem in errors] == ["params.day", "params.more"]


def test_a_result_that_callers_could_not_read_is_refused() -> None:
    with pytest.raises(ResultError, match="returned str"):
        run_task(wrong)


def test_what_is_no_task_is_named() -> None:
    with pytest.raises(CatalogError, match="test_what_is_no_task_is_named is no @task"):
        run_task(test_what_is_no_task_is_named)
