"""What maintenance does again and again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from jobresults.alerts import silences
from jobresults.database import Database
from jobresults.errors import Unavailable
from jobresults.jobs import expiry, lost_workers, reconciler, stored
from jobresults.jobs.concurrency import Concurrency
from jobresults.jobs.dispatch import drop_abandoned_executions, drop_dead_workers
from jobresults.maintenance.watch import Watch
from jobresults.redis_store import Client, note_alive
from jobresults.settings import Settings
from jobresults.telemetry import sentry
from jobresults.telemetry.outages import Outages

logger = logging.getLogger(__name__)

_TIDYING_INTERVAL_SECONDS = 30.0
# `jobresults doctor` looks for it.
_SEEN_INTERVAL_SECONDS, _SEEN_SECONDS = 10.0, 45
_MANY_ROWS = 100

Beat = Callable[[], object]


@dataclass
class Duty:
    """Something to do again and again; one that fails does not keep the others from their turn."""

    name: str
    interval_seconds: float
    run: Callable[[], object]
    next_at: float = 0.0

    def run_if_due(self, outages: Outages) -> None:
        if time.monotonic() < self.next_at:
            return
        try:
            self.run()
        except Unavailable as error:
            outages.note(error)
        except Exception as error:
            event = {"sentry_event_id": sentry.capture(error)}
            logger.exception("%s failed; trying again", self.name, extra=event)
        self.next_at = time.monotonic() + self.interval_seconds


class Leases:
    """Takes jobs from workers that fell silent. Not right after the ledger was out of reach, or its
    clock leapt, for then all of them were silent: who lives gets to beat first.
    """

    def __init__(self, database: Database, settings: Settings, beat: Beat) -> None:
        self._database = database
        self._beat = beat
        self._batch_size = settings.maintenance.batch_size
        heartbeat_ms = settings.worker.heartbeat_seconds * 1000
        self._longest_gap_ms = max(heartbeat_ms, 2 * settings.maintenance.sweep_seconds * 1000)
        self._grace_ms = 2 * heartbeat_ms
        self._swept_at_ms: int | None = None
        self._judges_from_ms = 0.0

    def sweep(self) -> None:
        """Raises LedgerUnavailable."""
        now_ms = self._clock_ms()
        if self._swept_at_ms is not None and now_ms - self._swept_at_ms > self._longest_gap_ms:
            self._judges_from_ms = now_ms + self._grace_ms
        self._swept_at_ms = now_ms
        if now_ms >= self._judges_from_ms:
            take_over = partial(
                lost_workers.take_over_expired_leases, self._database, self._batch_size
            )
            _repeat(self._beat, take_over)
            self._swept_at_ms = self._clock_ms()

    def _clock_ms(self) -> int:
        with self._database.write() as connection:  # a ledger that is only read hears no heartbeats
            return self._database.read_clock_ms(connection)


def duties_of(
    database: Database,
    redis: Client,
    settings: Settings,
    queues: list[str],
    limits: Concurrency | None = None,
    beat: Beat = lambda: None,
) -> list[Duty]:
    """What this process does, in the order it is done. `beat` is called within what takes long."""
    batch_size = settings.maintenance.batch_size
    sweep_seconds = settings.maintenance.sweep_seconds
    due = partial(reconciler.dispatch_due, database, redis, batch_size)
    lost = partial(
        reconciler.redispatch_lost,
        database,
        redis,
        lost_after_seconds=settings.maintenance.dispatch_lost_after_seconds,
        batch_size=batch_size,
    )
    watch = Watch(database, redis, settings, queues)
    repeat = partial(_repeat, beat)

    def redispatch_lost() -> None:
        for queue in queues:
            repeat(partial(lost, queue))

    def tidy_rq() -> None:
        for queue in queues:
            drop_abandoned_executions(redis, queue, time.time())
            drop_dead_workers(redis, queue)

    def forget_old() -> None:
        repeat(lambda: expiry.forget_results(database, batch_size))
        repeat(lambda: expiry.forget_jobs(database, settings.jobs.tombstone_seconds, batch_size))
        repeat(lambda: expiry.forget_idempotency_keys(database, batch_size))
        repeat(lambda: silences.forget(database, batch_size))

    return [
        Duty(
            "taking over expired leases",
            sweep_seconds,
            Leases(database, settings, beat).sweep,
        ),
        Duty(
            "dispatching due jobs",
            sweep_seconds,
            partial(repeat, partial(due, turn_jobs=settings.limits.turn_jobs)),
        ),
        Duty(
            "dispatching held jobs",
            sweep_seconds,
            partial(_dispatch_held, database, redis, settings, queues, limits or Concurrency()),
        ),
        Duty("dispatching lost jobs again", sweep_seconds, redispatch_lost),
        Duty("tidying RQ's registers", sweep_seconds, tidy_rq),
        Duty(
            "being seen",
            _SEEN_INTERVAL_SECONDS,
            partial(note_alive, redis, "maintenance", _SEEN_SECONDS),
        ),
        Duty("watching", watch.look_seconds, watch.look),
        Duty("adding up stored bytes", sweep_seconds, partial(stored.fold, database, _MANY_ROWS)),
        Duty("forgetting old results", _TIDYING_INTERVAL_SECONDS, forget_old),
    ]


def _dispatch_held(
    database: Database, redis: Client, settings: Settings, queues: list[str], limits: Concurrency
) -> None:
    batch_size = settings.maintenance.batch_size
    for queue in queues:
        reconciler.fill_list(database, redis, queue, settings.limits.turn_jobs or batch_size)
    reconciler.fill_slots(database, redis, limits, batch_size)


def _repeat(beat: Beat, batch: Callable[[], int]) -> None:
    """Work batch by batch until one finds nothing."""
    while batch():
        beat()
