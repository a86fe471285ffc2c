"""Records as handlers see them, and fresh processes to configure logging in."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

MakeRecord = Callable[..., logging.LogRecord]
RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def make_record() -> MakeRecord:
    def make(message: object = "hello", *args: Any, **attributes: Any) -> logging.LogRecord:
        exc_info = attributes.pop("exc_info", None)
        record = logging.LogRecord(
            "jobresults.test", logging.INFO, __file__, 1, message, args, exc_info
        )
        record.__dict__.update(attributes)
        return record

    return make


@pytest.fixture
def run_python() -> RunPython:
    """Runs code in a process of its own: `dictConfig` would take pytest's handlers away."""

    def run(code: str, *args: str) -> subprocess.CompletedProcess[str]:
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            [sys.executable, "-c", code, *args],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )

    return run
