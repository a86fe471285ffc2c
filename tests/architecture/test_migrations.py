"""The migrations lead to the tables that the code speaks of."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import text

import jobresults.accounts.model
import jobresults.alerts.silences
import jobresults.jobs.indexes
import jobresults.webhooks.model
from jobresults import schema
from jobresults.database import metadata
from jobresults.schema import MIGRATIONS, migrate, revisions, schema_is_current
from jobresults.settings import DatabaseSettings
from tests.services.ledger import POSTGRESQL, SQLITE
from tests.support.revisions import alembic_on, writing
from tests.support.tables import tables_of

__all__ = ["jobresults"]

KINDS = [SQLITE, POSTGRESQL]


def migrated(url: str) -> str:
    migrate(DatabaseSettings(url=SecretStr(url)))
    return url


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
    monkeypatch.setattr(schema, "revisions", lambda: ["0000", *revisions()])
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
        by_migrations = tables_of(connection)
    with writing(empty_database(kind)) as connection:
        metadata.create_all(connection)
        by_tables = tables_of(connection)
    assert set(by_migrations) == set(by_tables) == set(metadata.tables)
    for table, parts in by_tables.items():
        for part, expected in parts.items():
            assert by_migrations[table][part] == expected, f"{part} of {table}"


@pytest.mark.parametrize("kind", KINDS)
def test_migrating_again_changes_nothing(kind: str, empty_database: Callable[[str], str]) -> None:
    url = migrated(empty_database(kind))
    with writing(url) as connection:
        before = tables_of(connection)
    migrated(url)
    with writing(url) as connection:
        assert tables_of(connection) == before
        assert schema_is_current(connection)


@pytest.mark.parametrize("kind", KINDS)
def test_migrations_can_be_taken_back(kind: str, empty_database: Callable[[str], str]) -> None:
    url = migrated(empty_database(kind))
    with writing(url) as connection:
        command.downgrade(alembic_on(connection), "base")
    with writing(url) as connection:
        assert tables_of(connection) == {}
        assert not schema_is_current(connection)
    with writing(migrated(url)) as connection:
        assert set(tables_of(connection)) == set(metadata.tables)
