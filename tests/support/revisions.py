"""Ledgers at a revision of the schema that one chooses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from pydantic import SecretStr
from sqlalchemy import Connection

from jobresults.database import Database, open_database
from jobresults.schema import MIGRATIONS, revisions
from jobresults.settings import DatabaseSettings


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database(DatabaseSettings(url=SecretStr(url)))
    try:
        yield database
    finally:
        database.close()


@contextmanager
def writing(url: str) -> Iterator[Connection]:
    """A transaction on a ledger."""
    with opened(url) as database, database.write() as connection:
        yield connection


def alembic_on(connection: Connection) -> Config:
    """What Alembic's commands want."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def bring_to(url: str, revision: str) -> None:
    """Bring a ledger's schema forward to a revision, and no further."""
    with opened(url) as database:
        is_file = database.dialect == "sqlite"
        # Some revisions of PostgreSQL's schema end the transaction they find.
        with database.write() if is_file else database.read() as connection:
            command.upgrade(alembic_on(connection), revision)


def one_before() -> str:
    """The revision before the newest one."""
    return revisions()[-2]
