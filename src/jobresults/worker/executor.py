"""The executor: a forked process that runs the attempts it is sent, one after the other, and
reports to its supervisor through a pipe.

It opens neither Redis nor the ledger. Whatever happens to it, its supervisor records the outcome.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import random
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, NoReturn

from jobresults.alerts import process
from jobresults.errors import InvalidRequest, PermanentError, UnknownTask
from jobresults.jobs import spans
from jobresults.jobs.catalog import Catalog, ResultError, Task
from jobresults.jobs.context import JobContext, running
from jobresults.jobs.outcome import JobError, is_tried_again
from jobresults.jobs.running import Claimed
from jobresults.settings import Settings
from jobresults.telemetry import sentry, tracing
from jobresults.telemetry.logging_context import bound
from jobresults.worker.board import Board
from jobresults.worker.capture import Capture
from jobresults.worker.frames import read_frame
from jobresults.worker.isolation import DONE, Isolation
from jobresults.worker.report import AlertPipe, Report, TaskTimeout

NAME = b"jr-executor"

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


class Executor:
    """The loop of the forked process."""

    def __init__(
        self, catalog: Catalog, settings: Settings, jobs: BinaryIO, reports: int, board: Board
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._jobs = jobs
        self._reports = reports
        self._board = board
        self._capture = Capture(settings.jobs, board)
        self._isolation = Isolation(self._serve_isolated)
        self._alerts = AlertPipe()

    def serve(self, parent_pid: int) -> NoReturn:
        """Run what comes until the supervisor closes the pipe, or until it is better replaced by a
        fresh one. Never returns.
        """
        status = 1
        try:
            become_executor(parent_pid)
            gc.freeze()  # else collections touch, and so copy, what is shared with the supervisor
            self._capture.install()
            # The first event at once, for the task may be about to kill this process.
            process.alerts.send_through(self._alerts, first_at_once=True)
            left = self._settings.worker.executor_max_jobs
            while left > 0 and (batch := read_frame(self._jobs)) is not None:
                for number, fields in pickle.loads(batch):  # nosec B301  # noqa: S301 - from our own parent
                    if not self._board.begin(number):
                        continue
                    left -= 1
                    if not self._run(number, Claimed._make(fields)) or left <= 0:
                        left = 0
                        break
            status = 0
        except BrokenPipeError:
            pass  # the supervisor is gone, and with it everyone who cares
        finally:
            _leave(status)

    def _run(self, number: int, job: Claimed) -> bool:
        """Whether this process is fit for another job."""
        report = Report(self._reports, number, self._board.begun_at_seconds)
        try:
            task = self._catalog.get(job.task)
        except UnknownTask as error:  # claims ask for known tasks only
            report.error(JobError("unknown_task", "Unknown task", error.detail))
            return True
        if task.options.isolation == "process":
            return self._run_isolated(number, job)
        self._isolation.stop()
        fit = self._attempt(task, number, job, report)
        _flush()
        return fit and self._is_clean()

    def _run_isolated(self, number: int, job: Claimed) -> bool:
        process = self._isolation.start(pickle.dumps((number, tuple(job))))
        self._board.child_pid = process.pid
        died = self._isolation.finish(process)
        self._board.child_pid = 0
        if died is None or self._board.has_reported(number):
            return True
        # It may have died in the middle of a message: nothing must follow on this pipe.
        self._board.child_ended(*died)
        return False

    def _serve_isolated(self, executor_pid: int, channel: socket.socket) -> NoReturn:
        """In a process for one job: wait for it and run it."""
        try:
            become_executor(executor_pid)
            with channel.makefile("rb") as stream:
                message = read_frame(stream)
            if message is not None:
                number, fields = pickle.loads(message)  # nosec B301  # noqa: S301 - from our own parent
                job = Claimed._make(fields)
                report = Report(self._reports, number, self._board.begun_at_seconds)
                self._attempt(self._catalog.get(job.task), number, job, report)
                self._board.report(number)
                _flush()
                channel.send(DONE)
        finally:
            _leave(0)

    def _attempt(self, task: Task, number: int, job: Claimed, report: Report) -> bool:
        self._alerts.report = report
        sentry.hand_over_to(report.task_event)
        run = spans.run_of(job)
        context = JobContext(
            id=job.id,
            task=job.task,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            customer=job.customer,
            report_progress=report.progress,
            read_cancel_requested=lambda: self._board.is_canceled(number),
            traceparent=None if run is None else run.traceparent,
            tracestate=None if run is None else run.state,
        )
        with (
            self._capture.of(report),
            bound(**job.about),
            tracing.within(run),
            running(context),
        ):
            return _attempt(task, job, self._settings.jobs.max_result_bytes, report)

    def _is_clean(self) -> bool:
        """Whether the last task left no process behind, and memory for the next one."""
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if used > self._settings.worker.executor_max_rss_mib * _RSS_UNITS_PER_MIB:
            return False
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        return False


_RSS_UNITS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10


def _attempt(task: Task, job: Claimed, max_result_bytes: int, report: Report) -> bool:
    """Run the task and report how it ended. False if what was raised may have left this process in
    the middle of something.
    """
    try:
        value = _within(job.timeout_seconds, lambda: task.call(job.params), report)
        result = task.encode_result(value)
    except TaskTimeout as error:
        _fail(job, report, timed_out(job.timeout_seconds), error, traceback.format_exc())
        return False
    except ResultError as error:
        code, title = "result_not_serializable", "Result is not JSON"
        _fail(job, report, JobError(code, title, str(error), retryable=False), error)
    except PermanentError as error:
        _fail(job, report, _task_error(error, retryable=False), error, traceback.format_exc())
    except InvalidRequest as error:
        code, title = "params_invalid", "Invalid parameters"
        _fail(job, report, JobError(code, title, error.detail, retryable=False), error)
    except BaseException as error:  # noqa: BLE001 - a task may raise anything; all of it is its failure
        _fail(job, report, _task_error(error, retryable=True), error, traceback.format_exc())
        return isinstance(error, Exception) and not isinstance(error, MemoryError)
    else:
        if len(result) > max_result_bytes:
            detail = f"The result has {len(result)} bytes; the limit is {max_result_bytes}."
            report.error(JobError("result_too_large", "Result too large", detail, retryable=False))
        else:
            report.result(result)
    return True


def _fail(
    job: Claimed, report: Report, error: JobError, cause: BaseException, trace: str | None = None
) -> None:
    """Report an error; if it is the job's last, then with an event for Sentry."""
    if not is_tried_again(job, error):
        draft = sentry.make(cause)
        if draft is not None:
            report.failure_event(draft)
    report.error(error, trace)


def timed_out(timeout_seconds: float) -> JobError:
    """The error of an attempt that ran out of time."""
    return JobError(
        "timeout", "Task timed out", f"The attempt was stopped after {timeout_seconds:g} s."
    )


def _task_error(error: BaseException, *, retryable: bool) -> JobError:
    detail = f"{type(error).__name__}: {error}"
    return JobError("task_error", "Task failed", detail, retryable=retryable)


def _within(timeout_seconds: float, call: Callable[[], Any], report: Report) -> Any:
    """Interrupt `call` when its time is over, and again every second in case it swallows that."""
    signal.signal(signal.SIGALRM, report.raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, timeout_seconds, 1.0)
    try:
        return call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def become_executor(parent_pid: int) -> None:
    """Make a forked process the leader of its own group, which dies with its parent."""
    os.setpgid(0, 0)  # so that the parent can kill what the task starts along with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(_PR_SET_NAME, NAME)
    if os.getppid() != parent_pid:
        os._exit(1)  # the parent died before the line above
    random.seed()


def _flush() -> None:
    """What the task has printed goes out now, and not with the next job's."""
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()


def _leave(status: int) -> NoReturn:
    _flush()
    os._exit(status)
