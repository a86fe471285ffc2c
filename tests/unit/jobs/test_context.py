"""The running job as its task sees it."""

from __future__ import annotations

import logging

from jobresults import current_job
from jobresults.jobs.context import JobContext, running


def test_outside_a_job_the_context_does_nothing() -> None:
    job = current_job()
    job.progress(1, 2, "half")
    assert (job.id, job.attempt, job.customer, job.cancel_requested) == ("detached", 1, None, False)
    assert isinstance(job.log, logging.Logger)


def test_inside_a_job_the_context_is_the_jobs() -> None:
    said: list[tuple[int, int | None, str | None]] = []
    job = JobContext(
        id="1",
        report_progress=lambda *report: said.append(report),
        read_cancel_requested=lambda: True,
    )
    with running(job):
        current_job().progress(3)
        current_job().progress(1, 2, "half")
        assert current_job() is job
        assert current_job().cancel_requested
    assert said == [(3, None, None), (1, 2, "half")]
    assert current_job().id == "detached"
