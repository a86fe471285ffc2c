"""The parent's side of one attempt: fork the executor, watch it, keep the lease, and tell how it
ended.
"""

from __future__ import annotations

import json
import logging
import mmap
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from jobresults.database import Database
from jobresults.errors import LedgerUnavailable
from jobresults.jobs import running
from jobresults.jobs.catalog import Task
from jobresults.jobs.outcome import JobError
from jobresults.jobs.running import Claimed, LogLine
from jobresults.settings import Settings
from jobresults.worker import executor

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.1
_CANCEL_CHECK_SECONDS = 0.75
_PROGRESS_WRITE_SECONDS = 0.5
_PROGRESS_EVENT_SECONDS = 5.0
# How long after its own alarm an executor may go on before it is killed: C code does not see the
# alarm.
_TIMEOUT_GRACE_SECONDS = 2.0
# How long an executor may take to leave once it has reported.
_EXIT_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Ending:
    """How an attempt ended. Neither result nor error: it was given up on purpose (`requeue`,
    `fenced`).
    """

    result: bytes | None = None
    error: JobError | None = None
    traceback: str | None = None
    requeue: bool = False
    fenced: bool = False


class Attempt:
    """One executor from fork to end."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        task: Task,
        job: Claimed,
        *,
        must_stop: Callable[[], bool],
        on_heartbeat: Callable[[], None],
    ) -> None:
        self._database = database
        self._settings = settings
        self._job = job
        self._must_stop = must_stop
        self._on_heartbeat = on_heartbeat
        self._cancel_flag = mmap.mmap(-1, 1)
        self._kill_reason: Ending | None = None
        self._kill_at: float | None = None
        self._outcome: Ending | None = None
        self._progress: dict[str, Any] | None = None
        self._logs: list[LogLine] = []
        now = time.monotonic()
        self._deadline = now + job.timeout_seconds + _TIMEOUT_GRACE_SECONDS
        self._next_heartbeat = now + settings.worker.heartbeat_seconds
        self._next_cancel_check = now + _CANCEL_CHECK_SECONDS
        self._next_progress_write = now
        self._next_progress_event = now
        self._pid, self._pipe = self._fork(task)

    def run(self) -> Ending:
        """Wait for the end, heartbeating meanwhile. Returns once no process of the attempt is
        left.
        """
        while True:
            self._receive(_TICK_SECONDS)
            pid, status, usage = os.wait4(self._pid, os.WNOHANG)
            if pid:
                break
            self._tick(time.monotonic())
        self._receive(0)
        self._kill()  # what the task may have started and left behind
        self._pipe.close()
        self._write_reports(final=True)
        if self._outcome is not None:
            return self._outcome
        return self._kill_reason or Ending(error=_killed(status, usage.ru_maxrss))

    def _fork(self, task: Task) -> tuple[int, Connection]:
        reader, writer = multiprocessing.Pipe(duplex=False)
        parent_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            reader.close()
            executor.execute(
                task, self._job, self._settings.jobs, writer, self._cancel_flag, parent_pid
            )
        writer.close()
        return pid, reader

    def _receive(self, timeout_seconds: float) -> None:
        """Take in what the executor has sent; wait for the first message only."""
        try:
            while self._pipe.poll(timeout_seconds):
                self._take(self._pipe.recv_bytes())
                if timeout_seconds:
                    return
        except (EOFError, OSError):  # the executor was killed, perhaps in the middle of a message
            if timeout_seconds:
                time.sleep(0.001)  # closed but not reaped yet

    def _take(self, message: bytes) -> None:
        kind, body = message[:1], message[1:]
        if kind == executor.RESULT:
            self._outcome = Ending(result=body)
        elif kind == executor.ERROR:
            report = json.loads(body)
            self._outcome = Ending(error=JobError(**report["error"]), traceback=report["traceback"])
        elif kind == executor.PROGRESS:
            self._progress = json.loads(body)
        elif kind == executor.LOG:
            self._logs.append(LogLine(**json.loads(body)))

    def _tick(self, now: float) -> None:
        if self._kill_at is not None and now >= self._kill_at:
            self._kill()
        if self._outcome is not None:
            self._kill_at = self._kill_at or now + _EXIT_GRACE_SECONDS
        elif self._kill_reason is None:
            self._look_for_reasons_to_stop(now)
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + self._settings.worker.heartbeat_seconds
            self._heartbeat()
        if now >= self._next_progress_write:
            self._next_progress_write = now + _PROGRESS_WRITE_SECONDS
            self._write_reports()

    def _look_for_reasons_to_stop(self, now: float) -> None:
        if now >= self._deadline:
            self._stop(Ending(error=executor.timed_out(self._job.timeout_seconds)), at=now)
        elif self._must_stop():
            self._stop(Ending(requeue=True), at=now)
        elif now >= self._next_cancel_check:
            self._next_cancel_check = now + _CANCEL_CHECK_SECONDS
            self._check_cancel(now)

    def _check_cancel(self, now: float) -> None:
        try:
            requested = running.cancel_requested(self._database, self._job.id, self._job.epoch)
        except LedgerUnavailable:
            return
        if requested is None:
            self._stop(Ending(fenced=True), at=now)
        elif requested:
            self._cancel_flag[0] = 1
            self._stop(Ending(error=_CANCELED), at=now + self._settings.worker.cancel_grace_seconds)

    def _stop(self, reason: Ending, *, at: float) -> None:
        self._kill_reason, self._kill_at = reason, at

    def _kill(self) -> None:
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        except PermissionError:  # the group is not ours any more: already reaped
            logger.debug("executor group %d is gone", self._pid)

    def _heartbeat(self) -> None:
        try:
            running.extend_lease(
                self._database,
                self._job.id,
                self._job.epoch,
                self._settings.worker.lease_seconds,
            )
        except LedgerUnavailable as error:
            logger.warning("heartbeat missed: %s", error)
        self._on_heartbeat()  # last: Redis may hang

    def _write_reports(self, *, final: bool = False) -> None:
        progress, self._progress = self._progress, None
        logs, self._logs = self._logs, []
        try:
            if logs:
                running.append_logs(self._database, self._job.id, self._job.attempt, logs)
            if progress is not None:
                now = time.monotonic()
                event = now >= self._next_progress_event
                if event:
                    self._next_progress_event = now + _PROGRESS_EVENT_SECONDS
                running.record_progress(
                    self._database, self._job.id, self._job.epoch, **progress, event=event
                )
        except LedgerUnavailable as error:
            if final:
                logger.warning(
                    "last progress and log lines of job %s are lost: %s", self._job.id, error
                )
            else:
                self._progress, self._logs = self._progress or progress, logs + self._logs


_CANCELED = JobError("job_canceled", "Job canceled", "The job was stopped on request.")


def _killed(status: int, max_rss_kib: int) -> JobError:
    """The error of an executor that ended without a word: killed, out of memory, or left by
    `os._exit`.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        how = f"was killed by {signal.Signals(number).name}"
        if number == signal.SIGKILL:
            how += " (often: out of memory)"
    else:
        how = f"left with exit status {os.waitstatus_to_exitcode(status)}"
    return JobError(
        "executor_killed",
        "Executor killed",
        f"The executor {how}; it used {max_rss_kib // 1024} MiB.",
    )
