"""The ledger's schema: which revision this code needs, and bringing it there while others work."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError, PendingRollbackError

from jobresults.database import Database, checked_url, open_database
from jobresults.errors import LedgerUnavailable
from jobresults.settings import DatabaseSettings

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
OTHER_SCHEMA = "the ledger has another schema; run `jobresults migrate`"

_ONE_AT_A_TIME = 7_203_401
# Below what requests wait for a lock (`database.lock_timeout_seconds`): they queue behind ours.
_LOCK_SECONDS = 0.5
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 5.0
_PATIENCE_SECONDS = 300.0
_BUSY = {
    "55P03": "a table is in use",
    "40P01": "it got into a deadlock",
}


def migrate(settings: DatabaseSettings, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
    """Bring the schema to the newest revision; safe to repeat, and to do while the service runs.

    On PostgreSQL each revision is a transaction of its own. To change a table is to wait for all
    who use it, and meanwhile everyone else waits, too: so it waits for half a second, lets them
    pass, and tries again.

    Raises:
        LedgerUnavailable: the database is out of reach, or was in use for `patience_seconds`.
        ConfigurationError: `database.url` is missing, malformed or of another kind of database.
    """
    url = checked_url(settings)
    if url.get_backend_name() == "sqlite":
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    else:
        settings = _unhurried(settings)
    database = open_database(settings)
    try:
        if database.dialect == "sqlite":
            with database.write() as connection:
                _upgrade(connection)
        else:
            with database.read() as connection:
                _upgrade_patiently(connection, patience_seconds)
    finally:
        database.close()


def schema_is_current(connection: Connection) -> bool:
    """Whether this code can work on the database: it has our revision, or a newer one.

    A newer one stays usable because migrations only add until no older process is left.
    """
    found = schema_revision(connection)
    known = revisions()
    return found is not None and (found == known[-1] or found not in known)


def schema_revision(connection: Connection) -> str | None:
    """The revision the database is at; None if it has no schema of ours."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def revisions() -> list[str]:
    """The schema's revisions, oldest first: what the names of their files begin with."""
    files = (MIGRATIONS / "versions").glob("[0-9]*.py")
    return sorted(path.name.partition("_")[0] for path in files)


class SchemaWatch:
    """Looks whether a ledger has the schema this code needs, until it has."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_current = False

    def look(self) -> bool:
        """Whether it has; from then on nobody is asked.

        Raises:
            LedgerUnavailable
        """
        if not self.is_current:
            with self._database.read() as connection:
                self.is_current = schema_is_current(connection)
        return self.is_current


def _unhurried(settings: DatabaseSettings) -> DatabaseSettings:
    """To make an index may take minutes; to wait for a lock may not."""
    lock_seconds = min(settings.lock_timeout_seconds, _LOCK_SECONDS)
    return settings.model_copy(
        update={
            "pool_size": 1,
            "statement_timeout_seconds": 0.0,  # none
            "lock_timeout_seconds": lock_seconds,
        }
    )


def _upgrade_patiently(connection: Connection, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    pause_seconds = _FIRST_PAUSE_SECONDS
    while (reason := _why_it_must_wait(connection)) is not None:
        if time.monotonic() >= deadline:
            raise LedgerUnavailable(f"database: the schema could not be changed, as {reason}")
        logger.warning("the schema is not changed yet, as %s; trying again", reason)
        time.sleep(pause_seconds)
        pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)


def _why_it_must_wait(connection: Connection) -> str | None:
    """None: it is done."""
    try:
        # Asked for and not waited for: who makes an index waits for every statement that runs.
        mine = connection.execute(select(func.pg_try_advisory_lock(_ONE_AT_A_TIME))).scalar()
        connection.commit()
        if not mine:
            return "another migration runs"
        _upgrade(connection)
    except OperationalError as error:
        reason = _BUSY.get(getattr(error.orig, "sqlstate", None) or "")
        if reason is None:
            raise
        connection.rollback()
        return reason
    except PendingRollbackError as error:  # what Alembic makes of it
        raise LedgerUnavailable("database: the connection was lost on the way") from error
    return None


def _upgrade(connection: Connection) -> None:
    # Only here: it takes 10 MiB, and no other process needs it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
