"""Child programs to supervise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest

from jobresults.embedded.child import Program

Python = Callable[..., Program]
Eventually = Callable[[Callable[[], bool]], bool]


@pytest.fixture
def python() -> Python:
    """Makes a program of Python source; its arguments are `sys.argv[1:]`."""

    def program(
        source: str, *arguments: object, name: str = "child", last: bool = False
    ) -> Program:
        words = (sys.executable, "-S", "-c", source, *map(str, arguments))
        return Program(name, words, stops_last=last)

    return program


@pytest.fixture
def eventually() -> Eventually:
    """Tells whether a condition becomes true within 20 s."""

    def holds(condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 20
        while not (held := condition()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return held

    return holds
