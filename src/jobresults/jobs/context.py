"""What a running task may know and say of its job: `current_job()`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

logger = logging.getLogger("jobresults.task")


def _say_nothing(_done: int, _total: int | None, _message: str | None) -> None:
    pass


def _never() -> bool:
    return False


@dataclass(frozen=True)
class JobContext:
    """The job a task runs for. Outside a job `progress` does nothing and nothing is ever
    canceled.
    """

    id: str = "detached"
    task: str = ""
    attempt: int = 1
    max_attempts: int = 1
    customer: str | None = None
    traceparent: str | None = None
    """W3C Trace Context: what requests to others carry to be part of the job's trace."""
    tracestate: str | None = None
    """Goes along with `traceparent`, if there is any."""
    log: logging.Logger = field(default=logger)
    report_progress: Callable[[int, int | None, str | None], None] = field(
        default=_say_nothing, repr=False
    )
    read_cancel_requested: Callable[[], bool] = field(default=_never, repr=False)

    def progress(self, done: int, total: int | None = None, message: str | None = None) -> None:
        """Tell callers how far the job is: `done` of `total` units, and a line for humans.

        Cheap enough to call in a loop: reports closer than 100 ms are merged, the last one is kept.
        """
        self.report_progress(done, total, message)

    @property
    def cancel_requested(self) -> bool:
        """True once someone asked to cancel; return or raise soon, or the job is killed."""
        return self.read_cancel_requested()


_current: ContextVar[JobContext] = ContextVar("jobresults_current_job")
_DETACHED = JobContext()


def current_job() -> JobContext:
    """The running job; outside one, a context that does nothing, so that a task is testable as a
    function.
    """
    return _current.get(_DETACHED)


@contextmanager
def running(job: JobContext) -> Iterator[JobContext]:
    """Make `job` the current one within the block."""
    token = _current.set(job)
    try:
        yield job
    finally:
        _current.reset(token)
