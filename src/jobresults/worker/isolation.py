"""A process of its own for each job that asks for one. A fork and an exit take longer than most of
these jobs, so the process for the next one is forked while this one runs, and leaves while the
next one runs.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from jobresults.worker.frames import frame
from jobresults.worker.guard import kill_group, lead_group

DONE = b"."
# A process that was killed may leave the channel open, in the hands of what its job has started.
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class IsolatedProcess:
    """A forked process, the leader of its own group; its one message goes through the channel."""

    pid: int
    channel: socket.socket


class Isolation:
    """The processes of one executor. `serve` is called in each of them, with the executor's pid and
    its end of the channel. There it reads its message, or the end of the stream if there is no job
    for it, and says `DONE` when nothing is left to do.
    """

    def __init__(self, serve: Callable[[int, socket.socket], NoReturn]) -> None:
        self._serve = serve
        self._spare: IsolatedProcess | None = None
        self._has_run = False
        self._leaving: list[int] = []

    def start(self, message: bytes) -> IsolatedProcess:
        """Give a message to a process of its own."""
        process = self._spare or self._fork()
        self._spare = None
        with suppress(BrokenPipeError):  # someone has killed it: its end tells
            process.channel.sendall(frame(message))
        if self._has_run:  # a second one in a row, so a third is likely
            self._spare = self._fork()
        self._has_run = True
        self._leaving = [pid for pid in self._leaving if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        return process

    def finish(self, process: IsolatedProcess) -> tuple[int, int] | None:
        """Wait until it is done, then end it with all it has started. If it died instead: its exit
        status and the most memory it used, in KiB.
        """
        died = self._wait(process)
        process.channel.close()
        kill_group(process.pid)
        if died is None:
            self._leaving.append(process.pid)
        return died

    def stop(self) -> None:
        """Let no process wait or leave: the next job is not for one."""
        self._has_run = False
        if self._spare is not None:
            self._spare.channel.close()
            kill_group(self._spare.pid)
            self._leaving.append(self._spare.pid)
        for pid in self._leaving:
            os.waitpid(pid, 0)
        self._spare, self._leaving = None, []

    def _wait(self, process: IsolatedProcess) -> tuple[int, int] | None:
        while True:
            ready, _, _ = select.select([process.channel], [], [], _LOOK_SECONDS)
            with suppress(ConnectionResetError):  # it died without having read its message
                if ready and process.channel.recv(1) == DONE:
                    return None
            pid, status, usage = os.wait4(process.pid, 0 if ready else os.WNOHANG)
            if pid:
                return status, usage.ru_maxrss

    def _fork(self) -> IsolatedProcess:
        executor_pid = os.getpid()
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()  # or its end, that of the executor, is never seen
            self._serve(executor_pid, theirs)
        lead_group(pid)
        theirs.close()
        return IsolatedProcess(pid, ours)
