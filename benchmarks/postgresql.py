"""A private PostgreSQL as it comes: it waits for the disk at each commit, as production does."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from benchmarks.processes import Process, until

_OWNER = "jobresults"
_OPTIONS = ("listen_addresses=", "max_connections=200")


class Postgresql:
    """A running cluster on a Unix socket."""

    def __init__(self, process: Process, directory: Path, version: str) -> None:
        self.process, self.version = process, version
        self._directory = directory
        self._numbers = itertools.count(1)

    @classmethod
    @contextlib.contextmanager
    def running(cls, environ: Mapping[str, str]) -> Iterator[Postgresql]:
        """Make a cluster and run it for as long as the block."""
        programs = find_programs()
        assert programs is not None
        # PostgreSQL does not run as root, and whoever it runs as must reach the directory.
        user = _unprivileged_user()
        directory = Path(tempfile.mkdtemp(prefix="jobresults-pg-", dir="/tmp"))
        if user is not None:
            shutil.chown(directory, user)
        data = str(directory / "data")
        words = ["--auth=trust", f"--username={_OWNER}", "--encoding=UTF8", "--locale=C"]
        try:
            subprocess.run(
                [str(programs / "initdb"), *words, f"--pgdata={data}"],
                env=dict(environ),
                cwd=directory,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                stdout=subprocess.DEVNULL,
                check=True,
            )
            options = [f"unix_socket_directories={directory}", *_OPTIONS]
            command = [str(programs / "postgres"), "-D", data]
            command += [word for option in options for word in ("-c", option)]
            process = Process(
                command, log_directory=directory, environ=environ, directory=directory, user=user
            )
            try:
                server = cls(process, directory, "")
                until(server._answers, "PostgreSQL answers", process)
                yield server
            finally:
                process.ask_to_stop(signal.SIGINT)
                process.end(grace_seconds=20)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"bench_{next(self._numbers)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://{_OWNER}@/{database}?host={self._directory}"

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self._url("postgres")) as connection:
                self.version = str(connection.info.parameter_status("server_version"))
        except psycopg.OperationalError:
            return False
        return True


def find_programs() -> Path | None:
    """The folder of `postgres` and `initdb`; Debian keeps them off the PATH."""
    on_path = shutil.which("initdb")
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(debian, key=lambda path: int(path.parts[-3]), default=None)
    found = on_path or newest
    return None if found is None else Path(found).resolve().parent


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
