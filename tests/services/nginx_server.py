"""A real nginx under `deployment/nginx/nginx.conf`, in front of a web server of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.services.process import Process, eventually
from tests.services.stack import PROJECT, reserved_port

CONFIGURATION = PROJECT / "deployment/nginx/nginx.conf"
START = CONFIGURATION.with_name("start.sh")


class NginxServer:
    """Starts running. `changes` are made to the file besides those a test needs."""

    def __init__(
        self, program: str, directory: Path, port: int, web_port: int, changes: dict[str, str]
    ) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        text = CONFIGURATION.read_text()
        needed = {
            "listen 8080;": f"listen 127.0.0.1:{port};",
            "set $web web:8000;": f"set $web 127.0.0.1:{web_port};",
            "/tmp/": f"{directory}/",
        }
        for old, new in {**needed, **changes}.items():
            assert old in text, old
            text = text.replace(old, new)
        file = directory / "nginx.conf"
        file.write_text(text)
        start = START.read_text().replace("/tmp/", f"{directory}/")
        subprocess.run(["sh", "-c", start], env={**os.environ, "URL": self.url}, check=True)
        command = [program, "-p", str(directory), "-c", str(file)]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        assert "[warn]" not in checked.stderr
        self.process = Process("nginx", command, directory)
        eventually(self._answers, "nginx answers")

    def _answers(self) -> bool:
        assert self.process.is_running, self.process.log()
        try:
            requests.get(f"{self.url}/status/live", timeout=5)
        except requests.ConnectionError:
            return False
        return True


@pytest.fixture(scope="module")
def start_nginx() -> Iterator[Callable[..., NginxServer]]:
    """Starts one more nginx in front of that port; all of them end with the module."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("needs nginx: apt-get install nginx")
    with ExitStack() as running:

        def start(web_port: int, changes: dict[str, str] | None = None) -> NginxServer:
            # Its workers are another user's, who cannot enter pytest's own directory.
            directory = Path(tempfile.mkdtemp(prefix="jr-nginx-", dir="/tmp"))
            directory.chmod(0o755)
            running.callback(shutil.rmtree, directory)
            port = running.enter_context(reserved_port())
            server = NginxServer(program, directory, port, web_port, changes or {})
            running.callback(server.process.stop)
            return server

        yield start
