"""Child processes of tests: each in its own session, its output in a file, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")


def unmeasured(**changes: str) -> dict[str, str]:
    """The environment for a program that is to run as users run it: coverage does not ride along,
    which would import much and slow it down.
    """
    environ = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    return {**environ, **changes}


_SETPRIV = shutil.which("setpriv")
# Linux: whatever becomes of pytest, its servers do not outlive it.
_DIE_WITH_PARENT = (_SETPRIV, "--pdeathsig", "KILL", "--") if _SETPRIV else ()


def eventually(condition: Callable[[], T | None], what: str, *, within_seconds: float = 30) -> T:
    """The first true value of `condition`, asked again and again.

    Raises:
        AssertionError: `what` did not come true in time.
    """
    deadline = time.monotonic() + within_seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"within {within_seconds} s: {what}"
        time.sleep(0.02)
    return value


class Process:
    """One running server."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        directory: Path,
        environ: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log_file = directory / f"{name}.log"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*_DIE_WITH_PARENT, *command],
                cwd=directory,
                env=environ,
                user=user,
                group=user and _group_of(user),
                extra_groups=[] if user else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def log(self, last_lines: int = 40) -> str:
        """The end of what it has printed; nothing once its directory is gone."""
        if not self.log_file.exists():
            return ""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-last_lines:])

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(
        self, number: signal.Signals = signal.SIGTERM, *, grace_seconds: float = 30
    ) -> int | None:
        """Ask it to end, and see to it. Returns as `end`."""
        self.send(number)
        return self.end(grace_seconds=grace_seconds)

    def end(self, *, grace_seconds: float = 30) -> int | None:
        """Wait for its end, then kill it and whatever is left of its session.

        Returns its exit status; None if anything had to be killed.
        """
        status: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(grace_seconds)
        left = [process for process in psutil.process_iter() if _session(process) == self.pid]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        return None if left else status


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
