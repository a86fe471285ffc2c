"""The programs that judge what is shipped."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.monitoring.shipped import MONITORING
from tests.services.prometheus_server import find_program


@pytest.fixture(scope="session")
def accepted_by() -> Callable[..., str]:
    """Runs a program of Prometheus' that has to approve of its arguments; what it prints."""

    def run(program: str, *arguments: str | Path) -> str:
        command = [find_program(program), *arguments]
        done = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
