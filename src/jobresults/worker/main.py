"""Starting and ending a worker process."""

from __future__ import annotations

import logging
import signal
import threading

from jobresults.database import Database, open_database, schema_is_current
from jobresults.errors import LedgerUnavailable, RedisUnavailable
from jobresults.jobs.catalog import load_catalog
from jobresults.redis_store import Client, connect, ping
from jobresults.settings import Settings
from jobresults.telemetry.logging_setup import configure_logging
from jobresults.worker.ledger_worker import LedgerWorker

logger = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serve `worker.queues` until SIGTERM. Returns the exit status.

    Raises:
        ConfigurationError: before anything was taken.
    """
    configure_logging(settings, "worker")
    catalog = load_catalog(settings.tasks.modules)
    database = open_database(settings.database)
    redis = connect(settings.redis, socket_timeout_seconds=LedgerWorker.connection_timeout_seconds)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    if not _wait_until_ready(database, redis, stop):
        return 0
    worker = LedgerWorker(redis, database, catalog, settings)
    signal.signal(signal.SIGTERM, worker.request_stop)
    signal.signal(signal.SIGINT, worker.request_stop)
    if not stop.is_set():  # by a signal while the worker was made
        worker.work_until_stopped()
    return 0


def _wait_until_ready(database: Database, redis: Client, stop: threading.Event) -> bool:
    """Redis and the ledger may start later than we do. False if we were told to stop meanwhile."""
    while not stop.is_set():
        try:
            ping(redis)
            with database.read() as connection:
                if schema_is_current(connection):
                    return True
            logger.warning(
                "waiting to start: the ledger has another schema; run `jobresults migrate`"
            )
        except (LedgerUnavailable, RedisUnavailable) as error:
            logger.warning("waiting to start: %s", error)
        stop.wait(1.0)
    return False
