"""A private redis-server for one machine: which program to run, and how."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jobresults.errors import ConfigurationError
from jobresults.settings import Settings

# `make install` puts it there.
BUNDLED = Path(sys.prefix) / "lib" / "jobresults" / "redis-server"
MINIMUM_VERSION = (6, 2)  # LMOVE, which rq pops with
_SHORT_DIRECTORY = "/tmp"  # nosec B108  # noqa: S108 - mkdtemp makes a directory of its own there
_SOCKET_NAME = "redis.sock"
_TRACE = "socket"  # in the data directory: leads to the directory of the socket
_SOCKET_PATH_BYTES = 100  # sockaddr_un holds 108 on Linux, 104 on macOS


@dataclass(frozen=True)
class PrivateRedis:
    """`command` runs it in the foreground, complaining in `log`; only this user reaches `url`."""

    command: tuple[str, ...]
    url: str
    log: Path


@contextmanager
def private_redis(settings: Settings, data_directory: Path) -> Iterator[PrivateRedis]:
    """What to run as a Redis with its data in `data_directory`, listening on a Unix socket alone.

    Raises:
        ConfigurationError: production wants a Redis of its own, or none is installed.
    """
    if settings.environment == "production":
        raise ConfigurationError(
            "redis.url is not set, and the embedded Redis is not for production; "
            "set JOBRESULTS_REDIS__URL"
        )
    server = find_server()
    data_directory = data_directory.resolve()
    data_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_directory.chmod(0o700)
    log = data_directory / "redis.log"
    trace = data_directory / _TRACE
    _remove_sockets(trace)  # of one that was killed
    socket_directory = _socket_directory()
    trace.symlink_to(socket_directory)
    socket = socket_directory / _SOCKET_NAME
    try:
        command = _command(server, data_directory, socket, log)
        yield PrivateRedis(command, _url(socket), log)
    finally:
        _remove_sockets(trace)


def running_url(data_directory: Path) -> str | None:
    """Where the Redis with its data there is reached; None if it does not run."""
    socket = data_directory / _TRACE / _SOCKET_NAME
    return _url(socket.resolve()) if socket.is_socket() else None


def _url(socket: Path) -> str:
    return f"unix://{quote(str(socket))}"


def find_server(search_path: str | None = None, bundled: Path = BUNDLED) -> Path:
    """A Valkey or Redis server, 6.2 or newer: on `search_path` (`$PATH`), else the bundled one.

    Raises:
        ConfigurationError: there is none; says how to get one.
    """
    on_path = (shutil.which(name, path=search_path) for name in ("valkey-server", "redis-server"))
    for candidate in (*on_path, str(bundled)):
        if candidate and server_version(candidate) >= MINIMUM_VERSION:
            return Path(candidate)
    raise ConfigurationError(
        "no redis-server 6.2 or newer found; run `make install`, `apt-get install redis-server` or "
        "`brew install redis`, or set JOBRESULTS_REDIS__URL"
    )


def _command(server: Path, data_directory: Path, socket: Path, log: Path) -> tuple[str, ...]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(data_directory),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "logfile": str(log),
    }
    words = (word for name, value in options.items() for word in (f"--{name}", value))
    return (str(server), *words)


def server_version(program: str) -> tuple[int, ...]:
    """`(6, 2)` of `Redis server v=6.2.14 …`; empty if it does not run here."""
    try:
        run = subprocess.run(  # nosec B603  # what the operator has on PATH
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"\bv=(\d+)\.(\d+)", run.stdout)
    return tuple(int(part) for part in match.groups()) if match else ()


def _socket_directory() -> Path:
    """A fresh 0700 directory whose path leaves room for a socket's name."""
    directory = Path(tempfile.mkdtemp(prefix="jobresults-"))
    if len(bytes(directory / _SOCKET_NAME)) <= _SOCKET_PATH_BYTES:
        return directory
    directory.rmdir()
    return Path(tempfile.mkdtemp(prefix="jobresults-", dir=_SHORT_DIRECTORY))


def _remove_sockets(trace: Path) -> None:
    """Remove the directory that `trace` points to, and `trace`."""
    if trace.is_symlink():
        shutil.rmtree(trace.readlink(), ignore_errors=True)
        trace.unlink()
