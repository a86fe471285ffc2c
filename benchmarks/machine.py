"""What the measurements of a run share: a Redis, perhaps a PostgreSQL, and how much to do."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import redis

from benchmarks.postgresql import Postgresql, find_programs
from benchmarks.processes import Process, running, until
from jobresults.configuration import PREFIX
from jobresults.embedded.redis import find_server
from jobresults.embedded.stack import usable_port

T = TypeVar("T")
NO_POSTGRESQL = "PostgreSQL's programs are missing; on Debian or Ubuntu: apt-get install postgresql"


@dataclass(frozen=True)
class Machine:
    """One run's surroundings. `quick`: a rough look in minutes; `full`: ledgers of 10^6 jobs."""

    directory: Path
    redis_port: int
    redis_process: Process
    postgresql: Postgresql | None
    quick: bool
    full: bool

    @property
    def environ(self) -> dict[str, str]:
        return clean_environ(os.environ)

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 3

    def pick(self, usual: T, quick: T) -> T:
        """How much to do."""
        return quick if self.quick else usual

    def redis_url(self, number: int = 0) -> str:
        """Peers and ours use the same server, over TCP as their documents show."""
        return f"redis://127.0.0.1:{self.redis_port}/{number}"

    def redis(self, number: int = 0) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url(number))


@contextlib.contextmanager
def machine(directory: Path, *, quick: bool, full: bool) -> Iterator[Machine]:
    """Start the servers. Redis writes nothing to disk: the fastest it can be, for all alike."""
    directory.chmod(0o755)
    port = usable_port("127.0.0.1", 0)
    command = [str(find_server()), "--bind", "127.0.0.1", "--port", str(port)]
    command += ["--dir", str(directory), "--save", "", "--appendonly", "no"]
    environ = clean_environ(os.environ)
    with contextlib.ExitStack() as stack:
        (server,) = stack.enter_context(running(command, log_directory=directory, environ=environ))
        client = redis.Redis(port=port)
        until(lambda: _answers(client), "Redis answers", server)
        postgresql = None
        if find_programs() is not None:
            postgresql = stack.enter_context(Postgresql.running(environ))
        yield Machine(directory, port, server, postgresql, quick, full)


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Whatever of ours the caller has set must not change what is measured."""
    kept = {name: text for name, text in environ.items() if not name.startswith(PREFIX)}
    return {**kept, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONUNBUFFERED": "1"}


def server_version(program: Path | str) -> str:
    """The dotted number in what `program --version` prints."""
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    match = re.search(r"\d+(\.\d+)+", printed.stdout)
    return match[0] if match else printed.stdout.strip()


def _answers(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False
