"""What an executor tells its supervisor of a job: progress, log lines, and how it ended."""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from types import FrameType

from jobresults.alerts import process
from jobresults.alerts.counts import Count
from jobresults.alerts.flusher import Batch
from jobresults.errors import Unavailable
from jobresults.jobs.outcome import JobError
from jobresults.jobs.running import LogLine
from jobresults.telemetry.sentry import Draft
from jobresults.worker.frames import frame

# First byte of each message to the supervisor; then the job's number, then the body.
PROGRESS, LOG, RESULT, ERROR, ALERTS = b"P", b"L", b"R", b"E", b"A"
# An event for Sentry: of a failure, to be sent if the job has failed with it; or one of the task's
# own, to be sent as it is.
FAILURE_EVENT, TASK_EVENT = b"F", b"S"
HEAD = struct.Struct("!cQ")
# What an outcome begins with: how long the attempt ran, in seconds.
RAN_SECONDS = struct.Struct("!d")
EVENT_ID_LENGTH = 32

_PROGRESS_INTERVAL_SECONDS = 0.1
_ALERTS_SECONDS = 0.3
_DETAIL_LENGTH = 2_000
_TRACEBACK_LENGTH = 50_000


class TaskTimeout(BaseException):
    """Raised inside a task when its time is over. Not an Exception, so that `except Exception` lets
    it pass.
    """


class Report:
    """The executor's end of the pipe, for one job; the task's threads may share it."""

    def __init__(self, pipe: int, number: int, began_at_seconds: float) -> None:
        self._pipe = pipe
        self._number = number
        self.pid = os.getpid()
        self._lock = threading.RLock()
        self._sending = False
        self._last_progress = 0.0
        self._held: bytes | None = None
        self._began_at_seconds = began_at_seconds
        self.close_log: Callable[[], None] = _nothing
        """Called before the outcome."""

    def progress(self, done: int, total: int | None, message: str | None) -> None:
        """Send progress, at most every 100 ms; what is held back goes out with the outcome."""
        report = {
            "done": _storable_number(done),
            "total": None if total is None else _storable_number(total),
            "message": None if message is None else _storable_text(message)[:_DETAIL_LENGTH],
        }
        self._held = json.dumps(report).encode()
        if time.monotonic() - self._last_progress >= _PROGRESS_INTERVAL_SECONDS:
            self._release()

    def log(self, line: LogLine) -> None:
        self._send(LOG, json.dumps(asdict(line)).encode())

    def alerts(self, counts: Sequence[Count]) -> None:
        """Errors that were logged, by this job or an earlier one."""
        self._send(ALERTS, json.dumps([count.as_json() for count in counts]).encode())

    def failure_event(self, draft: Draft) -> None:
        """Before the error it belongs to."""
        self._send(FAILURE_EVENT, draft.event_id.encode(), draft.envelope)

    def task_event(self, envelope: bytes) -> None:
        self._send(TASK_EVENT, envelope)

    def result(self, result: bytes) -> None:
        self._tell_rest()
        self._send(RESULT, self._ran(), result)

    def error(self, error: JobError, trace: str | None = None) -> None:
        self._tell_rest()
        report = {
            "error": asdict(error) | {"detail": _storable_text(error.detail)[:_DETAIL_LENGTH]},
            "traceback": None if trace is None else _storable_text(trace)[-_TRACEBACK_LENGTH:],
        }
        self._send(ERROR, self._ran(), json.dumps(report).encode())

    def _ran(self) -> bytes:
        return RAN_SECONDS.pack(time.monotonic() - self._began_at_seconds)

    def _tell_rest(self) -> None:
        """Before the outcome, after which nobody may listen any more."""
        process.alerts.flush(_ALERTS_SECONDS)
        self.close_log()
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._send(PROGRESS, self._held)
            self._held, self._last_progress = None, time.monotonic()

    def raise_timeout(self, _signal: int, _frame: FrameType | None) -> None:
        """A handler of SIGALRM. Not in the middle of a message, for that would tear the stream: the
        alarm comes again. Blocking the signal would not do, since any thread may receive it.

        Raises:
            TaskTimeout
        """
        if not self._sending and not process.alerts.is_flushing:
            raise TaskTimeout

    def _send(self, kind: bytes, *body: bytes) -> None:
        if os.getpid() != self.pid:
            return  # the task has forked, and its child logs
        message = memoryview(frame(HEAD.pack(kind, self._number), *body))
        with self._lock:
            try:
                self._sending = True
                while message:
                    message = message[os.write(self._pipe, message) :]
            finally:
                self._sending = False


class AlertPipe:
    """How an executor's counts of errors come to its supervisor, which may open Redis."""

    def __init__(self) -> None:
        self.report: Report | None = None

    def send(self, batch: Batch) -> None:
        """Raises Unavailable: no job has begun yet."""
        if self.report is None:
            raise Unavailable("the executor has no report to write to")
        self.report.alerts(batch.counts)

    def wait_out(self, pending: Sequence[Count], unavailable_seconds: float) -> None:
        """They go with the next job's."""


def _nothing() -> None:
    pass


def _storable_text(text: str) -> str:
    """What every database takes: no NUL, no half of a surrogate pair."""
    return str(text).encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _storable_number(number: int) -> int:
    """The nearest that fits into 64 bits."""
    return max(-(2**63), min(2**63 - 1, int(number)))
