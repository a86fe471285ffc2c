"""Starting and ending a worker process."""

from __future__ import annotations

import gc
import logging
import signal

from jobresults.alerts.start import start_alerts
from jobresults.database import open_database
from jobresults.errors import LedgerUnavailable, RedisUnavailable
from jobresults.jobs.catalog import Catalog, load_catalog
from jobresults.redis_store import RedisError, connect, ping
from jobresults.schema import OTHER_SCHEMA, SchemaWatch
from jobresults.settings import Settings
from jobresults.stopping import StopFlag
from jobresults.telemetry import metrics_server, sentry
from jobresults.telemetry.logging_setup import configure_logging
from jobresults.telemetry.pulse import Pulse, longest_turn_seconds
from jobresults.telemetry.tracing_setup import start_tracing
from jobresults.worker.supervisor import Supervisor

logger = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serve `worker.queues` until SIGTERM. Returns the exit status.

    Raises:
        ConfigurationError: before anything was taken.
    """
    configure_logging(settings, "worker")
    start_alerts(settings)
    sentry.start(settings)
    start_tracing(settings, "worker")
    catalog = load_catalog(settings.tasks.modules)
    pulse = Pulse(longest_turn_seconds(settings.database))
    # Before waiting, to be seen all the same.
    metrics_server.serve(settings.metrics, "worker", pulse=pulse)
    stop = StopFlag()
    worker = _make_worker(settings, catalog, stop, pulse)
    if worker is not None:
        signal.signal(signal.SIGTERM, worker.request_stop)
        signal.signal(signal.SIGINT, worker.request_stop)
        if stop.is_set:  # by a signal while the worker was made
            worker.request_stop(signal.SIGTERM, None)
        gc.freeze()  # else each full collection looks through all modules, several times a second
        worker.work_until_stopped()
    return 0


def _make_worker(
    settings: Settings, catalog: Catalog, stop: StopFlag, pulse: Pulse
) -> Supervisor | None:
    """A worker, once Redis and the ledger answer: both may start later than we do. None if we were
    told to stop meanwhile.
    """
    database = open_database(settings.database, plans_anew=True)
    redis = connect(settings.redis)
    schema = SchemaWatch(database)
    while not stop.is_set:
        pulse.beat()
        try:
            ping(redis)
            if schema.look():
                return Supervisor(redis, database, catalog, settings, pulse)
            pulse.waits_for = OTHER_SCHEMA
        except (LedgerUnavailable, RedisUnavailable, RedisError) as error:
            pulse.waits_for = str(error)
        logger.warning("waiting to start: %s", pulse.waits_for)
        stop.wait(1.0)
    return None
