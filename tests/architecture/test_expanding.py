"""Migrations only add, as the version before runs on the new schema, and they hold nobody up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, event

from jobresults.schema import migrate, revisions
from jobresults.settings import DatabaseSettings
from tests.architecture.expansion import contractions, stoppages
from tests.services.ledger import POSTGRESQL, SQLITE
from tests.support.revisions import bring_to, opened
from tests.support.tables import tables_of

# The first that must not keep others from writing while it runs.
ONLINE_SINCE = "0008"
# What takes something away: revision, and which release was the last to need it. The release before
# the one that brings the revision must have done without.
CONTRACTS: dict[str, str] = {}


@contextmanager
def statements() -> Iterator[list[str]]:
    """All that is executed within the block."""
    seen: list[str] = []

    def note(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("kind", [SQLITE, POSTGRESQL])
def test_every_migration_only_adds_and_lets_others_write(
    kind: str, empty_database: Callable[[str], str]
) -> None:
    url = empty_database(kind)
    first, *later = revisions()
    bring_to(url, first)
    with opened(url) as database:
        for revision in later:
            with database.read() as connection:
                before = tables_of(connection)
            with statements() as executed:
                bring_to(url, revision)
            with database.read() as connection:
                taken_away = contractions(before, tables_of(connection))
            if revision not in CONTRACTS:
                assert taken_away == [], f"{revision} takes away what the version before needs"
            if revision >= ONLINE_SINCE and kind == "postgresql":
                assert stoppages(executed, set(before)) == [], f"{revision} holds up who writes"


Change = Callable[[Operations], object]
TAKES_AWAY: dict[str, Change] = {
    "silence is gone": lambda op: op.drop_table("silence"),
    "job.tracestate is gone": lambda op: op.drop_column("job", "tracestate"),
    "job.customer is gone": lambda op: op.alter_column(
        "job", "customer", new_column_name="of_customer"
    ),
    "job.worker was VARCHAR(200), is TEXT": lambda op: op.alter_column(
        "job", "worker", type_=sa.Text()
    ),
    "job.customer must be given": lambda op: op.alter_column("job", "customer", nullable=False),
    "job.tags must be given": lambda op: op.alter_column("job", "tags", server_default=None),
    "job.added must be given": lambda op: op.add_column(
        "job", sa.Column("added", sa.Text(), nullable=False)
    ),
    "job has a new rule few": lambda op: op.create_check_constraint("few", "job", "attempt < 100"),
    "job has a new rule uq_job_once": lambda op: op.create_unique_constraint(
        "uq_job_once", "job", ["request_id"]
    ),
    "job has a new rule ix_job_once": lambda op: op.create_index(
        "ix_job_once", "job", ["request_id"], unique=True
    ),
}
HOLDS_UP: dict[str, Change] = {
    "CREATE INDEX ix_job_slow ON job (worker)": lambda op: op.create_index(
        "ix_job_slow", "job", ["worker"]
    ),
    "UPDATE job SET worker = ''": lambda op: op.execute("UPDATE job SET worker = ''"),
    "DELETE FROM job": lambda op: op.execute("DELETE FROM job"),
}


@pytest.fixture(scope="module")
def ledger(empty_database: Callable[[str], str]) -> str:
    url = empty_database("postgresql")
    migrate(DatabaseSettings.model_validate({"url": url}))
    return url


def tried(connection: Connection, change: Change) -> tuple[list[str], list[str]]:
    """What there is against a change that is made and taken back."""
    before = tables_of(connection)
    with statements() as executed:
        change(Operations(MigrationContext.configure(connection)))
    found = contractions(before, tables_of(connection)), stoppages(executed, set(before))
    connection.rollback()
    return found


@pytest.mark.postgresql
@pytest.mark.parametrize("complaint", TAKES_AWAY)
def test_what_takes_something_away_is_seen(ledger: str, complaint: str) -> None:
    with opened(ledger) as database, database.read() as connection:
        assert complaint in tried(connection, TAKES_AWAY[complaint])[0]


@pytest.mark.postgresql
@pytest.mark.parametrize("statement", HOLDS_UP)
def test_what_holds_up_who_writes_is_seen(ledger: str, statement: str) -> None:
    with opened(ledger) as database, database.read() as connection:
        assert tried(connection, HOLDS_UP[statement])[1] == [statement]


@pytest.mark.postgresql
def test_what_only_adds_is_let_pass(ledger: str) -> None:
    def add(op: Operations) -> None:
        op.add_column("job", sa.Column("may_be_null", sa.Text()))
        op.add_column("job", sa.Column("given", sa.Text(), nullable=False, server_default=""))
        op.create_table("extra", sa.Column("id", sa.Integer, primary_key=True))
        op.create_index("ix_extra", "extra", ["id"], unique=True)
        op.drop_index("ix_job_expired", "job")

    with opened(ledger) as database, database.read() as connection:
        assert tried(connection, add) == ([], [])
