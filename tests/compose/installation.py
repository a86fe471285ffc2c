"""An installation by containers, as docs/operations.md tells to make one: a copy of the project
with secrets of its own, brought up by Docker Compose under a name of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.image.copies import copy_project
from tests.services.stack import PROJECT

# The tasks of tests, added as users add theirs; and no fixed ports of this machine.
_OVERRIDE = """
services:
  web: &tasks
    volumes: ["./tests/image/tasks:/tasks:ro"]
  worker: *tasks
  maintenance: *tasks
  prometheus: {ports: !reset []}
  alertmanager: {ports: !reset []}
"""
_SETTINGS = """
PYTHONPATH=/tasks
JOBRESULTS_TASKS__MODULES=["jobresults.tasks.score","slow_tasks"]
"""


class Installation:
    """`docker compose …` in its directory; `port` is where nginx is published on this machine."""

    def __init__(
        self,
        directory: Path,
        compose: Sequence[str],
        environ: Mapping[str, str],
        *,
        name: str,
        port: int,
    ) -> None:
        self._directory, self._compose = directory, compose
        self._environ = {**environ, "COMPOSE_PROJECT_NAME": name, "HTTP_PORT": str(port)}
        copy_project(directory)
        (directory / "docker-compose.override.yaml").write_text(_OVERRIDE)
        (directory / "settings.env").write_text(_SETTINGS)
        made = [sys.executable, PROJECT / "deployment/make_secrets.py", directory]
        subprocess.run(made, check=True, capture_output=True)

    def __call__(self, *words: str, timeout_seconds: float = 120) -> str:
        """What a command prints on stdout.

        Raises:
            AssertionError: it failed; with what it printed on stderr, and what the services did.
        """
        done = subprocess.run(
            [*self._compose, *words],
            cwd=self._directory,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}\n{self._last_words()}"
        return done.stdout

    def _last_words(self) -> str:
        done = subprocess.run(
            [*self._compose, "logs", "--tail", "20", "--no-color"],
            cwd=self._directory,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout

    def up(self, *words: str) -> None:
        """Everything, or the services named, until it is healthy."""
        self("up", "--detach", "--wait", "--wait-timeout", "120", *words, timeout_seconds=400)

    def log(self, service: str) -> str:
        """All that the containers of a service have printed."""
        return self("logs", "--no-color", "--no-log-prefix", service)

    def new_key(self) -> str:
        made = self("exec", "-T", "web", "jobresults", "api-key", "create", "--client", "acme")
        found = re.search(r"jr_[\w-]+", made)
        assert found is not None, made
        return found[0]

    def remove(self) -> None:
        """Leave nothing of it but the image."""
        self("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")
        shutil.rmtree(self._directory)
