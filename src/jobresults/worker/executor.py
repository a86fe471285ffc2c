"""The executor: a forked process that runs the attempts it is sent, one after the other, and
reports to its supervisor through a pipe.

It opens neither Redis nor the ledger. Whatever happens to it, its supervisor records the outcome.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import pickle
import random
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, NoReturn

from jobresults.errors import InvalidRequest, PermanentError, UnknownTask
from jobresults.jobs.catalog import Catalog, ResultError, Task
from jobresults.jobs.context import JobContext, running
from jobresults.jobs.outcome import JobError
from jobresults.jobs.running import Claimed
from jobresults.settings import Settings
from jobresults.telemetry.logging_context import bound
from jobresults.worker.board import Board
from jobresults.worker.frames import read_frame
from jobresults.worker.report import LogShipper, Report, TaskTimeout

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
        self._shipper = LogShipper(settings.jobs.max_log_lines, settings.jobs.max_log_bytes)

    def serve(self, parent_pid: int) -> NoReturn:
        """Run what comes until the supervisor closes the pipe, or until it is better replaced by a
        fresh one. Never returns.
        """
        status = 1
        try:
            become_executor(parent_pid)
            gc.freeze()  # else collections touch, and so copy, what is shared with the supervisor
            logging.getLogger().addHandler(self._shipper)
            left = self._settings.worker.executor_max_jobs
            while left > 0 and (batch := read_frame(self._jobs)) is not None:
                for number, fields in pickle.loads(batch):  # nosec B301  # noqa: S301 - from our own parent
                    if not self._board.begin(number):
                        continue
                    left -= 1
                    if not self._run(number, Claimed(*fields)) or left <= 0:
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
            return self._run_isolated(task, number, job)
        fit = self._attempt(task, number, job, report)
        _flush()
        return fit and self._is_clean()

    def _run_isolated(self, task: Task, number: int, job: Claimed) -> bool:
        executor_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                become_executor(executor_pid)
                began_at_seconds = self._board.begun_at_seconds
                report = Report(self._reports, number, began_at_seconds)
                self._attempt(task, number, job, report)
                self._board.report(number)
            finally:
                _leave(0)
        self._board.child_pid = pid
        _, status, usage = os.wait4(pid, 0)
        kill_group(pid)  # what the task has started and left behind
        self._board.child_pid = 0
        if self._board.has_reported(number):
            return True
        # It may have died in the middle of a message: nothing must follow on this pipe.
        self._board.child_ended(status, usage.ru_maxrss)
        return False

    def _attempt(self, task: Task, number: int, job: Claimed, report: Report) -> bool:
        self._shipper.ship_to(report)
        context = JobContext(
            id=job.id,
            task=job.task,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            customer=job.customer,
            report_progress=report.progress,
            read_cancel_requested=lambda: self._board.is_canceled(number),
        )
        with (
            bound(
                request_id=job.request_id,
                job_id=job.id,
                task=job.task,
                customer=job.customer,
                client=job.client,
                attempt=job.attempt,
            ),
            running(context),
        ):
            fit = _attempt(task, job, self._settings.jobs.max_result_bytes, report)
        self._shipper.ship_to(None)
        return fit

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
    except TaskTimeout:
        report.error(timed_out(job.timeout_seconds), traceback.format_exc())
        return False
    except ResultError as error:
        report.error(
            JobError("result_not_serializable", "Result is not JSON", str(error), retryable=False)
        )
    except PermanentError as error:
        report.error(_task_error(error, retryable=False), traceback.format_exc())
    except InvalidRequest as error:
        report.error(
            JobError("params_invalid", "Invalid parameters", error.detail, retryable=False)
        )
    except BaseException as error:  # noqa: BLE001 - a task may raise anything; all of it is its failure
        report.error(_task_error(error, retryable=True), traceback.format_exc())
        return isinstance(error, Exception) and not isinstance(error, MemoryError)
    else:
        if len(result) > max_result_bytes:
            detail = f"The result has {len(result)} bytes; the limit is {max_result_bytes}."
            report.error(JobError("result_too_large", "Result too large", detail, retryable=False))
        else:
            report.result(result)
    return True


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


def kill_group(pid: int) -> None:
    """SIGKILL for a process and for all it has started."""
    with suppress(ProcessLookupError, PermissionError):  # gone, and maybe another's by now
        os.killpg(pid, signal.SIGKILL)


def _flush() -> None:
    """What the task has printed goes out now, and not with the next job's."""
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()


def _leave(status: int) -> NoReturn:
    _flush()
    os._exit(status)
