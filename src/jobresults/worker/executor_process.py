"""The supervisor's side of an executor: the fork, the two pipes, and its end."""

from __future__ import annotations

import json
import os
import pickle
import selectors
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobresults.alerts.counts import Count
from jobresults.jobs.catalog import Catalog
from jobresults.jobs.outcome import Ending, JobError
from jobresults.jobs.running import Claimed, LogLine, Progress
from jobresults.settings import Settings
from jobresults.telemetry.sentry import Draft
from jobresults.worker import executor, report
from jobresults.worker.board import Board
from jobresults.worker.frames import FrameBuffer, frame
from jobresults.worker.guard import Guard, kill_group, lead_group

_READ_BYTES = 1 << 20
_LEAVING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """What an executor has told of one job: how far it is, a line, an event for Sentry, or how it
    ended; or, of any job, which errors were logged.
    """

    number: int
    said: Progress | LogLine | Draft | bytes | Ending | list[Count]
    ran_seconds: float = 0.0


class ExecutorProcess:
    """One executor from fork to end. Nothing here waits for it but `wait` and `end`."""

    def __init__(self, catalog: Catalog, settings: Settings, guard: Guard) -> None:
        self.board = Board()
        jobs_read, self._jobs = os.pipe()
        self._reports, reports_write = os.pipe()
        supervisor_pid = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            guard.release_in_child()
            os.close(self._jobs)
            os.close(self._reports)
            jobs = os.fdopen(jobs_read, "rb", buffering=65_536)
            executor.Executor(catalog, settings, jobs, reports_write, self.board).serve(
                supervisor_pid
            )
        lead_group(self.pid)
        os.close(jobs_read)
        os.close(reports_write)
        os.set_blocking(self._jobs, False)
        os.set_blocking(self._reports, False)
        self._buffer = FrameBuffer()
        self._unsent = bytearray()
        self._has_closed = False
        self._exit: tuple[int, int] | None = None

    def send(self, jobs: Sequence[tuple[int, Claimed]]) -> None:
        """Hand over jobs under their numbers. Never blocks: what the pipe does not hold goes out in
        `wait`.
        """
        self._unsent += frame(pickle.dumps([(number, tuple(job)) for number, job in jobs]))
        self._flush()

    def wait(self, seconds: float) -> None:
        """Until it tells something or ends, but no longer than that."""
        if self._has_closed:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._reports, selectors.EVENT_READ)
            if self._unsent:
                selector.register(self._jobs, selectors.EVENT_WRITE)
            for key, _ in selector.select(seconds):
                if key.fd == self._jobs:
                    self._flush()

    def receive(self) -> Iterator[Told]:
        """What it has told since. Empty once it has closed its end: then it is about to be dead."""
        while not self._has_closed:
            try:
                data = os.read(self._reports, _READ_BYTES)
            except BlockingIOError:
                return
            self._has_closed = not data
            for message in self._buffer.feed(data):
                yield _parse(message)

    def has_ended(self) -> bool:
        """Whether it runs no more. Both are asked, for a task may close pipes that are not its own,
        or leave a child behind that holds them open.
        """
        return self._has_closed or self._reaped()

    def kill(self) -> None:
        """SIGKILL for it and for all its tasks have started."""
        if self.board.child_pid:
            kill_group(self.board.child_pid)
        kill_group(self.pid)

    def end(self) -> tuple[int, int]:
        """Kill it, unless it leaves by itself just now, and what its tasks have left behind. Its
        last words can be received after that. Returns its exit status and the most memory it used,
        in KiB; of the process of the job alone, if that is what died.
        """
        until = time.monotonic() + (_LEAVING_SECONDS if self._has_closed else 0.0)
        while not self._reaped():
            if time.monotonic() >= until:
                self.kill()
            time.sleep(0.001)
        self.kill()
        assert self._exit is not None
        return self.board.child_end or self._exit

    def close(self) -> None:
        """Close the pipes of an executor that has ended."""
        os.close(self._jobs)
        os.close(self._reports)

    def _reaped(self) -> bool:
        if self._exit is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._exit = status, usage.ru_maxrss
        return self._exit is not None

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._jobs, self._unsent)]
        except (BlockingIOError, BrokenPipeError):
            return  # full, or gone: then its jobs go to the next one


def _parse(message: bytes) -> Told:
    kind, number = report.HEAD.unpack_from(message)
    body = memoryview(message)[report.HEAD.size :]
    if kind == report.PROGRESS:
        return Told(number, Progress(**json.loads(bytes(body))))
    if kind == report.LOG:
        return Told(number, LogLine(**json.loads(bytes(body))))
    if kind == report.ALERTS:
        return Told(number, [Count.from_json(count) for count in json.loads(bytes(body))])
    if kind == report.FAILURE_EVENT:
        event_id = bytes(body[: report.EVENT_ID_LENGTH]).decode()
        return Told(number, Draft(event_id, bytes(body[report.EVENT_ID_LENGTH :])))
    if kind == report.TASK_EVENT:
        return Told(number, bytes(body))
    (ran_seconds,) = report.RAN_SECONDS.unpack_from(body)
    body = body[report.RAN_SECONDS.size :]
    if kind == report.RESULT:
        return Told(number, Ending(result=bytes(body)), ran_seconds)
    failure = json.loads(bytes(body))
    ending = Ending(error=JobError(**failure["error"]), traceback=failure["traceback"])
    return Told(number, ending, ran_seconds)


def killed(status: int, max_rss_kib: int) -> JobError:
    """The error of an attempt whose process ended without a word: killed, out of memory, or left by
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
