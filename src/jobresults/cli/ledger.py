"""The ledger, for commands that work on it directly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobresults.database import Database


@contextmanager
def configured_ledger() -> Iterator[Database]:
    """The ledger that the settings name.

    Raises:
        ConfigurationError
    """
    from jobresults.configuration import load_settings
    from jobresults.database import open_database

    database = open_database(load_settings().database)
    try:
        yield database
    finally:
        database.close()


def rfc3339(at_ms: int | None) -> str | None:
    """A time of the ledger (milliseconds since 1970) as the service's answers have it."""
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
