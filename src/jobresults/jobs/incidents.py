"""What on-call hears of jobs: the `extra` of log records that become alerts.

Records with one key are one problem, whoever logs them. So a killed executor and the job that
fails by it share a key, and so do a lost worker and the outcome it brings too late. Each names its
page of docs/runbooks.
"""

from __future__ import annotations

import re
from typing import Any

EXECUTOR_KILLED = "executor_killed"
_CLASS = re.compile(r"[A-Za-z_]\w{0,99}(?=:|$)")
_PLACE = re.compile(r'^ +File ".*", line \d+, in (\S{1,100})$', re.MULTILINE)


def job_failed(
    task: str, queue: str, code: str, detail: str = "", traceback: str | None = None
) -> dict[str, Any]:
    """A job has failed for good. The same task failing in the same way is one problem: by the class
    of its exception and the function that raised it, since what an exception says differs from job
    to job.
    """
    if code == EXECUTOR_KILLED:
        return executor_killed(task, queue)
    how = where = code
    if code == "task_error" and (found := _CLASS.match(detail)) is not None:
        how = found[0]
        places = _PLACE.findall(traceback or "")
        where = f"{how} in {places[-1]}" if places else how
    extra = _extra("job-failed", f"job_failed:{task}:{where}", f"{task}: {how}", queue)
    return extra | {"alert_frames": traceback}


def executor_killed(task: str, queue: str) -> dict[str, Any]:
    """An executor was killed in the middle of a job."""
    title = f"Executors running task {task} are killed (often: out of memory)"
    return _extra("jobs-killed", f"{EXECUTOR_KILLED}:{task}", title, queue)


def executor_stuck(task: str, queue: str) -> dict[str, Any]:
    """An executor neither began its next job nor ended, and is replaced."""
    title = "Executors do not begin their jobs"
    return _extra("executor-stuck", "executor_stuck", title, queue, task=task)


def worker_lost(queue: str) -> dict[str, Any]:
    """A worker fell silent: its jobs go to others, fail, or come too late. Even a WARNING of it is
    an alert.
    """
    title = f"Workers of queue {queue} were lost"
    return _extra("worker-lost", f"worker_lost:{queue}", title, queue, alert=True)


def outcome_lost() -> dict[str, Any]:
    """What a job has come to could not be recorded; it runs again."""
    return _extra("outcome-lost", "outcome_lost", "Outcomes of jobs could not be recorded", None)


def unknown_task(task: str) -> dict[str, Any]:
    """Jobs wait for a worker that knows their task."""
    title = f"No worker knows task {task}: is its module in tasks.modules of the workers?"
    return _extra("unknown-task", f"unknown_task:{task}", title, None, task=task)


def dispatch_lost() -> dict[str, Any]:
    """Redis lost what waited in it. Even a WARNING of it is an alert."""
    return _extra("dispatch-lost", "dispatch_lost", "Redis lost waiting jobs", None, alert=True)


def _extra(
    runbook: str, key: str, title: str, queue: str | None, **fields: object
) -> dict[str, Any]:
    about = {"alert_key": key, "alert_title": title, "alert_runbook": runbook}
    return {**about, "queue": queue, **fields}
