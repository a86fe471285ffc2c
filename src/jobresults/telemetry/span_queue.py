"""Spans on their way out of the process: a bounded queue, and one thread that empties it.

Whoever ends a span waits for nothing. What a collector does not take in time is dropped, counted,
and told of once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from jobresults.telemetry.tracing import Span

logger = logging.getLogger(__name__)

MAX_WAITING = 4_096
# Small, for while a batch is encoded no greenlet runs.
BATCH_SPANS = 64
_PAUSE_SECONDS = 0.25
_MAX_REST_SECONDS = 30.0


class NotTaken(Exception):
    """The collector did not take a batch. `str()` says why."""


class SpanQueue:
    """One process's. Its thread begins with the first span."""

    def __init__(self, send: Callable[[Sequence[Span]], None]) -> None:
        """`send` waits for the collector. It raises NotTaken."""
        self._send = send
        self._waiting: deque[Span] = deque()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._rest_seconds = 0.0
        self._told = False
        self.dropped = 0

    def put(self, span: Span) -> None:
        """Send it soon, or drop it if too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            self._drop(1, "the collector is too slow")
            return
        self._waiting.append(span)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
            self._thread.start()

    def stop(self, seconds: float) -> None:
        """Send what is left, for so long at most."""
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join(seconds)
        if self._waiting or self._thread.is_alive():
            left = len(self._waiting) + self.dropped
            logger.warning("at its end this process had %d spans that were not sent", left)

    def _run(self) -> None:
        while not self._stopping.wait(self._rest_seconds or _PAUSE_SECONDS):
            self._send_waiting()
        self._rest_seconds = 0.0
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Until none waits, or the collector is to be left alone for a while."""
        while self._waiting:
            size = min(BATCH_SPANS, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            try:
                self._send(batch)
            except NotTaken as error:
                self._miss(size, str(error))
                return
            except Exception as error:  # noqa: BLE001 - a thread that dies would drop all that follow
                self._miss(size, f"{type(error).__name__}: {error}")
                return
            self._recover()
            time.sleep(0)

    def _miss(self, size: int, why: str) -> None:
        self._rest_seconds = min(max(1.0, self._rest_seconds * 2), _MAX_REST_SECONDS)
        self._drop(size, why)

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        if not self._told:
            self._told = True
            logger.warning("spans are dropped until the collector takes them again: %s", why)

    def _recover(self) -> None:
        self._rest_seconds = 0.0
        if self._told and len(self._waiting) < MAX_WAITING // 2:
            self._told = False
            logger.warning("spans are taken again; %d were dropped", self.dropped)
            self.dropped = 0
