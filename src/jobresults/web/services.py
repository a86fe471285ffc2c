"""What one web process shares between requests, kept in `app.extensions`."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app, g, request

from jobresults.accounts.api_keys import KeyRing, Principal
from jobresults.database import Database, open_database
from jobresults.errors import ConfigurationError
from jobresults.jobs.catalog import Catalog, load_catalog
from jobresults.jobs.estimate import Estimator
from jobresults.jobs.reader import JobReader
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.submission import Submissions
from jobresults.redis_store import Client, connect
from jobresults.settings import Settings
from jobresults.web.health import Health
from jobresults.web.rates import Rates
from jobresults.web.waiting import DoneBell

_NAME = "jobresults"


@dataclass(frozen=True)
class Services:
    """One of each."""

    settings: Settings
    database: Database
    redis: Client
    catalog: Catalog
    keys: KeyRing
    rates: Rates
    submissions: Submissions
    reader: JobReader
    estimator: Estimator
    bell: DoneBell
    health: Health

    def start(self) -> None:
        """Start what runs in the background."""
        self.bell.start()
        self.rates.start()
        self.health.start()


def build(settings: Settings) -> Services:
    """Open everything. Connects lazily.

    Raises:
        ConfigurationError
    """
    catalog = load_catalog(settings.tasks.modules)
    for key in ("ingest", "score"):
        name = getattr(settings.tasks, key)
        if name not in catalog:
            names = ", ".join(task.name for task in catalog)
            raise ConfigurationError(f"tasks.{key}: no task is named {name!r}; there are: {names}")
    database = open_database(settings.database)
    redis = connect(settings.redis)
    reader = JobReader(database, redis, settings.web.result_cache_bytes)
    health = Health(database, redis, catalog.queues)
    return Services(
        settings=settings,
        database=database,
        redis=redis,
        catalog=catalog,
        keys=KeyRing(database),
        rates=Rates(redis, settings.limits, settings.web.workers),
        submissions=Submissions(database, redis, catalog, settings.jobs, settings.limits),
        reader=reader,
        estimator=Estimator(database, health.workers),
        bell=DoneBell(redis, settings.web.max_waiters, reader.ended),
        health=health,
    )


def services() -> Services:
    """Those of the running app."""
    found = current_app.extensions[_NAME]
    assert isinstance(found, Services)
    return found


def principal() -> Principal:
    """Who makes the running request."""
    found = g.principal
    assert isinstance(found, Principal)
    return found


def owner() -> str | None:
    """Whose jobs the running request may see; None means everyone's."""
    return principal().owner


def read_job(job_id: str) -> JobRecord:
    """The job, if the running request may see it.

    Raises:
        NotFound
        LedgerUnavailable: and there is no copy of it either.
    """
    return services().reader.get(job_id, owner())


def wait_for(job_id: str, seconds: float) -> JobRecord:
    """The job once it has ended, or as it is after so many seconds.

    Raises:
        NotFound, LedgerUnavailable
    """
    return services().bell.wait(
        job_id, seconds, lambda: read_job(job_id), request.environ.get("gunicorn.socket")
    )
