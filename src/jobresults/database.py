"""The ledger's database: engine, transactions, its clock, and its faults as `LedgerUnavailable`.

SQLite and PostgreSQL keep the same promises here: a transaction that committed survives a crash of
the process (SQLite: WAL with `synchronous=FULL`), a writer waits at most `lock_timeout_seconds`,
reads never wait for writes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    MetaData,
    cast,
    create_engine,
    event,
    extract,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from jobresults.errors import ConfigurationError, LedgerUnavailable
from jobresults.settings import DatabaseSettings

_SILENCE_SECONDS = 0.5
_REST_SECONDS = 1.0
# Connections whose other end is gone without a word are noticed within seconds, not hours.
_TCP = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class Database:
    """One process's pool of connections to the ledger. Open it after a fork, never before."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(jobresults_write=True)
        self._now_ms = clock_ms(engine.dialect.name)
        read_clock = select(self._now_ms)
        literal = {"literal_binds": True}
        self._read_clock = str(read_clock.compile(engine, compile_kwargs=literal))
        self._resting_until = 0.0

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading.

        Raises:
            LedgerUnavailable: the database is out of reach, or every pooled connection is busy.
        """
        with _translated(), self._connected(self._engine) as connection:
            yield connection

    def rows(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        """What one reading statement finds. If the connection is lost on the way, as in a failover,
        it is asked once more over another one.

        Raises:
            LedgerUnavailable: as `read`.
        """
        with _translated():
            try:
                return self._rows(statement, parameters)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            return self._rows(statement, parameters)

    def _rows(self, statement: Executable, parameters: Mapping[str, Any] | None) -> Sequence[Any]:
        with self._connected(self._engine) as connection:
            if self.dialect == "postgresql":
                # One statement needs no transaction, nor the round trips to begin and end it.
                connection.execution_options(isolation_level="AUTOCOMMIT")
            return connection.execute(statement, parameters).all()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, rolled back if it raises.

        Raises:
            LedgerUnavailable: out of reach, or locked for longer than `lock_timeout_seconds`.
                Nothing was written, unless the answer to the commit itself was lost.
        """
        with (
            _translated(),
            self._connected(self._writer) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        """A pooled connection. After a silence no one waits for the server again for 1 s; a refusal
        costs nothing, so it is worth asking each time.
        """
        asked_at = time.monotonic()
        if asked_at < self._resting_until:
            raise LedgerUnavailable("database: it did not answer a moment ago")
        try:
            connection = engine.connect()
        except OperationalError:
            if time.monotonic() - asked_at > _SILENCE_SECONDS and self.dialect != "sqlite":
                self._resting_until = time.monotonic() + _REST_SECONDS
            raise
        with connection:
            yield connection

    def now_ms(self) -> ColumnElement[int]:
        """The database's clock as SQL: milliseconds since 1970-01-01 UTC. Leases use no other
        clock.
        """
        return self._now_ms

    def read_clock_ms(self, connection: Connection) -> int:
        """The database's clock now, for all that one transaction writes."""
        return int(connection.exec_driver_sql(self._read_clock).scalar_one())

    def close(self) -> None:
        """Close all pooled connections."""
        self._engine.dispose()


def open_database(settings: DatabaseSettings, *, plans_anew: bool = False) -> Database:
    """A pool for this process. Connects lazily. `plans_anew`: for few statements of many rows each.
    PostgreSQL would keep a plan made while a table was empty, and read all of it for minutes.

    Raises:
        ConfigurationError: `database.url` is missing, malformed or of another kind of database.
    """
    url = checked_url(settings)
    if url.get_backend_name() == "sqlite":
        return Database(_sqlite_engine(url, settings))
    milliseconds = (
        f"{settings.statement_timeout_seconds * 1000:.0f}",
        f"{settings.lock_timeout_seconds * 1000:.0f}",
    )
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout_seconds,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": settings.connect_timeout_seconds,
            "options": "-c statement_timeout={} -c lock_timeout={}".format(*milliseconds),
            "application_name": "jobresults",
            # Not `plan_cache_mode`: that would also plan each check of a foreign key.
            **({"prepare_threshold": None} if plans_anew else {}),
            **_TCP,
        },
    )
    return Database(engine)


def clock_ms(dialect: str) -> ColumnElement[int]:
    """A database's clock as SQL, for statements that are made once."""
    if dialect == "sqlite":
        return cast(func.round((func.julianday("now") - 2440587.5) * 86_400_000.0), BigInteger)
    # Not clock_timestamp(): it may change within a statement, so no index can be searched by it.
    return cast(extract("epoch", func.statement_timestamp()) * 1000, BigInteger)


def checked_url(settings: DatabaseSettings) -> URL:
    """`database.url`, parsed.

    Raises:
        ConfigurationError: it is missing, malformed or of another kind of database.
    """
    if settings.url is None:
        raise ConfigurationError(
            "database.url is not set; set JOBRESULTS_DATABASE__URL (postgresql://… or "
            "sqlite:///path), or use `jobresults up`"
        )
    try:
        url = make_url(settings.url.get_secret_value())
    except ArgumentError as error:
        raise ConfigurationError(
            "database.url is not a URL like postgresql://user:password@host/name"
        ) from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigurationError(
            f"database.url: {url.get_backend_name()} is not supported; use postgresql or sqlite"
        )
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "database.url: an in-memory SQLite cannot be shared; name a file: sqlite:///path"
        )
    return url


def _sqlite_engine(url: Any, settings: DatabaseSettings) -> Engine:
    engine = create_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout_seconds,
        connect_args={"timeout": 0, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, see below
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-16000",
        ):
            _patiently(connection, f"PRAGMA {pragma}", settings.lock_timeout_seconds)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        # IMMEDIATE takes the write lock at once: a later upgrade of a read lock cannot wait, only
        # fail.
        writing = connection.get_execution_options().get("jobresults_write")
        try:
            _patiently(
                raw, "BEGIN IMMEDIATE" if writing else "BEGIN", settings.lock_timeout_seconds
            )
        except sqlite3.Error as error:
            raise OperationalError("BEGIN", None, error) from error

    return engine


def _patiently(connection: sqlite3.Connection, statement: str, timeout_seconds: float) -> None:
    """Wait for SQLite's lock in Python: its own busy handler sleeps in C, where it would stop all
    greenlets.
    """
    deadline = time.monotonic() + timeout_seconds
    pause_seconds = 0.001
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() >= deadline:
                raise
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 2, 0.02)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise LedgerUnavailable(_reason(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise LedgerUnavailable(_reason(error)) from error
        raise


def _reason(error: Exception) -> str:
    """One line for logs; SQLAlchemy's own text carries the statement and its parameters."""
    original = getattr(error, "orig", None) or error
    first_line = str(original).strip().partition("\n")[0]
    return f"database: {type(original).__name__}: {first_line}"
