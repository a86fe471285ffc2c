"""The database: there, fast, at the schema this release needs, and keeping what it commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

from jobresults.database import Database, checked_url, open_database
from jobresults.doctor import postgresql, sqlite
from jobresults.doctor.findings import Finding, Subject, error, ok, warning
from jobresults.doctor.redis import unset
from jobresults.errors import ConfigurationError, LedgerUnavailable
from jobresults.schema import revisions, schema_is_current
from jobresults.settings import Settings


def check(subject: Subject) -> Iterator[Finding]:
    """All of it; if it cannot be reached, that alone."""
    settings = subject.settings
    if settings.database.url is None:
        yield unset("database", settings)
        return
    try:
        url = checked_url(settings.database)
    except ConfigurationError as problem:
        yield error("database.reachable", problem.detail, "mend database.url")
        return
    part = sqlite.check if _is_sqlite(url) else postgresql.check
    for found in part(settings):
        yield found if isinstance(found, Finding) else _schema(found.revision)


def _schema(found: str | None) -> Finding:
    name, wanted = "database.schema", revisions()[-1]
    if found == wanted:
        return ok(name, f"at revision {wanted}, which is this release's")
    if found is None:
        return error(name, "it has no tables of this service", "run: jobresults migrate")
    if found in revisions():
        text = f"at revision {found}, and this release needs {wanted}"
        return error(name, text, "run: jobresults migrate")
    text = f"at revision {found}, newer than this release's {wanted}"
    return warning(name, text, "finish the rollout of the newer release")


@contextmanager
def opened(settings: Settings) -> Iterator[Database | None]:
    """The ledger, if it is there and has our tables; None for whatever keeps us from it, since
    `check` tells that.
    """
    database = None
    try:
        if settings.database.url is not None:
            url = checked_url(settings.database)
            # Opening a file that is not there would make it.
            if not _is_sqlite(url) or Path(str(url.database)).is_file():
                database = open_database(settings.database.model_copy(update={"pool_size": 1}))
                with database.read() as connection:
                    is_current = schema_is_current(connection)
                if not is_current:
                    database.close()
                    database = None
    except (ConfigurationError, LedgerUnavailable):
        database = None
    try:
        yield database
    finally:
        if database is not None:
            database.close()


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"
