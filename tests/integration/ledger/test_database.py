"""The database as the ledger has it: its clock, its transactions, and its faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, event, insert, literal, select, text
from sqlalchemy.exc import IntegrityError

from jobresults.accounts.model import api_key
from jobresults.database import Database, open_database
from jobresults.errors import ConfigurationError, LedgerUnavailable
from jobresults.schema import migrate
from jobresults.settings import DatabaseSettings
from tests.integration.driver import Driver, on_postgresql, on_sqlite

ROW = {"id": "1", "key_sha256": "", "client": "", "scopes": "", "created_at_ms": 0}


def settings(url: str, **more: float) -> DatabaseSettings:
    return DatabaseSettings.model_validate({"url": url, **more})


def keys(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(api_key.c.id)).scalars())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "is not a URL like postgresql://user:password@host/name"),
        ("", "is not a URL like"),
        ("mysql://h/d", "mysql is not supported; use postgresql or sqlite"),
        ("sqlite://", "an in-memory SQLite cannot be shared; name a file"),
        ("sqlite:///:memory:", "an in-memory SQLite cannot be shared; name a file"),
    ],
)
def test_a_url_that_cannot_be_a_ledger_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="^database.url") as caught:  # noqa: RUF043
        open_database(settings(url))
    assert said in caught.value.detail


def test_a_refused_url_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_database(settings("//me:secret@h"))
    assert "secret" not in caught.value.detail


def test_a_missing_url_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match="set JOBRESULTS_DATABASE__URL"):
        open_database(DatabaseSettings())


def test_the_folder_of_a_new_ledger_is_made(tmp_path: Path) -> None:
    migrate(settings(f"sqlite:///{tmp_path}/a/b/ledger.db"))
    assert (tmp_path / "a" / "b" / "ledger.db").exists()


def test_the_ledgers_clock_counts_milliseconds_since_1970(driver: Driver) -> None:
    assert abs(driver.now_ms() - time.time() * 1_000) < 5_000
    assert driver.now_ms() <= driver.now_ms()


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        connection.execute(insert(api_key).values(ROW))
        1 / 0  # noqa: B018
    assert keys(database) == []


def test_a_violated_constraint_is_not_an_outage(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(api_key).values(ROW))
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(insert(api_key).values(ROW))


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(api_key).values(ROW))
        assert keys(database) == [], "not committed yet"
    assert keys(database) == ["1"]


@on_postgresql
@pytest.mark.parametrize(("losses", "survives"), [(1, True), (2, False)])
def test_a_read_whose_connection_is_lost_is_asked_once_more(
    database: Database, database_url: str, losses: int, survives: bool
) -> None:
    """As in a failover: the connection was good when it was taken from the pool."""
    left = losses

    def lose(connection: Connection, *_: object) -> None:
        nonlocal left
        if left:
            left -= 1
            pid = connection.connection.driver_connection.info.backend_pid
            with psycopg.connect(database_url) as killer:
                killer.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    event.listen(database._engine, "before_cursor_execute", lose)
    if survives:
        assert [row.one for row in database.rows(select(literal(1).label("one")))] == [1]
    else:
        with pytest.raises(LedgerUnavailable):
            database.rows(select(literal(1)))
    assert left == 0


@on_sqlite
def test_a_writer_waits_for_another(database: Database) -> None:
    holding = threading.Event()

    def hold() -> None:
        with database.write() as connection:
            holding.set()
            connection.execute(insert(api_key).values(ROW))
            time.sleep(0.1)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()
    with database.write() as connection:
        connection.execute(insert(api_key).values({**ROW, "id": "2"}))
    thread.join()
    assert sorted(keys(database)) == ["1", "2"]


@on_sqlite
def test_a_writer_waits_so_long_and_no_longer(database: Database, database_url: str) -> None:
    impatient = open_database(settings(database_url, lock_timeout_seconds=0.05))
    with (
        database.write(),
        pytest.raises(LedgerUnavailable, match="locked"),
        impatient.write(),
    ):
        pass
    impatient.close()


@on_sqlite
def test_sqlite_keeps_what_it_has_committed(database: Database) -> None:
    with database.read() as connection:
        pragmas = [
            connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


@on_postgresql
def test_a_statement_may_take_so_long_and_no_longer(database_url: str) -> None:
    impatient = open_database(settings(database_url, statement_timeout_seconds=0.05))
    with (
        pytest.raises(LedgerUnavailable, match="QueryCanceled"),
        impatient.read() as connection,
    ):
        connection.execute(text("SELECT pg_sleep(10)"))
    impatient.close()


def test_a_busy_pool_is_an_outage(database_url: str) -> None:
    small = open_database(settings(database_url, pool_size=1, pool_timeout_seconds=0.05))
    with small.read(), pytest.raises(LedgerUnavailable), small.read():
        pass
    small.close()


def test_an_outage_is_told_in_one_line_without_the_statement(
    empty_database: Callable[[str], str],
) -> None:
    away = open_database(DatabaseSettings(url=SecretStr(empty_database("sqlite"))))
    with pytest.raises(LedgerUnavailable) as caught:
        keys(away)
    assert caught.value.detail == "database: OperationalError: no such table: api_key"
    away.close()


@on_postgresql
def test_a_dropped_connection_is_replaced(database: Database, database_url: str) -> None:
    kill = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert keys(database) == []
    operator = open_database(settings(database_url))
    with operator.read() as connection:
        connection.execute(kill)
    operator.close()
    assert keys(database) == []
