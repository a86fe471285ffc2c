"""The migrations lead to the tables that the code speaks of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Connection, inspect, text

import jobresults.accounts.model
import jobresults.alerts.silences
import jobresults.jobs.model
import jobresults.webhooks.model
from jobresults import database
from jobresults.database import (
    MIGRATIONS,
    metadata,
    migrate,
    open_database,
    revisions,
    schema_is_current,
)
from jobresults.settings import DatabaseSettings
from tests.services.ledger import POSTGRESQL, SQLITE

__all__ = ["jobresults"]

KINDS = [SQLITE, POSTGRESQL]
OF_ALEMBIC = {"alembic_version"}


@contextmanager
def writing(url: str) -> Iterator[Connection]:
    database = open_database(DatabaseSettings(url=SecretStr(url)))
    try:
        with database.write() as connection:
            yield connection
    finally:
        database.close()


def migrated(url: str) -> str:
    migrate(DatabaseSettings(url=SecretStr(url)))
    return url


def alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def schema(connection: Connection) -> dict[str, Any]:
    """All that the database itself knows of the tables."""
    inspector = inspect(connection)
    tables = set(inspector.get_table_names()) - OF_ALEMBIC
    return {
        table: {
            "columns": {
                column["name"]: {**column, "type": str(column["type"])}
                for column in inspector.get_columns(table)
            },
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": _sorted(inspector.get_foreign_keys(table)),
            "unique": _sorted(inspector.get_unique_constraints(table)),
            "checks": _sorted(inspector.get_check_constraints(table)),
            "indexes": [
                {**index, "dialect_options": _texts(index.get("dialect_options", {}))}
                for index in _sorted(inspector.get_indexes(table))
            ],
        }
        for table in tables
    }


def _sorted(items: Any) -> list[Any]:
    return sorted(items, key=lambda item: str(item["name"]))


def _texts(options: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items()}


def test_there_is_one_newest_migration() -> None:
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1


def test_files_are_named_by_their_revision_and_in_order() -> None:
    """So that a process can tell whether the schema is its own without loading Alembic."""
    scripts = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    assert revisions() == [script.revision for script in reversed(scripts)]


@pytest.mark.parametrize(("found", "current"), [("0000", False), ("9999", True), (None, False)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_of_another_version_may_be_newer_but_not_older(
    kind: str,
    empty_database: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    found: str | None,
    current: bool,
) -> None:
    monkeypatch.setattr(database, "revisions", lambda: ["0000", *revisions()])
    with writing(migrated(empty_database(kind))) as connection:
        assert schema_is_current(connection)
        connection.execute(text("DELETE FROM alembic_version"))
        if found is not None:
            connection.execute(text(f"INSERT INTO alembic_version VALUES ('{found}')"))
        assert schema_is_current(connection) is current


@pytest.mark.parametrize("kind", KINDS)
def test_migrations_and_tables_agree(kind: str, empty_database: Callable[[str], str]) -> None:
    with writing(migrated(empty_database(kind))) as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("kind", KINDS)
def test_migrations_make_exactly_what_the_tables_say(
    kind: str, empty_database: Callable[[str], str]
) -> None:
    with writing(migrated(empty_database(kind))) as connection:
        by_migrations = schema(connection)
    with writing(empty_database(kind)) as connection:
        metadata.create_all(connection)
        by_tables = schema(connection)
    assert set(by_migrations) == set(by_tables) == set(metadata.tables)
    for table, parts in by_tables.items():
        for part, expected in parts.items():
            assert by_migrations[table][part] == expected, f"{part} of {table}"


@pytest.mark.parametrize("kind", KINDS)
def test_migrating_again_changes_nothing(kind: str, empty_database: Callable[[str], str]) -> None:
    url = migrated(empty_database(kind))
    with writing(url) as connection:
        before = schema(connection)
    migrated(url)
    with writing(url) as connection:
        assert schema(connection) == before
        assert schema_is_current(connection)


@pytest.mark.parametrize("kind", KINDS)
def test_migrations_can_be_taken_back(kind: str, empty_database: Callable[[str], str]) -> None:
    url = migrated(empty_database(kind))
    with writing(url) as connection:
        command.downgrade(alembic(connection), "base")
    with writing(url) as connection:
        assert schema(connection) == {}
        assert not schema_is_current(connection)
    with writing(migrated(url)) as connection:
        assert set(schema(connection)) == set(metadata.tables)
