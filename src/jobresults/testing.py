"""Running a task in its author's unit tests as a worker does, without any service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobresults.errors import InvalidRequest
from jobresults.jobs.catalog import ResultError, task_of
from jobresults.jobs.context import JobContext, running

__all__ = ["InvalidRequest", "ResultError", "TaskRun", "run_task"]


@dataclass(frozen=True)
class TaskRun:
    """What callers see of an attempt that succeeded. `progress`: each report as `(done, total,
    message)`; a service merges those that are closer than 100 ms.
    """

    result: Any
    progress: tuple[tuple[int, int | None, str | None], ...]


def run_task(
    function: Callable[..., Any],
    params: Mapping[str, Any] | None = None,
    *,
    job_id: str = "00000000-0000-7000-8000-000000000000",
    customer: str | None = None,
    attempt: int = 1,
    cancel_requested: bool = False,
) -> TaskRun:
    """Run one attempt: the parameters are validated and the result is encoded as those of a job
    are, and `current_job()` is that job. What it logs goes to the logger `jobresults.task`, where
    pytest's `caplog` finds it. Timeouts, isolation and the limit of the result's size are the
    service's and do not hold here.

    Raises:
        InvalidRequest: what a caller would be answered, 400; `extra["errors"]` has every problem.
        ResultError: the result is not what the task declares, or has no JSON form.
        CatalogError: the function is no task.
        Whatever the task raises.
    """
    task = task_of(function)
    reports: list[tuple[int, int | None, str | None]] = []
    context = JobContext(
        id=job_id,
        task=task.name,
        attempt=attempt,
        max_attempts=task.options.max_attempts,
        customer=customer,
        report_progress=lambda *report: reports.append(report),
        read_cancel_requested=lambda: cancel_requested,
    )
    with running(context):
        value = task.call(json.dumps(params or {}).encode())
    return TaskRun(json.loads(task.encode_result(value)), tuple(reports))
