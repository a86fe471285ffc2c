"""The executor: a forked child that runs one attempt of one job and reports to its parent through a
pipe.

It opens neither Redis nor the ledger. Whatever happens to it, the parent records the outcome.
"""

from __future__ import annotations

import ctypes
import json
import logging
import mmap
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, NoReturn

from jobresults.errors import InvalidRequest, PermanentError
from jobresults.jobs.catalog import ResultError, Task
from jobresults.jobs.context import JobContext, running
from jobresults.jobs.outcome import JobError
from jobresults.jobs.running import Claimed, LogLine
from jobresults.settings import JobsSettings
from jobresults.telemetry.logging_context import bound

# First byte of each message to the parent.
PROGRESS, LOG, RESULT, ERROR = b"P", b"L", b"R", b"E"

_PROGRESS_INTERVAL_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1
_DETAIL_LENGTH = 2_000
_TRACEBACK_LENGTH = 50_000


class TaskTimeout(BaseException):
    """Raised inside a task when its time is over. Not an Exception, so that `except Exception` lets
    it pass.
    """


def run_dispatched() -> NoReturn:
    """The function RQ's job hashes name. Our workers recognise it and never call it; other workers
    must not.
    """
    raise PermissionError("run this queue with `jobresults worker`, not with a stock RQ worker")


class Report:
    """The executor's end of the pipe to its parent; the task's threads may share it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._sending = False
        self._last_progress = 0.0
        self._held: bytes | None = None

    def progress(self, done: int, total: int | None, message: str | None) -> None:
        """Send progress, at most every 100 ms; what is held back goes out with the outcome."""
        report = {
            "done": _storable_number(done),
            "total": None if total is None else _storable_number(total),
            "message": None if message is None else _storable_text(message)[:_DETAIL_LENGTH],
        }
        self._held = PROGRESS + json.dumps(report).encode()
        if time.monotonic() - self._last_progress >= _PROGRESS_INTERVAL_SECONDS:
            self._release()

    def log(self, line: LogLine) -> None:
        self._send(LOG + json.dumps(asdict(line)).encode())

    def result(self, result: bytes) -> None:
        self._release()
        self._send(RESULT + result)

    def error(self, error: JobError, trace: str | None = None) -> None:
        self._release()
        report = {
            "error": asdict(error) | {"detail": _storable_text(error.detail)[:_DETAIL_LENGTH]},
            "traceback": None if trace is None else _storable_text(trace)[-_TRACEBACK_LENGTH:],
        }
        self._send(ERROR + json.dumps(report).encode())

    def _release(self) -> None:
        if self._held is not None:
            self._send(self._held)
            self._held, self._last_progress = None, time.monotonic()

    def raise_timeout(self, _signal: int, _frame: FrameType | None) -> None:
        """A handler of SIGALRM. Not in the middle of a message, for that would tear the stream: the
        alarm comes again. Blocking the signal would not do, since any thread may receive it.

        Raises:
            TaskTimeout
        """
        if not self._sending:
            raise TaskTimeout

    def _send(self, message: bytes) -> None:
        if os.getpid() != self._pid:
            return  # the task has forked, and its child logs
        with self._lock:
            try:
                self._sending = True
                self._pipe.send_bytes(message)
            finally:
                self._sending = False


class LogShipper(logging.Handler):
    """Keeps what the task logs with its job, up to the configured count and bytes."""

    def __init__(self, report: Report, settings: JobsSettings) -> None:
        super().__init__(logging.INFO)
        self._report = report
        self._lines_left = settings.max_log_lines
        self._bytes_left = settings.max_log_bytes

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines_left <= 0:
            return
        try:
            text = _storable_text(self.format(record))
        except Exception:  # noqa: BLE001 - as logging's own handlers: a bad line does not fail its task
            self.handleError(record)
            return
        self._lines_left -= 1
        self._bytes_left -= len(text.encode())
        level = record.levelname[:10]
        if self._lines_left <= 0 or self._bytes_left <= 0:
            self._lines_left = 0
            level, text = (
                "WARNING",
                "log limit of this job reached; further lines are not kept here",
            )
        self._report.log(LogLine(round(record.created * 1000), level, record.name[:200], text))


def execute(
    task: Task,
    job: Claimed,
    settings: JobsSettings,
    pipe: Connection,
    cancel_flag: mmap.mmap,
    parent_pid: int,
) -> NoReturn:
    """Run the attempt in this freshly forked process, and leave it. Never returns."""
    status = 1
    try:
        _become_executor(parent_pid)
        report = Report(pipe)
        shipper = LogShipper(report, settings)
        logging.getLogger().addHandler(shipper)
        context = JobContext(
            id=job.id,
            task=job.task,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            customer=job.customer,
            report_progress=report.progress,
            read_cancel_requested=lambda: cancel_flag[0] != 0,
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
            _attempt(task, job, settings, report)
        status = 0
    except BrokenPipeError:
        pass  # the parent is gone, and with it everyone who cares
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _attempt(task: Task, job: Claimed, settings: JobsSettings, report: Report) -> None:
    try:
        value = _within(job.timeout_seconds, lambda: task.call(job.params), report)
        result = task.encode_result(value)
    except TaskTimeout:
        report.error(timed_out(job.timeout_seconds), traceback.format_exc())
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
    else:
        if len(result) > settings.max_result_bytes:
            detail = (
                f"The result has {len(result)} bytes; the limit is {settings.max_result_bytes}."
            )
            report.error(JobError("result_too_large", "Result too large", detail, retryable=False))
        else:
            report.result(result)


def timed_out(timeout_seconds: float) -> JobError:
    """The error of an attempt that ran out of time."""
    return JobError(
        "timeout", "Task timed out", f"The attempt was stopped after {timeout_seconds:g} s."
    )


def _task_error(error: BaseException, *, retryable: bool) -> JobError:
    detail = f"{type(error).__name__}: {error}"
    return JobError("task_error", "Task failed", detail, retryable=retryable)


def _storable_text(text: str) -> str:
    """What every database takes: no NUL, no half of a surrogate pair."""
    return str(text).encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _storable_number(number: int) -> int:
    """The nearest that fits into 64 bits."""
    return max(-(2**63), min(2**63 - 1, int(number)))


def _within(timeout_seconds: float, call: Callable[[], Any], report: Report) -> Any:
    """Interrupt `call` when its time is over, and again every second in case it swallows that."""
    signal.signal(signal.SIGALRM, report.raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, timeout_seconds, 1.0)
    try:
        return call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _become_executor(parent_pid: int) -> None:
    os.setpgid(0, 0)  # so that the parent can kill what the task starts along with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)  # the parent died before the line above
    random.seed()
