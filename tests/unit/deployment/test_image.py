"""The Dockerfile: what is in the image and how it starts, stops and tells its health."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from jobresults.cli.main import COMMANDS


@pytest.fixture(scope="module")
def dockerfile(root: Path) -> list[tuple[str, str]]:
    """Its instructions and their arguments, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (root / "Dockerfile").read_text(), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line]


@pytest.fixture(scope="module")
def runtime(dockerfile: list[tuple[str, str]]) -> dict[str, str]:
    """The last stage: each instruction's last arguments."""
    start = max(index for index, (name, _) in enumerate(dockerfile) if name == "FROM")
    return dict(dockerfile[start:])


def test_it_runs_as_an_unprivileged_user_known_by_number(runtime: dict[str, str]) -> None:
    assert runtime["USER"] == "10001:10001"


def test_its_process_gets_the_signals_itself(runtime: dict[str, str]) -> None:
    assert json.loads(runtime["ENTRYPOINT"]) == ["jobresults"]
    assert json.loads(runtime["CMD"])[0] in COMMANDS
    assert runtime["STOPSIGNAL"] == "SIGTERM"


def test_it_listens_on_all_addresses(runtime: dict[str, str]) -> None:
    assert "JOBRESULTS_WEB__HOST=0.0.0.0" in runtime["ENV"]


def test_it_is_labelled_with_the_version_of_the_project(
    runtime: dict[str, str], root: Path
) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert f'org.opencontainers.image.version="{version}"' in runtime["LABEL"]


def test_every_base_image_has_a_version(dockerfile: list[tuple[str, str]]) -> None:
    froms = [arguments.split() for name, arguments in dockerfile if name == "FROM"]
    stages = {words[2] for words in froms}
    images = [words[0] for words in froms if words[0] not in stages]
    assert images
    assert all(re.search(r":\d", image) and not image.endswith(":latest") for image in images)


def test_whatever_pip_fetches_is_pinned_by_hash(dockerfile: list[tuple[str, str]]) -> None:
    runs = " && ".join(arguments for name, arguments in dockerfile if name == "RUN")
    installs = [step for step in runs.split("&&") if re.search(r"\bpip\b.* (install|wheel) ", step)]
    assert len(installs) == 4
    for step in installs:
        assert "--require-hashes" in step or "--no-deps" in step
        assert "--only-binary=:all:" in step or "--no-deps" in step


def test_the_build_backend_is_locked(root: Path) -> None:
    requires = tomllib.loads((root / "pyproject.toml").read_text())["build-system"]["requires"]
    locked = re.findall(r"^([a-z-]+)==", (root / "requirements/build.txt").read_text(), re.M)
    assert set(requires) <= set(locked)


def test_what_users_run_is_readable_however_it_was_checked_out(
    dockerfile: list[tuple[str, str]],
) -> None:
    start = max(index for index, (name, _) in enumerate(dockerfile) if name == "FROM")
    copies = [arguments for name, arguments in dockerfile[start:] if name == "COPY"]
    assert all("--from=" in copy or "--chmod=0644" in copy for copy in copies)


def test_what_is_copied_exists_and_is_let_into_the_build_context(
    dockerfile: list[tuple[str, str]], root: Path
) -> None:
    copied = [
        source
        for name, arguments in dockerfile
        if name == "COPY" and "--from" not in arguments
        for source in arguments.split()[:-1]
        if not source.startswith("--")
    ]
    rules = (root / ".dockerignore").read_text().splitlines()
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert "*" in rules
    assert set(copied) == allowed
    assert all((root / source).exists() for source in copied)


class _Live(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/status/live" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Stuck(_Live):
    status = 500


def _health(runtime: dict[str, str], root: Path, port: int) -> int:
    _, *arguments = json.loads(runtime["HEALTHCHECK"].partition("CMD ")[2])
    probe = subprocess.run(
        [sys.executable, *arguments],
        env={"JOBRESULTS_WEB__PORT": str(port), "http_proxy": "http://127.0.0.1:1"},
        cwd=root,
        capture_output=True,
        check=False,
    )
    return probe.returncode


@pytest.mark.parametrize(("handler", "exit_status"), [(_Live, 0), (_Stuck, 1)])
def test_its_health_is_what_the_configured_port_answers(
    runtime: dict[str, str], root: Path, handler: type[_Live], exit_status: int
) -> None:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert _health(runtime, root, server.server_port) == exit_status
        finally:
            server.shutdown()
            thread.join()


def test_a_process_that_does_not_listen_is_not_healthy(runtime: dict[str, str], root: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        assert _health(runtime, root, unheard.getsockname()[1]) == 1
