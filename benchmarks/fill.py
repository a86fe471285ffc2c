"""Ledgers with a past: as many jobs as wanted, written by the database itself."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from benchmarks.service import CLIENT
from jobresults.database import Database

RESULT = b"1700000000.5"
_CHUNK = 20_000
_DAY_MS = 86_400_000
_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS "
    "(SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last) ",
    "postgresql": "WITH numbers(n) AS "
    "(SELECT generate_series(CAST(:first AS bigint), CAST(:last AS bigint))) ",
}
_ID = {
    "sqlite": "printf('%012x70008%015x', {at}, n)",
    "postgresql": "CAST(lpad(to_hex(CAST({at} AS bigint)), 12, '0') || '70008' "
    "|| lpad(to_hex(CAST(n AS bigint)), 15, '0') AS uuid)",
}
# What the jobs of each kind have in common with no other.
_ENDED = {
    "state": "'succeeded'",
    "attempt": "1",
    "dispatched_at_ms": "{at}",
    "worker": "'worker-1'",
    "result": ":result",
    "result_sha256": ":sha256",
    "started_at_ms": "{at} + 20",
    "ended_at_ms": "{at} + 50",
    "expires_at_ms": "{at} + 604800000",
}
_QUEUED = {
    "state": "'queued'",
    "attempt": "0",
    "waiting_on": "'worker'",
    "dispatched_at_ms": "{at}",
}
_SCHEDULED = {**_QUEUED, "waiting_on": "'schedule'", "dispatched_at_ms": "NULL"}
_ALL = {
    "id": "{id}",
    "task": "'clock'",
    "queue": "'default'",
    "client": ":client",
    "customer": "'c' || (n % 1000)",
    "params": ":params",
    "tags": "'[]'",
    "epoch": "1",
    "max_attempts": "3",
    "timeout_seconds": "300.0",
    "result_ttl_seconds": "604800",
    "due_at_ms": "{at}",
    "created_at_ms": "{at}",
}


@dataclass(frozen=True)
class Filled:
    """Jobs number 1 to `count`; number n was created at `start_ms + n * step_ms`."""

    count: int
    start_ms: int
    step_ms: int

    def id(self, number: int) -> str:
        """The id of a job."""
        at_ms = self.start_ms + number * self.step_ms
        return str(UUID(f"{at_ms:012x}70008{number:015x}"))

    def some_ids(self, count: int) -> list[str]:
        """Ids from all over the ledger."""
        count = min(count, self.count)
        return [self.id(1 + index * self.count // count) for index in range(count)]


def ended(database: Database, count: int) -> Filled:
    """Jobs that succeeded during two days, three to one day ago, with their timelines."""
    now_ms = _now_ms(database)
    filled = Filled(count, now_ms - 3 * _DAY_MS, max(1, 2 * _DAY_MS // count))
    _insert(database, filled, _ENDED, (("submitted", 0), ("started", 20), ("succeeded", 50)))
    return filled


def queued(database: Database, count: int) -> Filled:
    """Jobs that were handed to Redis a minute ago."""
    filled = Filled(count, _now_ms(database) - 60_000, 0)
    _insert(database, filled, _QUEUED, (("submitted", 0),))
    return filled


def scheduled(database: Database, count: int) -> Filled:
    """Jobs that are due tomorrow."""
    filled = Filled(count, _now_ms(database) + _DAY_MS, 0)
    _insert(database, filled, _SCHEDULED, ())
    return filled


def _insert(
    database: Database,
    filled: Filled,
    columns: dict[str, str],
    events: tuple[tuple[str, int], ...],
) -> None:
    numbers, identifier = _NUMBERS[database.dialect], _ID[database.dialect]
    at = f"({filled.start_ms} + n * {filled.step_ms})"
    expressions = {
        name: expression.format(at=at, id=identifier.format(at=at))
        for name, expression in {**_ALL, **columns}.items()
    }
    # SQLite wants WITH before SELECT, PostgreSQL takes it there too.
    jobs = (
        f"INSERT INTO job ({', '.join(expressions)}) {numbers}"
        f"SELECT {', '.join(expressions.values())} FROM numbers"
    )
    fixed = {
        "client": CLIENT,
        "params": b"{}",
        "result": RESULT,
        "sha256": sha256(RESULT).hexdigest(),
    }
    used = {name: value for name, value in fixed.items() if f":{name}" in jobs}
    for first in range(1, filled.count + 1, _CHUNK):
        bounds = {"first": first, "last": min(first + _CHUNK - 1, filled.count)}
        with database.write() as connection:
            connection.execute(text(jobs), {**used, **bounds})
            for event, after_ms in events:
                statement = (
                    f"INSERT INTO job_event (job_id, at_ms, event, attempt, detail) {numbers}"
                    f"SELECT {expressions['id']}, {at} + {after_ms}, '{event}', "
                    f"{0 if event == 'submitted' else 1}, '{{}}' FROM numbers"
                )
                connection.execute(text(statement), bounds)
    with database.write() as connection:
        connection.execute(text("ANALYZE"))


def _now_ms(database: Database) -> int:
    with database.read() as connection:
        now: Any = connection.execute(select(database.now_ms())).scalar_one()
    return int(now)
