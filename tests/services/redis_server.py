"""A private redis-server on a Unix socket: the bundled one, or the system's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from jobresults.embedded.redis import BUNDLED
from tests.services.process import Process, eventually

CHOICE = "JOBRESULTS_TEST_REDIS"


class RedisServer:
    """Starts running. What it holds is lost when it stops, unless options say otherwise."""

    def __init__(
        self, program: str, directory: Path, *options: str, prefix: Sequence[str] = ()
    ) -> None:
        self.program, self._directory = program, directory
        self._prefix, self._options = prefix, options
        self.url = f"unix://{directory}/redis.sock"
        self.start()

    def start(self) -> None:
        """Run it, and wait until it answers."""
        command = [*self._prefix, self.program, "--unixsocket", "redis.sock", "--save", ""]
        command += ["--port", "0", *self._options]
        self.process = Process("redis", command, self._directory)
        with self.client() as client:
            eventually(lambda: _answers(client), "Redis answers")

    def stop(self) -> None:
        self.process.stop()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Not there within the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def find_program(choice: str | None) -> str | None:
    """The server's path. `choice`: `bundled`, `system`, or None for the first of them there is."""
    bundled = str(BUNDLED) if os.access(BUNDLED, os.X_OK) else None
    system = shutil.which("valkey-server") or shutil.which("redis-server")
    found: Mapping[str | None, str | None] = {
        "bundled": bundled,
        "system": system,
        None: bundled or system,
    }
    return found[choice]


@pytest.fixture(scope="session")
def start_redis(shell_settings: Mapping[str, str]) -> Iterator[Callable[..., RedisServer]]:
    """Starts one more Redis of its own at each call, with the program's options given, by the
    command `prefix`; all of them end with the session.
    """
    choice = shell_settings.get(CHOICE)
    program = find_program(choice)
    if program is None:
        missing = pytest.fail if choice or os.environ.get("CI") else pytest.skip
        missing("needs Redis: make install, or apt-get install redis-server")
    started: list[RedisServer] = []

    def start(*options: str, prefix: Sequence[str] = ()) -> RedisServer:
        # Not below pytest's own directory: a Unix socket's path has 107 bytes at most.
        directory = Path(tempfile.mkdtemp(prefix="jr-", dir="/tmp"))
        started.append(RedisServer(program, directory, *options, prefix=prefix))
        return started[-1]

    yield start
    for server in started:
        server.stop()
        shutil.rmtree(server.process.log_file.parent)


@pytest.fixture(scope="session")
def redis_server(start_redis: Callable[[], RedisServer]) -> RedisServer:
    """One for all tests that leave it as they found it."""
    return start_redis()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty Redis."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server.url
