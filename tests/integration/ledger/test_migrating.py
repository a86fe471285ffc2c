"""Changing the schema while others use it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

import jobresults.jobs.indexes
from jobresults.errors import LedgerUnavailable
from jobresults.schema import migrate, revisions, schema_revision
from jobresults.settings import DatabaseSettings
from tests.services.process import eventually
from tests.support.revisions import bring_to, opened
from tests.support.tables import tables_of

pytestmark = pytest.mark.postgresql

# 0007 adds a column to a table, 0008 makes an index anew.
BEFORE_COLUMN, BEFORE_INDEX = "0006", "0007"
__all__ = ["jobresults"]


@pytest.fixture
def url(empty_database: Callable[[str], str]) -> str:
    return empty_database("postgresql")


@contextmanager
def holding(url: str, statement: str) -> Iterator[psycopg.Connection]:
    """Someone's transaction that goes on."""
    with psycopg.connect(url) as connection:
        connection.execute(statement)
        yield connection
        connection.rollback()


@contextmanager
def migrating(url: str, **more: float) -> Iterator[Future[None]]:
    """A migration that runs beside the block."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit(migrate, DatabaseSettings.model_validate({"url": url, **more}))


def revision_of(url: str) -> str | None:
    with opened(url) as database, database.read() as connection:
        return schema_revision(connection)


def is_being_made(url: str, index: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT 1 FROM pg_class WHERE relname = %s", [index])
        return found.fetchone() is not None


def cut_off(url: str) -> None:
    """End the connection of whoever makes an index."""
    making = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_progress_create_index"
    with psycopg.connect(url) as connection:
        assert connection.execute(making).fetchone() == (True,)


def test_who_comes_after_a_change_that_waits_is_let_pass(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    bring_to(url, BEFORE_COLUMN)
    caplog.set_level(logging.WARNING)
    with migrating_behind_a_reader(url) as change:
        eventually(lambda: "a table is in use" in caplog.text, "it waits")
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SET lock_timeout = '5s'")
            for _ in range(3):
                other.execute("SELECT count(*) FROM job")
                told = len(caplog.messages)
                eventually(lambda told=told: len(caplog.messages) > told, "it tries again")
        assert not change.done()
        assert revision_of(url) == BEFORE_COLUMN
    assert revision_of(url) == revisions()[-1]


@contextmanager
def migrating_behind_a_reader(url: str) -> Iterator[Future[None]]:
    """Returns once the migration is through, which it is after the block."""
    with migrating(url) as change:
        with holding(url, "SELECT count(*) FROM job"):
            yield change
        change.result()


def test_a_change_that_waits_for_too_long_is_given_up(url: str) -> None:
    bring_to(url, BEFORE_COLUMN)
    settings = DatabaseSettings.model_validate({"url": url, "lock_timeout_seconds": 0.05})
    with (
        holding(url, "SELECT count(*) FROM job"),
        pytest.raises(LedgerUnavailable, match="could not be changed, as a table is in use"),
    ):
        migrate(settings, patience_seconds=0.2)
    assert revision_of(url) == BEFORE_COLUMN


def test_two_migrations_take_turns(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with holding(url, "SELECT pg_advisory_lock(7203401)") as first, migrating(url) as second:
        eventually(lambda: "another migration runs" in caplog.text, "it waits")
        assert revision_of(url) is None
        first.execute("SELECT pg_advisory_unlock(7203401)")
        second.result()
    assert revision_of(url) == revisions()[-1]


def test_an_index_is_made_while_others_write_and_again_if_it_was_cut_off(url: str) -> None:
    bring_to(url, BEFORE_INDEX)
    begun = partial(is_being_made, url, "ix_job_dispatched_new")
    a_writer = "LOCK TABLE job IN ROW EXCLUSIVE MODE"
    with holding(url, a_writer), migrating(url, statement_timeout_seconds=0.05) as change:
        eventually(begun, "it waits for who writes already")
        with holding(url, f"{a_writer} NOWAIT") as another:
            another.execute("SELECT pg_sleep(0.2)")  # longer than a request's statement may take
            cut_off(url)
            with pytest.raises(LedgerUnavailable):
                change.result()
    assert begun()
    assert revision_of(url) == BEFORE_INDEX

    migrate(DatabaseSettings.model_validate({"url": url}))
    with opened(url) as database, database.read() as connection:
        indexes = {index["name"]: index for index in tables_of(connection)["job"]["indexes"]}
    assert set(indexes) == {str(index.name) for index in jobresults.jobs.model.job.indexes}
    assert indexes["ix_job_dispatched"]["column_names"][-1] == "state"
