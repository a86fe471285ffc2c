"""Real threads for what would stop every greenlet of the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import monkey
from gevent.threadpool import ThreadPool


class NativeThreads:
    """Runs functions in up to `size` threads while other greenlets go on. Without greenlets, as in
    tests, in the caller's own. Make it after a fork.
    """

    def __init__(self, size: int) -> None:
        self._pool = ThreadPool(size) if monkey.is_module_patched("threading") else None

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns or raises."""
        if self._pool is None:
            return function(*arguments)
        return self._pool.apply(function, arguments)
