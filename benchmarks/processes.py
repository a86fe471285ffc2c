"""Processes of a measurement: started with a log of their own, watched, and ended."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
_numbers = itertools.count(1)


class NotReady(RuntimeError):
    """A process did not come to serve or ended by itself; carries the end of its log."""


def reason(error: Exception) -> str:
    """Why something was not measured, on one line: the last one, where tracebacks say it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


class Process:
    """One running program and its children."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_directory: Path,
        environ: Mapping[str, str],
        directory: Path = ROOT,
        user: str | None = None,
    ) -> None:
        self.log = log_directory / f"{next(_numbers):04}-{Path(command[0]).name}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )
        self.pid = self._process.pid
        self._family: list[psutil.Process] = []

    def check(self) -> None:
        """Raises NotReady if it has ended."""
        if self._process.poll() is not None:
            status = self._process.returncode
            raise NotReady(f"{self.log.name} ended with {status}: {self.tail()}")

    def wait(self, seconds: float) -> int:
        """Its exit status, once it has ended by itself."""
        return self._process.wait(seconds)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def tree(self) -> list[psutil.Process]:
        """It and its children, itself first."""
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]

    def ask_to_stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """What a service manager does first."""
        self._family = self.tree() if self._process.poll() is None else []
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def end(self, grace_seconds: float) -> None:
        """Wait for it; when its grace is over, kill whatever is left of it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_seconds)
        for process in self._family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()


@contextlib.contextmanager
def running(
    *commands: Sequence[str],
    log_directory: Path,
    environ: Mapping[str, str],
    directory: Path = ROOT,
    grace_seconds: float = 20.0,
) -> Iterator[list[Process]]:
    """Programs that run for as long as the block."""
    started: list[Process] = []
    try:
        for command in commands:
            started.append(
                Process(command, log_directory=log_directory, environ=environ, directory=directory)
            )
        yield started
    finally:
        for process in started:
            process.ask_to_stop()
        for process in started:
            process.end(grace_seconds)


def until(
    true: Callable[[], object], what: str, *processes: Process, within_seconds: float = 60
) -> None:
    """Wait for a condition; raises NotReady if a process ends first or time runs out."""
    deadline = time.monotonic() + within_seconds
    while not true():
        for process in processes:
            process.check()
        if time.monotonic() > deadline:
            tails = "".join(f"\n{process.log.name}: {process.tail()}" for process in processes)
            raise NotReady(f"within {within_seconds:g} s: {what}{tails}")
        time.sleep(0.01)
