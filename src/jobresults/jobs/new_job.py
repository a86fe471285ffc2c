"""What a caller hands in, and the ledger's row that becomes of it once all of it is valid."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from jobresults.errors import InvalidRequest
from jobresults.jobs.catalog import Catalog, Task
from jobresults.jobs.states import State, WaitingOn
from jobresults.settings import JobsSettings
from jobresults.telemetry import tracing


@dataclass(frozen=True)
class Submission:
    """What a caller hands in. None means the task's or the installation's default.

    `params_json` is a JSON object; `run_at_ms` is absolute and wins over `delay_seconds`.
    """

    task: str
    params_json: bytes
    client: str
    customer: str | None = None
    queue: str | None = None
    delay_seconds: float | None = None
    run_at_ms: int | None = None
    max_attempts: int | None = None
    timeout_seconds: float | None = None
    tags: tuple[str, ...] = ()
    request_id: str | None = None
    rerun_of: str | None = None
    callback_url: str | None = None
    idempotency_key: str | None = None
    fingerprint: str = field(default="", repr=False)


@dataclass(frozen=True)
class NewJob:
    """A row of `job` that lacks only its times: these are the database's to tell.

    It is due at `due_at_ms` or, if that is None, `delay_ms` after its creation.
    """

    row: dict[str, Any]
    tags: frozenset[str]
    due_at_ms: int | None
    delay_ms: int

    @property
    def client(self) -> str:
        return str(self.row["client"])

    @property
    def size_bytes(self) -> int:
        """What it adds to what its client stores."""
        return len(self.row["params"])

    def set_times(self, now_ms: int) -> None:
        """Let it be created now."""
        due_at_ms = now_ms + self.delay_ms if self.due_at_ms is None else self.due_at_ms
        scheduled = self.row["waiting_on"] == WaitingOn.SCHEDULE
        self.row.update(
            created_at_ms=now_ms,
            due_at_ms=due_at_ms,
            dispatched_at_ms=None if scheduled else now_ms,
        )

    def wait_for_turn(self, turn: int) -> None:
        """Hold it in the ledger, instead of handing it to Redis."""
        self.row.update(dispatched_at_ms=None, turn=turn)


def new_job(
    submission: Submission, job_id: str, catalog: Catalog, settings: JobsSettings
) -> NewJob:
    """The job that a valid submission becomes, in the trace that runs.

    Raises:
        UnknownTask, InvalidRequest: every problem with its path.
    """
    task = catalog.get(submission.task)
    task.validate(submission.params_json)
    _check_bounds(submission, catalog, settings)
    return NewJob(
        _row(submission, job_id, task, settings),
        frozenset(submission.tags),
        submission.run_at_ms,
        round((submission.delay_seconds or 0) * 1000),
    )


def _check_bounds(submission: Submission, catalog: Catalog, settings: JobsSettings) -> None:
    problems = [
        {"path": name, "message": f"must be at most {limit:g}"}
        for name, wanted, limit in (
            ("max_attempts", submission.max_attempts, settings.max_attempts_limit),
            ("timeout_seconds", submission.timeout_seconds, settings.max_timeout_seconds),
            ("delay_seconds", submission.delay_seconds, settings.max_delay_seconds),
        )
        if wanted is not None and wanted > limit
    ]
    if (submission.run_at_ms or 0) / 1000 - time.time() > settings.max_delay_seconds:
        message = f"must be at most {settings.max_delay_seconds} s from now"
        problems.append({"path": "run_at", "message": message})
    if submission.queue is not None and submission.queue not in catalog.queues:
        queues = ", ".join(sorted(catalog.queues))
        problems.append({"path": "queue", "message": f"no task uses it; queues: {queues}"})
    if problems:
        raise InvalidRequest(f"{problems[0]['path']}: {problems[0]['message']}", problems)


def _row(submission: Submission, job_id: str, task: Task, settings: JobsSettings) -> dict[str, Any]:
    options = task.options
    scheduled = submission.run_at_ms is not None or bool(submission.delay_seconds)
    trace = tracing.current()
    return {
        "id": job_id,
        "task": task.name,
        "queue": submission.queue or options.queue,
        "client": submission.client,
        "customer": submission.customer,
        "params": submission.params_json,
        "tags": json.dumps(submission.tags) if submission.tags else "[]",
        "state": State.QUEUED.value,
        "waiting_on": (WaitingOn.SCHEDULE if scheduled else WaitingOn.WORKER).value,
        "epoch": 1,
        "attempt": 0,
        "max_attempts": submission.max_attempts or options.max_attempts,
        "timeout_seconds": submission.timeout_seconds
        or options.timeout_seconds
        or settings.timeout_seconds,
        "result_ttl_seconds": options.result_ttl_seconds or settings.result_ttl_seconds,
        "request_id": submission.request_id,
        "traceparent": None if trace is None else trace.traceparent,
        "tracestate": None if trace is None else trace.state,
        "rerun_of": submission.rerun_of,
        "callback_url": submission.callback_url,
        "turn": None,
    }
