"""Threads that run callers: one that waits for its time is parked and holds no thread."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from jobresults.populate.asking import GaveUp, Steps
from jobresults.populate.pace import Pace, Start

_OPEN_OF_THREAD = 8  # callers at once for each thread, if they come as fast as they may
_MOST_OPEN = 20_000  # at any rate


class Pool:
    """Runs every caller that comes to its end.

    `failure` is what ended the load early: the service lets nobody in, or refuses what is handed
    in.
    """

    def __init__(
        self,
        pace: Pace,
        journey: Callable[[Start], Steps[None]],
        gave_up: Callable[[GaveUp], None],
        threads: int,
    ) -> None:
        self.failure: BaseException | None = None
        self._pace = pace
        self._journey = journey
        self._gave_up = gave_up
        self._most_open = _MOST_OPEN if pace.is_open_loop else threads * _OPEN_OF_THREAD
        self._changed = threading.Condition()
        self._parked: list[tuple[float, int, Steps[None]]] = []
        self._numbers = itertools.count()
        self._open = 0
        self._stopping = self._abandoned = False
        self._threads = [
            threading.Thread(target=self._work, name=f"caller-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Let them come."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let nobody new come; those who are here go on."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Let nobody go on, but for the request under way."""
        with self._changed:
            self._stopping = self._abandoned = True
            self._changed.notify_all()

    @property
    def comes_no_more(self) -> bool:
        """Whether all that were to come have come."""
        with self._changed:
            return self._stopping or self._pace.due() is None

    def join(self, timeout_seconds: float) -> bool:
        """Whether all have left, at the latest after that time."""
        deadline = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        try:
            while (steps := self._take()) is not None:
                self._go_on(steps)
        except BaseException as error:  # noqa: BLE001 - an edge: the main thread raises it
            self._fail(error)

    def _go_on(self, steps: Steps[None]) -> None:
        """Until it wants to wait, or leaves."""
        try:
            due = next(steps)
        except StopIteration:
            self._leave()
        except GaveUp as reason:
            self._gave_up(reason)
            self._leave()
        else:
            self._park(due, steps)

    def _take(self) -> Steps[None] | None:
        """Who goes on now; None once nobody will any more."""
        with self._changed:
            while not self._abandoned:
                comes_at = self._comes_at()
                now = time.monotonic()  # not before that: who comes at once is due
                if self._parked and self._parked[0][0] <= now:
                    return heapq.heappop(self._parked)[2]
                if comes_at is not None and comes_at <= now:
                    self._open += 1
                    return self._journey(self._pace.next(comes_at))
                if not self._open and comes_at is None:
                    self._changed.notify_all()
                    return None
                moments = [at for at in (comes_at, self._goes_on_at()) if at is not None]
                self._changed.wait(min(moments) - now if moments else None)
            return None

    def _comes_at(self) -> float | None:
        if self._stopping or self._open >= self._most_open:
            return None
        return self._pace.due()

    def _goes_on_at(self) -> float | None:
        return self._parked[0][0] if self._parked else None

    def _park(self, due: float, steps: Steps[None]) -> None:
        with self._changed:
            heapq.heappush(self._parked, (due, next(self._numbers), steps))
            self._changed.notify()

    def _leave(self) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self.failure is None:
                self.failure = error
        self.abandon()
