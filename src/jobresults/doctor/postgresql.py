"""The ledger on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy import Connection
from sqlalchemy import text as sql

from jobresults.database import open_database
from jobresults.doctor.findings import Finding, error, ok, warning
from jobresults.doctor.places import shown
from jobresults.doctor.schema import Schema
from jobresults.errors import LedgerUnavailable
from jobresults.schema import schema_revision
from jobresults.settings import Settings

_LEAST_VERSION = 13
_SLOW_SECONDS = 0.02
_ASKED = 5
_FULL_SHARE = 0.85
_SETTINGS = sql(
    "SELECT current_setting('server_version'), current_setting('server_version_num')::int,"
    " current_setting('synchronous_commit'), current_setting('fsync'),"
    " current_setting('max_connections')::int, (SELECT count(*) FROM pg_stat_activity),"
    " pg_is_in_recovery()"
)


def check(settings: Settings) -> Iterator[Finding | Schema]:
    assert settings.database.url is not None
    where = shown(settings.database.url)
    database = open_database(settings.database.model_copy(update={"pool_size": 1}))
    try:
        with database.read() as connection:
            yield _latency(where, connection)
            yield from _server(connection)
            yield Schema(schema_revision(connection))
    except LedgerUnavailable as problem:
        remedy = "start it, or mend database.url; the other checks of the database are left out"
        yield error("database.reachable", f"{where}: {problem.detail}", remedy)
    finally:
        database.close()


def _latency(where: str, connection: Connection) -> Finding:
    taken = []
    for _ in range(_ASKED):
        began = time.perf_counter()
        connection.execute(sql("SELECT 1"))
        taken.append(time.perf_counter() - began)
    seconds = min(taken)  # of this busy process
    said = f"{where} answers in {seconds * 1000:.1f} ms"
    if seconds > _SLOW_SECONDS:
        remedy = "every submission waits for it: put it nearer, or look what slows it down"
        return warning("database.reachable", said, remedy)
    return ok("database.reachable", said)


def _server(connection: Connection) -> Iterator[Finding]:
    version, number, commit, fsync, most, used, recovers = connection.execute(_SETTINGS).one()
    if number // 10_000 < _LEAST_VERSION:
        remedy = f"{_LEAST_VERSION} or newer is tested"
        yield warning("database.version", f"PostgreSQL {version}", remedy)
    else:
        yield ok("database.version", f"PostgreSQL {version}")
    if recovers:
        text = "it is a standby, which takes no writes"
        yield error("database.role", text, "name the primary in database.url")
    if "off" in (fsync, commit):
        text = f"fsync {fsync}, synchronous_commit {commit}: a crash loses jobs that were accepted"
        yield error("database.durability", text, "turn it on")
    else:
        yield ok("database.durability", f"fsync on, synchronous_commit {commit}")
    text = f"{used} of {most} connections are in use"
    if used > most * _FULL_SHARE:
        yield warning("database.connections", text, "raise max_connections, or lower pool_size")
    else:
        yield ok("database.connections", text)
