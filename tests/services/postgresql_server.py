"""A private PostgreSQL cluster on a Unix socket, with as many databases as tests want."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from jobresults.schema import migrate
from jobresults.settings import DatabaseSettings
from tests.services.process import Process, eventually

_OWNER = "jobresults"
# Nothing here need survive the machine.
_OPTIONS = (
    "listen_addresses= fsync=off full_page_writes=off shared_buffers=16MB max_connections=200"
)


class PostgresqlServer:
    """Starts running."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs, self._directory = programs, directory
        self._numbers = itertools.count(1)
        self._user = _unprivileged_user()
        if self._user is not None:
            shutil.chown(directory, self._user)
        words = ["--auth=trust", f"--username={_OWNER}", "--encoding=UTF8", "--locale=C"]
        command: list[str | Path] = [
            programs / "initdb",
            "--no-sync",
            *words,
            f"--pgdata={directory}/data",
        ]
        initdb = Process("initdb", command, directory, user=self._user)
        eventually(lambda: not initdb.is_running, "initdb has ended")
        self.start()

    def start(self) -> None:
        """Run it, and wait until it answers."""
        options = [f"unix_socket_directories={self._directory}", *_OPTIONS.split()]
        words = [word for option in options for word in ("-c", option)]
        program, data = self._programs / "postgres", self._directory / "data"
        command: list[str | Path] = [program, "-D", data, *words]
        self.process = Process("postgresql", command, self._directory, user=self._user)
        try:
            eventually(self._answers, "PostgreSQL answers")
        except AssertionError as error:
            error.add_note(self.process.log())
            raise

    def stop(self) -> None:
        """Drop all connections and stop; `start` finds the databases as they were."""
        self.process.stop(signal.SIGINT)

    def empty_database(self) -> str:
        """The URL of a new database without tables."""
        return self._url(self._create("template1"))

    def ledger(self) -> str:
        """The URL of a new database with the ledger's tables."""
        return self._url(self._create(self._migrated))

    @cached_property
    def _migrated(self) -> str:
        name = self._create("template1")
        migrate(DatabaseSettings(url=SecretStr(self._url(name))))
        return name

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def _url(self, database: str) -> str:
        return f"postgresql://{_OWNER}@/{database}?host={self._directory}"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._url("postgres")).close()
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
    """PostgreSQL refuses to run as root. None: we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def start_postgresql() -> Iterator[Callable[[], PostgresqlServer]]:
    """Starts one more cluster at each call; all of them end with the session."""
    programs = find_programs()
    if programs is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("needs PostgreSQL's programs: apt-get install postgresql")
    started: list[PostgresqlServer] = []

    def start() -> PostgresqlServer:
        # Not below pytest's own directory: other users cannot enter it.
        directory = Path(tempfile.mkdtemp(prefix="jr-pg-", dir="/tmp"))
        started.append(PostgresqlServer(programs, directory))
        return started[-1]

    yield start
    for server in started:
        server.stop()
        shutil.rmtree(server.process.log_file.parent)


@pytest.fixture(scope="session")
def postgresql_server(start_postgresql: Callable[[], PostgresqlServer]) -> PostgresqlServer:
    """One for all tests that need no more than databases of their own in it."""
    return start_postgresql()
