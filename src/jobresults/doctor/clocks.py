"""How far the clocks of this machine, Redis and the database are apart. Leases use the database's
alone, RQ's register the workers', tokens the web's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jobresults.doctor.findings import Finding, Level, Subject, ok
from jobresults.doctor.ledger import opened
from jobresults.errors import ConfigurationError, RedisUnavailable
from jobresults.redis_store import connect, guarded
from jobresults.settings import Settings

_MUCH_SECONDS, _TOO_MUCH_SECONDS = 1.0, 5.0


def check(subject: Subject) -> Iterator[Finding]:
    """Those that can be asked; SQLite's clock is this machine's."""
    ahead = {
        "Redis": _redis_ahead(subject.settings, subject.clock),
        "the database": _database_ahead(subject.settings, subject.clock),
    }
    known = {name: seconds for name, seconds in ahead.items() if seconds is not None}
    for name, seconds in known.items():
        yield _finding(name, "this machine", seconds)
    if len(known) == 2:
        yield _finding("Redis", "the database", known["Redis"] - known["the database"])


def _finding(one: str, other: str, seconds: float) -> Finding:
    name = f"clocks.{one.split()[-1].lower()}"
    text = f"{one} is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} {other}"
    if abs(seconds) < _MUCH_SECONDS:
        return ok(name, f"{one} and {other} are {abs(seconds):.1f} s apart")
    level = Level.ERROR if abs(seconds) >= _TOO_MUCH_SECONDS else Level.WARNING
    return Finding(level, name, text, "let NTP set the clocks (timedatectl, chronyc tracking)")


def _redis_ahead(settings: Settings, clock: Callable[[], float]) -> float | None:
    if settings.redis.url is None:
        return None
    try:
        with connect(settings.redis) as client, guarded(client):
            client.ping()  # the connection is made outside of what is measured
            began = clock()
            told: Any = client.time()
            return float(told[0] + told[1] / 1_000_000 - (began + clock()) / 2)
    except (ConfigurationError, RedisUnavailable):
        return None


def _database_ahead(settings: Settings, clock: Callable[[], float]) -> float | None:
    with opened(settings) as database:
        if database is None or database.dialect == "sqlite":
            return None
        with database.read() as connection:
            began = clock()
            told_ms = database.read_clock_ms(connection)
            return told_ms / 1000 - (began + clock()) / 2
