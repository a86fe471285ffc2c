"""The loop of maintenance and its duties, and callbacks beside it. Any number of these processes
may run; there is no leader.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from jobresults.alerts import silences
from jobresults.alerts.links import SilenceLinks
from jobresults.alerts.relay import Relay
from jobresults.alerts.start import start_alerts
from jobresults.database import Database, open_database
from jobresults.errors import LedgerUnavailable, RedisUnavailable, Unavailable
from jobresults.jobs import expiry, lost_workers, reconciler, stored
from jobresults.jobs.catalog import load_catalog
from jobresults.jobs.concurrency import Concurrency
from jobresults.jobs.dispatch import drop_abandoned_executions, drop_dead_workers
from jobresults.maintenance.exports import export_metrics
from jobresults.maintenance.watch import Watch
from jobresults.redis_store import Client, connect, note_alive, ping
from jobresults.settings import Settings
from jobresults.stopping import StopFlag
from jobresults.telemetry import sentry
from jobresults.telemetry.logging_setup import configure_logging
from jobresults.telemetry.outages import Outages
from jobresults.telemetry.tracing_setup import start_tracing
from jobresults.webhooks.delivery import Deliveries

logger = logging.getLogger(__name__)

_TIDYING_INTERVAL_SECONDS = 30.0
# `jobresults doctor` looks for it.
_SEEN_INTERVAL_SECONDS, _SEEN_SECONDS = 10.0, 45
# Deliveries that take longer are made again by another process.
_CALLBACKS_GRACE_SECONDS = 3.0
_MANY_ROWS = 100


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

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
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
            _repeat(lambda: lost_workers.take_over_expired_leases(self._database, self._batch_size))
            self._swept_at_ms = self._clock_ms()

    def _clock_ms(self) -> int:
        with self._database.write() as connection:  # a ledger that is only read hears no heartbeats
            return self._database.read_clock_ms(connection)


def run(settings: Settings) -> int:
    """Do all duties until SIGTERM. Returns the exit status.

    Raises:
        ConfigurationError: before anything was done.
    """
    configure_logging(settings, "maintenance")
    transport = start_alerts(settings)
    sentry.start(settings)
    start_tracing(settings, "maintenance")
    catalog = load_catalog(settings.tasks.modules)
    queues = sorted(catalog.queues | set(settings.worker.queues))
    limits = Concurrency.of(settings.limits, catalog)
    database, redis = open_database(settings.database), connect(settings.redis)
    outages = outages_of(database, redis)
    duties = duties_of(database, redis, settings, queues, limits)
    deliveries = Deliveries(database, settings.callbacks, tell_outage=outages.note)
    relay = Relay(
        settings,
        transport,
        silences=silences.Silences(database),
        silence_link=SilenceLinks(settings.alerts.links).url,
        tell_outage=outages.note,
    )
    stop = StopFlag()
    with ExitStack() as background:
        background.callback(relay.stop)
        relay.start()
        background.callback(deliveries.stop, _CALLBACKS_GRACE_SECONDS)
        deliveries.start()
        if settings.metrics.port is not None:
            sampler = export_metrics(settings, catalog, queues, relay.heart)
            background.callback(sampler.stop)
        logger.info("maintenance watches queues %s", ", ".join(queues))
        while not stop.is_set:
            for duty in duties:
                duty.run_if_due(outages)
            outages.look()
            stop.wait(min(duty.next_at for duty in duties) - time.monotonic())
    logger.info("maintenance has stopped")
    return 0


def outages_of(database: Database, redis: Client) -> Outages:
    """Those of a process with these connections."""

    def write() -> None:
        with database.write() as connection:  # one that can only be read is not back
            database.read_clock_ms(connection)

    return Outages({LedgerUnavailable: write, RedisUnavailable: partial(ping, redis)})


def duties_of(
    database: Database,
    redis: Client,
    settings: Settings,
    queues: list[str],
    limits: Concurrency | None = None,
) -> list[Duty]:
    """What this process does, in the order it is done."""
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

    def redispatch_lost() -> None:
        for queue in queues:
            _repeat(partial(lost, queue))

    def tidy_rq() -> None:
        for queue in queues:
            drop_abandoned_executions(redis, queue, time.time())
            drop_dead_workers(redis, queue)

    def forget_old() -> None:
        _repeat(lambda: expiry.forget_results(database, batch_size))
        _repeat(lambda: expiry.forget_jobs(database, settings.jobs.tombstone_seconds, batch_size))
        _repeat(lambda: expiry.forget_idempotency_keys(database, batch_size))
        _repeat(lambda: silences.forget(database, batch_size))

    return [
        Duty(
            "taking over expired leases",
            sweep_seconds,
            Leases(database, settings).sweep,
        ),
        Duty(
            "dispatching due jobs",
            sweep_seconds,
            partial(_repeat, partial(due, turn_jobs=settings.limits.turn_jobs)),
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


def _repeat(batch: Callable[[], int]) -> None:
    """Work batch by batch until one finds nothing."""
    while batch():
        pass
