"""What a worker counts of its jobs, after the commit that makes it true: in memory, with no label
looked up twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from jobresults.jobs.catalog import Catalog
from jobresults.jobs.incidents import EXECUTOR_KILLED
from jobresults.jobs.outcome import Recorded
from jobresults.jobs.running import Claimed
from jobresults.jobs.states import State
from jobresults.settings import JobsSettings
from jobresults.telemetry import metrics
from jobresults.worker.attempts import Attempt
from jobresults.worker.settlement import Settled

# What a caller reads as an error's code, as the word it is counted under; other codes are plain
# failures.
_WORDS = {"timeout": "timeout", EXECUTOR_KILLED: "killed"}
OUTCOMES = ("succeeded", "failed", "canceled", "timeout", "killed")
RETRY_REASONS = ("failed", "timeout", "killed", "shutdown")
FENCED_REASONS = ("claim", "outcome", "lease")


class Tally:
    """One worker's. `claim`, `outcome` and `lease` are what it was late with when another already
    had the job.
    """

    def __init__(self, catalog: Catalog, settings: JobsSettings) -> None:
        self._start_within_seconds = cache(settings.start_within_seconds_of)
        self._ended = cache(metrics.JOBS_ENDED.labels)
        self._retried = cache(metrics.JOB_ATTEMPTS_RETRIED.labels)
        self._run = cache(metrics.JOB_RUN.labels)
        self._wait = cache(metrics.JOB_WAIT.labels)
        self._late = cache(metrics.JOB_STARTS_LATE.labels)
        self._turnaround = cache(metrics.JOB_TURNAROUND.labels)
        self._fenced = {
            reason: metrics.LEDGER_FENCED_WRITES.labels(reason) for reason in FENCED_REASONS
        }
        for task in catalog:
            name, queue = task.name, task.options.queue
            metrics.begin_at_zero(metrics.JOBS_ENDED, [name], [queue], OUTCOMES)
            metrics.begin_at_zero(metrics.JOB_ATTEMPTS_RETRIED, [name], RETRY_REASONS)
            self._run(name)
            self._wait(queue)
            self._late(queue)
            self._turnaround(name, queue)

    def begun(self, jobs: Iterable[Claimed]) -> None:
        """Attempts that the executor has begun."""
        for job in jobs:
            wait_seconds = max(0, job.started_at_ms - job.due_at_ms) / 1000
            self._wait(job.queue).observe(wait_seconds)
            late = self._late(job.queue)  # the series is there before its first event
            if wait_seconds > self._start_within_seconds(job.queue):
                late.inc()

    def settled(self, ended: Sequence[Attempt], settled: Settled) -> None:
        """All that one transaction has come to."""
        outcomes: Counter[tuple[str, str, str]] = Counter()
        for attempt, recorded in zip(ended, settled.recorded, strict=True):
            job = attempt.job
            if recorded is None:
                self._fenced["outcome"].inc()
            elif recorded.state.done:
                outcomes[job.task, job.queue, _outcome(attempt, recorded)] += 1
                self._observe_turnaround(job, recorded)
            elif attempt.ran_seconds is not None:
                self._retried(job.task, _reason(attempt)).inc()
            if attempt.ran_seconds is not None:
                self._run(job.task).observe(attempt.ran_seconds)
        for labels, count in outcomes.items():
            self._ended(*labels).inc(count)
        if settled.admitted.superseded:
            self._fenced["claim"].inc(settled.admitted.superseded)

    def _observe_turnaround(self, job: Claimed, recorded: Recorded) -> None:
        """Of a canceled job it would tell how long somebody thought about it."""
        if recorded.ended_at_ms is not None and recorded.state is not State.CANCELED:
            took_ms = max(0, recorded.ended_at_ms - job.created_at_ms)
            self._turnaround(job.task, job.queue).observe(took_ms / 1000)

    def lost(self, count: int) -> None:
        """So many leases had gone to other workers when this one looked."""
        self._fenced["lease"].inc(count)


def _outcome(attempt: Attempt, recorded: Recorded) -> str:
    if recorded.state is State.FAILED:
        return _word(attempt)
    if recorded.state is State.SUCCEEDED and attempt.ending is not None:
        metrics.RESULT_BYTES.observe(len(attempt.ending.result or b""))
    return recorded.state.value


def _reason(attempt: Attempt) -> str:
    is_cut_short = attempt.ending is not None and attempt.ending.requeue is not None
    return "shutdown" if is_cut_short else _word(attempt)


def _word(attempt: Attempt) -> str:
    error = attempt.ending.error if attempt.ending is not None else None
    return "failed" if error is None else _WORDS.get(error.code, "failed")
