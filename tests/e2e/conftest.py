"""The whole service as its users start it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests


@dataclass
class Stack:
    """A running `jobresults up`."""

    process: psutil.Popen
    data: Path

    @property
    def url(self) -> str:
        return (self.data / "url").read_text().strip()

    @property
    def key(self) -> str:
        return (self.data / "api-key").read_text().strip()

    def request(self, method: str, path: str, **options: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return requests.request(method, self.url + path, headers=headers, timeout=70, **options)

    def child(self, name: str) -> psutil.Process:
        """The process the supervisor runs under that name, wherever gunicorn renames itself."""
        for child in self.process.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if name in " ".join(child.cmdline()):
                    return child
        raise LookupError(name)


@pytest.fixture
def clean_environ() -> dict[str, str]:
    """Ours without any setting."""
    environ = {name: text for name, text in os.environ.items() if "JOBRESULTS" not in name}
    return environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.fixture
def up(
    clean_environ: dict[str, str], tmp_path: Path, poll: Callable[[Callable[[], bool]], None]
) -> Iterator[Callable[[], Stack]]:
    """Starts the stack in one data directory, on a free port, and waits until it serves."""
    started: list[psutil.Process] = []

    def start() -> Stack:
        data = tmp_path / "data"
        command = [sys.executable, "-m", "jobresults.cli.main", "up"]
        process = psutil.Popen(
            [*command, "--port", "0", "--workers", "1", "--data-dir", data],
            env=clean_environ,
            cwd=tmp_path,
        )
        started.append(process)
        poll(lambda: (data / "url").exists() or process.poll() is not None)
        assert process.poll() is None
        started.extend(process.children(recursive=True))
        return Stack(process, data)

    yield start
    for process in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


@pytest.fixture
def poll() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition is true; fails after a minute."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.05)

    return wait
