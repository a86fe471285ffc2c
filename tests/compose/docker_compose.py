"""Docker Compose, and what it talks to: Docker, or Podman, which speaks Docker's API."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.image.containers import Engine, find_engine
from tests.services.process import Process, eventually
from tests.services.stack import PROJECT

NEEDS_COMPOSE = (
    "needs Docker Compose 2.24 or newer beside docker or podman (Debian: podman buildah runc "
    "netavark aardvark-dns catatonit; then make compose-base)"
)
# As `make compose-base` leaves it.
FETCHED = PROJECT / ".venv/lib/jobresults/docker-compose"
_COMMANDS = (("docker", "compose"), (str(FETCHED),), ("docker-compose",))
_OLDEST = (2, 24)
_SYSTEMD = Path("/run/systemd/system")


def find_compose() -> Sequence[str] | None:
    """The first that is new enough; None without an engine, too."""
    if find_engine() is None:
        return None
    return next((command for command in _COMMANDS if _version(command) >= _OLDEST), None)


def _version(command: Sequence[str]) -> tuple[int, ...]:
    try:
        asked = subprocess.run(
            [*command, "version", "--short"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ()
    found = re.match(r"v?(\d+)\.(\d+)", asked.stdout)
    return tuple(map(int, found.groups())) if found and asked.returncode == 0 else ()


@contextmanager
def serving_engine(directory: Path, project: str) -> Iterator[dict[str, str]]:
    """The environment in which Compose finds an engine that starts `project`'s containers."""
    program = find_engine()
    assert program is not None, NEEDS_COMPOSE
    if Path(program).name == "docker":
        yield dict(os.environ)
        return
    socket = directory / "podman.sock"
    environ = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
    if not _SYSTEMD.exists():
        environ["DISABLE_HC_SYSTEMD"] = "true"  # else no container with a health check starts
    command = [program, "system", "service", "--time", "0", f"unix://{socket}"]
    service = Process("podman", command, directory, environ)
    try:
        eventually(socket.exists, "podman serves")
        with _health_checks(Engine(program), project):
            yield {**environ, "DOCKER_HOST": f"unix://{socket}", "DOCKER_BUILDKIT": "0"}
    finally:
        service.stop()


@contextmanager
def _health_checks(podman: Engine, project: str) -> Iterator[None]:
    """Podman has systemd's timers run them; where there are none, containers that start are asked
    here.
    """
    if _SYSTEMD.exists():
        yield
        return
    ended = threading.Event()
    of_project = f"label=com.docker.compose.project={project}"

    def ask() -> None:
        while not ended.wait(0.5):
            names = podman("ps", "--quiet", "--filter", of_project, "--filter", "health=starting")
            for name in names.split():
                # Not healthy yet, or gone: it says so with its exit status.
                podman.attempt("healthcheck", "run", name)

    thread = threading.Thread(target=ask, name="health checks")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
