"""Handing over what a process has counted: soon, in order, exactly once."""

from __future__ import annotations

import _thread
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from jobresults.alerts.counts import MAX_FINGERPRINTS, OVERFLOW, Count, Counts
from jobresults.errors import Unavailable

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 0.2
_LOOK_SECONDS = 0.05
_IDLE_ROUNDS = 50
_MAX_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Batch:
    """Counts under the number that tells a repetition from news; numbers grow in each process."""

    number: int
    counts: Sequence[Count]


class Transport(Protocol):
    """Who takes batches."""

    def send(self, batch: Batch) -> None:
        """Take the batch, or know that it was taken before.

        Raises:
            Unavailable: whether it was taken is not known; it comes again.
        """
        ...

    def wait_out(self, pending: Sequence[Count], unavailable_seconds: float) -> None:
        """Called while batches are refused, with all that has piled up."""
        ...


class Flusher:
    """A thread (under gevent a greenlet) that starts with the first event and ends when there was
    none for a while. Whoever holds the only token may flush; there is no lock to be left behind.
    """

    def __init__(self, counts: Counts, transport: Transport | None) -> None:
        self.transport = transport
        self._counts = counts
        self._token = [None]
        self._pid = os.getpid()
        self._is_urgent = False
        self.is_busy = False
        """A batch is being made or handed over: interrupted, it could be lost or come twice."""
        self._pending: dict[str, Count] = {}
        self._in_flight: Batch | None = None
        self._number = 0
        self._refused_since: float | None = None

    def wake_up(self, *, urgent: bool = False) -> None:
        """There is something to flush, in 0.2 s or, if it is urgent, at once."""
        if urgent:
            self._is_urgent = True
        if self._token and self.transport is not None and self._take_token():
            try:
                _thread.start_new_thread(self._run, ())
            except RuntimeError:  # no thread is to be had; `flush` may still come
                self._token.append(None)

    def flush(self, seconds: float) -> bool:
        """Within this time. Whether nothing is left."""
        until = time.monotonic() + seconds
        while self._has_work and self.transport is not None and time.monotonic() < until:
            if self._take_token():
                try:
                    self._flush_once()
                finally:
                    self._token.append(None)
                if self._has_work and self._refused_since is not None:
                    time.sleep(_LOOK_SECONDS)
            else:
                self._is_urgent = True
                time.sleep(_LOOK_SECONDS / 10)
        return not self._has_work

    @property
    def _has_work(self) -> bool:
        # Busy first: what is collected just now is neither news nor pending yet.
        return (
            self.is_busy
            or self._counts.has_news
            or bool(self._pending)
            or self._in_flight is not None
        )

    def _take_token(self) -> bool:
        try:
            self._token.pop()
        except IndexError:
            return False
        return True

    def _run(self) -> None:
        while True:
            try:
                self._work_until_idle()
            except Exception:
                logger.exception("alerts of this process could not be handed over")
                time.sleep(_MAX_PAUSE_SECONDS)
            if os.getpid() != self._pid:
                return  # a greenlet that came along through a fork
            self._token.append(None)
            if not self._has_work or not self._take_token():
                return

    def _work_until_idle(self) -> None:
        idle = 0
        pause_seconds = _FLUSH_SECONDS
        while idle < _IDLE_ROUNDS and os.getpid() == self._pid:
            self._is_urgent = False
            idle = 0 if self._has_work else idle + 1
            self._flush_once()  # also when idle, so that unused keys go
            if self._refused_since is None:
                pause_seconds = _FLUSH_SECONDS
            else:
                pause_seconds = min(pause_seconds * 2, _MAX_PAUSE_SECONDS)
                self._wait_out()
            self._pause(pause_seconds)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._is_urgent and self._refused_since is None:
                return
            time.sleep(min(left, _LOOK_SECONDS))

    def _flush_once(self) -> None:
        self.is_busy = True
        try:
            self._hand_over()
        finally:
            self.is_busy = False

    def _hand_over(self) -> None:
        for count in self._counts.collect():
            self._keep(count)
        if self._in_flight is None and self._pending:
            self._number += 1
            self._in_flight = Batch(self._number, list(self._pending.values()))
            self._pending = {}
        if self._in_flight is None or self.transport is None:
            return
        try:
            self.transport.send(self._in_flight)
        except Unavailable:
            self._refused_since = self._refused_since or time.monotonic()
        else:
            self._in_flight = self._refused_since = None

    def _wait_out(self) -> None:
        """Not while someone waits for a flush: it may take its time."""
        if self._in_flight is None or self._refused_since is None or self.transport is None:
            return
        waiting = [*self._in_flight.counts, *self._pending.values()]
        with suppress(Unavailable):
            self.transport.wait_out(waiting, time.monotonic() - self._refused_since)

    def _keep(self, count: Count) -> None:
        known = self._pending.get(count.key)
        if known is None and len(self._pending) >= MAX_FINGERPRINTS:
            count.key = OVERFLOW
            known = self._pending.get(OVERFLOW)
        if known is None:
            self._pending[count.key] = count
        else:
            known.add(count)
