"""Ending a call to a foreign server in time, even if it answers one byte a second."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from jobresults.alerts.model import SinkError

T = TypeVar("T")

# Calls that were given up and still hang. Each keeps a thread, so there may not be many.
_MAX_STUCK = 4


class Deadline:
    """One sink's. Timeouts of sockets do not bound a call: each byte begins them anew."""

    def __init__(self, sink: str, seconds: float) -> None:
        self._sink = sink
        self._seconds = seconds
        self._stuck: list[threading.Thread] = []

    def run(self, call: Callable[[], T], give_up: Callable[[], None] = lambda: None) -> T:
        """What the call returns or raises. `give_up` is to make a call end that takes too long.

        Raises:
            SinkError: it takes too long; it may still succeed unheard.
        """
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= _MAX_STUCK:
            raise SinkError(f"{self._sink} still hangs in {len(self._stuck)} earlier calls")
        running = _Running(call)
        thread = threading.Thread(target=running.run, name=f"alerts-{self._sink}", daemon=True)
        thread.start()
        thread.join(self._seconds)
        if running.ended.is_set():
            return running.outcome()
        self._stuck.append(thread)
        give_up()
        raise SinkError(f"{self._sink} took longer than {self._seconds:g} s")


class _Running(Generic[T]):
    """A call in a thread of its own, and how it ended."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.ended = threading.Event()
        self._call = call
        self._value: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._value.append(self._call())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error
        finally:
            self.ended.set()

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value[0]
