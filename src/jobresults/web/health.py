"""What `/status` tells of Redis and the ledger: checked in the background, so that no probe ever
waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import text

from jobresults.database import Database
from jobresults.errors import LedgerUnavailable, RedisUnavailable
from jobresults.jobs.dispatch import count_workers
from jobresults.redis_store import Client
from jobresults.schema import SchemaWatch
from jobresults.telemetry.metrics import UP_DEPENDENCY

_INTERVAL_SECONDS = 2.0
_UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Checked:
    """One check's findings: `ok`, or what is wrong in a few words."""

    ledger: str = "not checked yet"
    redis: str = "not checked yet"
    workers: dict[str, int] = field(default_factory=dict)
    at: float | None = None


class Health:
    """Checks Redis and the ledger every 2 s."""

    def __init__(self, database: Database, redis: Client, queues: Iterable[str]) -> None:
        self._database = database
        self._redis = redis
        self._queues = sorted(queues)
        self._schema = SchemaWatch(database)
        self.latest = Checked()

    def start(self) -> None:
        """Check in the background from now on."""
        threading.Thread(target=self._check_for_ever, name="health", daemon=True).start()

    @property
    def can_accept(self) -> bool:
        """Jobs can be committed. Redis is not needed for that."""
        return self.latest.ledger == "ok"

    def workers(self, queue: str) -> int:
        """How many workers served the queue at the latest check."""
        return self.latest.workers.get(queue, 0)

    def check(self) -> None:
        """Check now."""
        workers: dict[str, int] = {}
        try:
            workers = {queue: count_workers(self._redis, queue) for queue in self._queues}
            redis = "ok"
        except RedisUnavailable:
            redis = _UNREACHABLE
        ledger = self._check_ledger()
        UP_DEPENDENCY.labels("redis").set(redis != _UNREACHABLE)
        UP_DEPENDENCY.labels("ledger").set(ledger != _UNREACHABLE)
        self.latest = Checked(ledger, redis, workers, time.monotonic())

    def _check_ledger(self) -> str:
        try:
            with self._database.read() as connection:
                connection.execute(text("SELECT 1"))
            is_current = self._schema.look()
        except LedgerUnavailable:
            return _UNREACHABLE
        return "ok" if is_current else "schema is not this version's: run `jobresults migrate`"

    def _check_for_ever(self) -> None:
        while True:
            self.check()
            time.sleep(_INTERVAL_SECONDS)
