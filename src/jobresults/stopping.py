"""Noticing SIGTERM and SIGINT in a process that works in a loop."""

from __future__ import annotations

import signal
import time
from types import FrameType

_SLICE_SECONDS = 0.1


class StopFlag:
    """Set by the first SIGTERM or SIGINT. Make it in the main thread.

    Not a threading.Event: setting one in a signal handler deadlocks if the signal comes while the
    main thread holds the event's own lock.
    """

    def __init__(self) -> None:
        self.is_set = False
        signal.signal(signal.SIGTERM, self._set)
        signal.signal(signal.SIGINT, self._set)

    def wait(self, seconds: float) -> None:
        """Sleep for so long, or until the flag is set."""
        deadline = time.monotonic() + seconds
        while not self.is_set and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_SECONDS))

    def _set(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_set = True
