"""`jobresults up` as a user runs it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.services.process import Process, eventually

COMMAND = (sys.executable, "-m", "jobresults.cli.main")


class Up:
    """The service with its data in `directory/data`, on any free port; running once constructed."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.data = directory / "data"
        options = ("--port", "0", "--workers", "1", "--data-dir", str(self.data))
        self.process = Process(
            "up", (*COMMAND, "up", *options), directory, {**os.environ, **environ}
        )
        eventually(lambda: self.is_announced or not self.process.is_running, "up has started")
        assert self.process.is_running, self.process.log()

    @property
    def is_announced(self) -> bool:
        return (self.data / "url").exists()

    @property
    def url(self) -> str:
        return (self.data / "url").read_text().strip()

    @property
    def is_ready(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/status/ready", timeout=5).ok
        return False

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """An answer to the operator."""
        key = (self.data / "api-key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}", **options.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=70, **options)

    def child(self, word: str) -> psutil.Process | None:
        """The process under supervision that has the word in its command line, if it lives."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if word in " ".join(child.cmdline()):
                    return child
        return None

    def everything(self) -> list[psutil.Process]:
        """It and all processes below it."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]


@contextmanager
def running_up(directory: Path, **environ: str) -> Iterator[Up]:
    """The service until the end of the block, which ends it with Ctrl-C unless it has ended."""
    up = Up(directory, environ)
    try:
        yield up
    except BaseException as error:
        error.add_note(up.process.log())
        raise
    finally:
        if up.process.is_running:
            up.process.stop(signal.SIGINT)


def run(*arguments: str, directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A `jobresults` command that has ended."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=directory,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs. One that merely waits to be waited for does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
