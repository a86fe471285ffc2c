"""One child process: started in a session of its own, restarted ever later, never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

logger = logging.getLogger(__name__)

FIRST_RESTART_DELAY_SECONDS = 1.0
LONGEST_RESTART_DELAY_SECONDS = 30.0
# Whoever lived that long starts again with the first delay.
SETTLED_AFTER_SECONDS = 60.0

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """What to run. One that `stops_last` serves the others, so it ends after them."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] | None = None
    stops_last: bool = False


class Child:
    """One program, and the process that runs it now; on Linux that one dies with its parent."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._delay_seconds = 0.0
        self._restart_at: float | None = None
        self._spawn()

    def is_running(self) -> bool:
        """Whether its process lives. A dead one's process group is killed."""
        if self._process.returncode is not None:
            return False
        if self._process.poll() is None:
            return True
        self._kill_group()
        return False

    def exit_text(self) -> str:
        """How it ended, for people."""
        status = self._process.returncode
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}"

    def restart_if_due(self, now: float) -> None:
        """Notice its death; start it again once its delay is over. `now`: `time.monotonic()`."""
        if self._restart_at is not None:
            if now >= self._restart_at:
                self._spawn()
        elif not self.is_running():
            self._delay_seconds = next_delay(self._delay_seconds, now - self._started_at)
            self._restart_at = now + self._delay_seconds
            logger.error(
                "%s ended: %s; starting it again in %g s",
                self.program.name,
                self.exit_text(),
                self._delay_seconds,
            )

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it and its process group now."""
        self._kill_group()
        self._process.wait()

    def _spawn(self) -> None:
        self._restart_at = None
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(  # nosec B603  # our own commands
            self.program.command,
            env=self.program.environ,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the supervisor, which stops them in order
            preexec_fn=partial(_die_with, os.getpid()),
        )

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def next_delay(previous_seconds: float, lived_seconds: float) -> float:
    """How long to wait before a restart: 1 s, doubled at each early death up to 30 s."""
    if not previous_seconds or lived_seconds >= SETTLED_AFTER_SECONDS:
        return FIRST_RESTART_DELAY_SECONDS
    return min(previous_seconds * 2, LONGEST_RESTART_DELAY_SECONDS)


def _die_with(parent_id: int) -> None:
    """In the new process: have the kernel kill it when the supervisor dies (prctl(2))."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_id:  # it died before prctl
        os._exit(1)
