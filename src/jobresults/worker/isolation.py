"""A process of its own for each job that asks for one. A fork takes longer than most of these jobs,
so the process for the next one is forked while this one runs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from jobresults.worker.frames import frame


@dataclass(frozen=True)
class _Spare:
    """A forked process that waits for its one message."""

    pid: int
    inbox: int


class Isolation:
    """The processes of one executor. `serve` is called in each of them, with the executor's pid and
    the stream its one message will come by; that ends without one if there is no job for it.
    """

    def __init__(self, serve: Callable[[int, BinaryIO], NoReturn]) -> None:
        self._serve = serve
        self._spare: _Spare | None = None
        self._has_run = False

    def start(self, message: bytes) -> int:
        """Give a message to a process of its own. Returns its pid; the caller waits for its end."""
        spare = self._spare or self._fork()
        self._spare = None
        try:
            with os.fdopen(spare.inbox, "wb") as inbox:
                inbox.write(frame(message))
        except BrokenPipeError:
            pass  # someone has killed it: its end tells
        if self._has_run:  # a second one in a row, so a third is likely
            self._spare = self._fork()
        self._has_run = True
        return spare.pid

    def stop(self) -> None:
        """Let no process wait: the next job is not for one."""
        self._has_run = False
        spare, self._spare = self._spare, None
        if spare is None:
            return
        os.close(spare.inbox)
        with suppress(ProcessLookupError):
            os.kill(spare.pid, signal.SIGKILL)
        os.waitpid(spare.pid, 0)

    def _fork(self) -> _Spare:
        executor_pid = os.getpid()
        outlet, inbox = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(inbox)  # or its end, that of the executor, is never seen
            self._serve(executor_pid, os.fdopen(outlet, "rb"))
        os.close(outlet)
        return _Spare(pid, inbox)
