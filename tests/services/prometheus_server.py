"""Prometheus and Alertmanager as they come with the system, on loopback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.services.process import Process, eventually
from tests.services.stack import reserved_port

# Debian's names come first.
_PROGRAMS = {
    "amtool": ("amtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
}


def find_program(name: str) -> str:
    """The path of one of Prometheus' programs. Without it the test is skipped; in CI it fails."""
    found = next(filter(None, map(shutil.which, _PROGRAMS[name])), None)
    if found is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("needs Prometheus: apt-get install prometheus prometheus-alertmanager")
    return found


class Server:
    """One of them, running."""

    def __init__(self, name: str, directory: Path, port: int, *options: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        listen = f"--web.listen-address=127.0.0.1:{port}"
        command = [find_program(name), *options, listen, "--log.level=warn"]
        self.process = Process(name, command, directory)
        try:
            eventually(self._is_ready, f"{name} is ready")
        except AssertionError as error:
            error.add_note(self.process.log())
            raise

    def get(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        response = requests.get(self.url + path, params=parameters, timeout=10)
        response.raise_for_status()
        return response.json()["data"]

    def _is_ready(self) -> bool:
        assert self.process.is_running
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).ok
        except requests.RequestException:
            return False


@contextmanager
def running_server(name: str, directory: Path, port: int, *options: str) -> Iterator[Server]:
    """It, until the end of the block."""
    server = Server(name, directory, port, *options)
    try:
        yield server
    except BaseException as error:
        error.add_note(server.process.log())
        raise
    finally:
        server.process.stop()


@pytest.fixture(scope="module")
def free_port() -> Iterator[Callable[[], int]]:
    """Gives one more at each call, which stays free for whoever is told to listen on it."""
    with ExitStack() as held:
        yield lambda: held.enter_context(reserved_port())
