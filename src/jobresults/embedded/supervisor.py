"""Child processes kept running until a signal says stop; none outlives its supervisor."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from jobresults.embedded.child import Child, Program
from jobresults.errors import JobResultsError

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_SECONDS = 8.0
LAST_STOP_SECONDS = 1.0
_POLL_SECONDS = 0.05


class StartFailed(JobResultsError):
    """A child ended, or was not ready in time, while everything was still starting."""


class Supervisor:
    """Runs programs, restarts the dead, stops all at the end of its `with` block.

    Use it in the main thread: it takes over SIGINT, SIGTERM and SIGHUP. The first one asks for the
    end, the second for the end at once.
    """

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._signals_received = 0
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            # nohup keeps its word. An ignored SIGINT only means that a script started us with `&`.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._previous_handlers[number] = signal.signal(number, self._note_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop(STOP_SECONDS, last=False)
        self._stop(LAST_STOP_SECONDS, last=True)
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    @property
    def is_stopping(self) -> bool:
        """Whether a signal asked for the end."""
        return self._signals_received > 0

    def start(self, program: Program) -> None:
        """Start a program, to be kept running from then on.

        Raises:
            OSError: it cannot be executed.
        """
        self._children.append(Child(program))

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float) -> bool:
        """True once `ready()` holds; False if a signal asks for the end first.

        Raises:
            StartFailed: the time is over, or a child ended meanwhile. None is restarted here: what
                dies at its start has something to say to the operator.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.is_stopping:
            if ready():
                return True
            for child in self._children:
                if not child.is_running():
                    raise StartFailed(f"{child.program.name} did not start: {child.exit_text()}")
            if time.monotonic() > deadline:
                raise StartFailed(f"not ready after {timeout_seconds:g} s")
            time.sleep(_POLL_SECONDS)
        return False

    def keep_running(self) -> None:
        """Restart what dies, later and later if it dies early; return when a signal asks for it."""
        while not self.is_stopping:
            for child in self._children:
                child.restart_if_due(time.monotonic())
            time.sleep(_POLL_SECONDS)

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals_received += 1

    def _stop(self, timeout_seconds: float, *, last: bool) -> None:
        """SIGTERM, then SIGKILL to what is left after the time or at a second signal."""
        deadline = time.monotonic() + timeout_seconds
        running = [
            child
            for child in self._children
            if child.program.stops_last is last and child.is_running()
        ]
        for child in running:
            child.terminate()
        while running and time.monotonic() < deadline and self._signals_received < 2:
            time.sleep(_POLL_SECONDS)
            running = [child for child in running if child.is_running()]
        for child in running:
            logger.warning("%s did not stop in time; killing it", child.program.name)
            child.kill()
