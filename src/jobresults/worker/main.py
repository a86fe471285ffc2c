"""Starting and ending a worker process."""

from __future__ import annotations

import gc
import logging
import signal

from redis.exceptions import RedisError

from jobresults.alerts.start import start_alerts
from jobresults.database import open_database, schema_is_current
from jobresults.errors import LedgerUnavailable, RedisUnavailable
from jobresults.jobs.catalog import Catalog, load_catalog
from jobresults.redis_store import connect, ping
from jobresults.settings import Settings
from jobresults.stopping import StopFlag
from jobresults.telemetry import metrics_server, sentry
from jobresults.telemetry.logging_setup import configure_logging
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
    metrics_server.serve(settings.metrics, "worker")  # before waiting, to be seen all the same
    stop = StopFlag()
    worker = _make_worker(settings, catalog, stop)
    if worker is not None:
        signal.signal(signal.SIGTERM, worker.request_stop)
        signal.signal(signal.SIGINT, worker.request_stop)
        if stop.is_set:  # by a signal while the worker was made
            worker.request_stop(signal.SIGTERM, None)
        gc.freeze()  # else each full collection looks through all modules, several times a second
        worker.work_until_stopped()
    return 0


def _make_worker(settings: Settings, catalog: Catalog, stop: StopFlag) -> Supervisor | None:
    """A worker, once Redis and the ledger answer: both may start later than we do. None if we were
    told to stop meanwhile.
    """
    database = open_database(settings.database)
    redis = connect(settings.redis)
    while not stop.is_set:
        try:
            ping(redis)
            with database.read() as connection:
                current = schema_is_current(connection)
            if current:
                return Supervisor(redis, database, catalog, settings)
            logger.warning(
                "waiting to start: the ledger has another schema; run `jobresults migrate`"
            )
        except (LedgerUnavailable, RedisUnavailable, RedisError) as error:
            logger.warning("waiting to start: %s", error)
        stop.wait(1.0)
    return None
