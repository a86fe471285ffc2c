"""Containers of the built image, as locked up as Kubernetes runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

NEEDS_ENGINE = "needs docker or podman (Debian: podman buildah runc)"
_LOCKED_UP = (
    *("--network", "host", "--read-only", "--tmpfs", "/tmp:rw,size=64m"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)


def find_engine() -> str | None:
    """Docker if its server runs, else Podman, which needs none; as `make image` chooses."""
    docker = shutil.which("docker")
    if (
        docker
        and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0
    ):
        return docker
    return shutil.which("podman")


class Engine:
    """Docker, or Podman, which takes the same words."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __call__(self, *words: str, timeout_seconds: float = 120) -> str:
        """What a command prints on stdout.

        Raises:
            AssertionError: it failed; with what it printed on stderr.
        """
        result = self.attempt(*words, timeout_seconds=timeout_seconds)
        assert result.returncode == 0, f"{' '.join(words)}: {result.stderr}"
        return result.stdout

    def attempt(
        self, *words: str, timeout_seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """A command that may fail."""
        return subprocess.run(
            [self._program, *words],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    def inspect(self, name: str) -> Any:
        return json.loads(self("inspect", name))[0]


class Container:
    """One running container; `mounts` are there under the same path, read-only."""

    def __init__(
        self,
        engine: Engine,
        image: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        mounts: Sequence[str] = (),
    ) -> None:
        self.name = f"jobresults-test-{command[0]}-{uuid.uuid4().hex[:8]}"
        self._engine = engine
        variables = [word for item in environ.items() for word in ("--env", "=".join(item))]
        volumes = [word for path in mounts for word in ("--volume", f"{path}:{path}")]
        engine(
            "run",
            "--detach",
            "--name",
            self.name,
            *_LOCKED_UP,
            *variables,
            *volumes,
            image,
            *command,
        )

    @property
    def log(self) -> str:
        return self._engine("logs", self.name)

    @property
    def is_running(self) -> bool:
        return bool(self._engine.inspect(self.name)["State"]["Running"])

    def execute(self, *command: str) -> str:
        return self._engine("exec", self.name, *command)

    def send(self, signal: str) -> None:
        self._engine("kill", "--signal", signal, self.name)

    def wait(self, timeout_seconds: float = 60) -> int:
        """Until it has ended; its exit status."""
        return int(self._engine("wait", self.name, timeout_seconds=timeout_seconds))

    def remove(self) -> None:
        self._engine("rm", "--force", "--volumes", self.name)
