"""The loop of maintenance, and alerts and callbacks beside it. Any number of these processes may
run; there is no leader.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from jobresults.alerts import silences
from jobresults.alerts.links import SilenceLinks
from jobresults.alerts.relay import Relay
from jobresults.alerts.start import start_alerts
from jobresults.database import Database, open_database
from jobresults.errors import LedgerUnavailable, RedisUnavailable
from jobresults.jobs.catalog import load_catalog
from jobresults.jobs.concurrency import Concurrency
from jobresults.maintenance.duties import Duty, duties_of
from jobresults.maintenance.exports import Exports
from jobresults.redis_store import Client, connect, ping
from jobresults.schema import OTHER_SCHEMA, SchemaWatch
from jobresults.settings import Settings
from jobresults.stopping import StopFlag
from jobresults.telemetry import sentry
from jobresults.telemetry.logging_setup import configure_logging
from jobresults.telemetry.outages import Outages
from jobresults.telemetry.pulse import Pulse, longest_turn_seconds
from jobresults.telemetry.tracing_setup import start_tracing
from jobresults.webhooks.delivery import Deliveries

logger = logging.getLogger(__name__)

# Deliveries that take longer are made again by another process.
_CALLBACKS_GRACE_SECONDS = 3.0
_SCHEMA_SECONDS = 1.0


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
    pulse = Pulse(longest_turn_seconds(settings.database))
    duties = duties_of(database, redis, settings, queues, limits, pulse.beat)
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
        begin = [deliveries.start]
        background.callback(deliveries.stop, _CALLBACKS_GRACE_SECONDS)
        if settings.metrics.port is not None:
            exports = Exports(settings, catalog, queues, relay.heart, pulse)
            begin.append(exports.start)
            background.callback(exports.stop)
        logger.info("maintenance watches queues %s", ", ".join(queues))
        loop = Loop(SchemaWatch(database), outages, pulse, duties, begin)
        while not stop.is_set:
            stop.wait(loop.turn())
    logger.info("maintenance has stopped")
    return 0


class Loop:
    """One turn after the other. Nothing is done on a ledger that is known to have another schema;
    without a ledger there are duties all the same.
    """

    def __init__(
        self,
        schema: SchemaWatch,
        outages: Outages,
        pulse: Pulse,
        duties: Sequence[Duty],
        begin: Sequence[Callable[[], None]],
    ) -> None:
        """`begin` is called once, before the first duty."""
        self._schema = schema
        self._outages = outages
        self._pulse = pulse
        self._duties = duties
        self._begin = list(begin)

    def turn(self) -> float:
        """Do what is due. Returns for how many seconds there is nothing to do."""
        self._pulse.beat()
        if self._must_wait():
            logger.warning("waiting to start: %s", OTHER_SCHEMA)
            return _SCHEMA_SECONDS
        while self._begin:
            self._begin.pop(0)()
        for duty in self._duties:
            self._pulse.beat()
            duty.run_if_due(self._outages)
        self._outages.look()
        return min(duty.next_at for duty in self._duties) - time.monotonic()

    def _must_wait(self) -> bool:
        try:
            is_current = self._schema.look()
        except LedgerUnavailable as error:
            self._pulse.waits_for = str(error)
            return False
        self._pulse.waits_for = None if is_current else OTHER_SCHEMA
        return not is_current


def outages_of(database: Database, redis: Client) -> Outages:
    """Those of a process with these connections."""

    def write() -> None:
        with database.write() as connection:  # one that can only be read is not back
            database.read_clock_ms(connection)

    return Outages({LedgerUnavailable: write, RedisUnavailable: partial(ping, redis)})
