"""Doing at once what several callers ask for at the same time: one transaction, one query, one
fsync for all of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Batcher(Generic[Item, Outcome]):
    """Joins concurrent calls into batches; works with threads and with greenlets.

    No thread of its own: whoever calls while nobody works does the work, for all who have called
    by then; who calls meanwhile is in the next batch. So nobody waits for company, and the batches
    grow by themselves as the load does.
    """

    def __init__(
        self, run: Callable[[Sequence[Item]], Sequence[Outcome | Exception]], max_size: int
    ) -> None:
        """`run` answers items in their order. An exception in place of an answer is raised to that
        caller alone; one that `run` raises goes to every caller of the batch.
        """
        self._run = run
        self._max_size = max_size
        self._lock = threading.Lock()
        self._waiting: deque[_Call[Item, Outcome]] = deque()
        self._working = False

    def __call__(self, item: Item) -> Outcome:
        """The answer to this item.

        Raises:
            Exception: what `run` answered or raised.
        """
        call: _Call[Item, Outcome] = _Call(item)
        with self._lock:
            self._waiting.append(call)
            leads, self._working = not self._working, True
        if not leads:
            call.woken.wait()
        if call.answer is None:
            self._work()
        assert call.answer is not None
        if isinstance(call.answer[0], Exception):
            raise call.answer[0]
        return call.answer[0]

    def _work(self) -> None:
        """Serve one batch, then hand over to the first of those who came meanwhile."""
        batch: list[_Call[Item, Outcome]] = []
        answers: Sequence[Outcome | Exception] = ()
        try:
            time.sleep(0)  # greenlets that are ready to call do so now; none can while SQLite works
            with self._lock:
                batch = [
                    self._waiting.popleft() for _ in range(min(self._max_size, len(self._waiting)))
                ]
            answers = self._run([call.item for call in batch])
        except Exception as error:  # noqa: BLE001 - every caller of the batch gets it
            answers = [error] * len(batch)
        finally:
            # Also when this greenlet is killed: nobody may wait for ever.
            lost = RuntimeError("the batch was cut short")
            for call, answer in zip(batch, answers or [lost] * len(batch), strict=True):
                call.answer = (answer,)
                call.woken.set()
            with self._lock:
                successor = self._waiting[0] if self._waiting else None
                self._working = successor is not None
            if successor is not None:
                successor.woken.set()


class _Call(Generic[Item, Outcome]):
    """One caller's item. Woken without an answer: it is this caller's turn to work."""

    __slots__ = ("answer", "item", "woken")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.answer: tuple[Outcome | Exception] | None = None
        self.woken = threading.Event()
