"""Child programs to supervise."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from jobresults.embedded.child import Program

Python = Callable[..., Program]


@pytest.fixture
def python() -> Python:
    """Makes a program of Python source; its arguments are `sys.argv[1:]`."""

    def program(
        source: str, *arguments: object, name: str = "child", last: bool = False
    ) -> Program:
        words = (sys.executable, "-S", "-c", source, *map(str, arguments))
        return Program(name, words, stops_last=last)

    return program
