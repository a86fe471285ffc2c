"""Whose words these are: which attempt's log belongs to what runs here. A thread outlives its job
now and then; what it says then belongs to nobody, and never to the next job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, Literal

from jobresults.worker.job_log import JobLog

# False: nobody's. None: nobody has said so, and the thread may tell.
_current: ContextVar[JobLog | Literal[False] | None] = ContextVar(
    "jobresults_job_log", default=None
)
_STARTED_BY = "_jobresults_started_by"


class owned_by:
    """What is said inside belongs to this log; with None to nobody."""

    __slots__ = ("_log", "_token")

    def __init__(self, log: JobLog | None) -> None:
        self._log = log

    def __enter__(self) -> None:
        self._token = _current.set(self._log or False)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def current_log() -> JobLog | None:
    """The log of the attempt that runs here, or that has started this thread; None if there is
    none, or it has ended.
    """
    log = _current.get()
    if log is None:
        log = getattr(threading.current_thread(), _STARTED_BY, None)
    return log if log and log.is_open else None


def follow_threads() -> None:
    """From now on threads, and what is handed to a pool of them, belong to who starts them. Python
    before 3.14 gives a thread nothing of its starter's context, and a pool's never gets any.
    """
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_as_ours(thread: threading.Thread) -> None:
        setattr(thread, _STARTED_BY, current_log())
        start(thread)

    def submit_as_ours(
        pool: ThreadPoolExecutor, call: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        return submit(pool, _owned(current_log(), call), *args, **kwargs)

    threading.Thread.start = start_as_ours  # type: ignore[method-assign, assignment]
    ThreadPoolExecutor.submit = submit_as_ours  # type: ignore[method-assign, assignment]


def _owned(log: JobLog | None, call: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with owned_by(log):
            return call(*args, **kwargs)

    return run
