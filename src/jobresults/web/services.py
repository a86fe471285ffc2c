"""What one web process shares between requests, kept in `app.extensions`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import current_app, g, request

from jobresults.accounts.key_ring import KeyRing
from jobresults.accounts.login_limits import LoginLimits
from jobresults.accounts.logins import Logins
from jobresults.accounts.passwords import Passwords
from jobresults.accounts.principal import Principal
from jobresults.accounts.tokens import Tokens
from jobresults.alerts.links import SilenceLinks
from jobresults.alerts.listing import Listing
from jobresults.alerts.silences import Silences
from jobresults.database import Database, open_database
from jobresults.errors import ConfigurationError
from jobresults.jobs.catalog import Catalog, load_catalog
from jobresults.jobs.estimate import Estimator
from jobresults.jobs.queues import Census
from jobresults.jobs.reader import JobReader
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.submission import Submissions
from jobresults.jobs.visibility import Visibility
from jobresults.redis_store import Client, connect
from jobresults.settings import Settings
from jobresults.telemetry.metrics import JOBS_ENDED, JOBS_SUBMITTED, begin_at_zero
from jobresults.web.health import Health
from jobresults.web.native_threads import NativeThreads
from jobresults.web.rates import Rates
from jobresults.web.waiting import DoneBell
from jobresults.webhooks.callback_urls import CallbackUrls
from jobresults.webhooks.sources import Source, load_sources

_NAME = "jobresults"
# Each may take 19 MiB for 30 ms.
_PASSWORD_THREADS = 2


@dataclass(frozen=True)
class Services:
    """One of each."""

    settings: Settings
    database: Database
    redis: Client
    catalog: Catalog
    keys: KeyRing
    passwords: Passwords
    logins: Logins
    rates: Rates
    submissions: Submissions
    reader: JobReader
    estimator: Estimator
    census: Census
    bell: DoneBell
    health: Health
    alerts: Listing
    silence_links: SilenceLinks
    callback_urls: CallbackUrls
    sources: Mapping[str, Source]

    def start(self) -> None:
        """Start what runs in the background."""
        self.bell.start()
        self.rates.start()
        self.health.start()
        self.keys.start()


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
    tasks = [task.name for task in catalog]
    begin_at_zero(JOBS_SUBMITTED, tasks, catalog.queues)
    begin_at_zero(JOBS_ENDED, tasks, catalog.queues, ["canceled"])
    database = open_database(settings.database)
    redis = connect(settings.redis)
    reader = JobReader(database, redis, settings.web.result_cache_bytes)
    health = Health(database, redis, catalog.queues)
    accounts = settings.accounts
    tokens = Tokens(accounts) if accounts.token_keys else None
    passwords = Passwords(NativeThreads(_PASSWORD_THREADS).run)
    return Services(
        settings=settings,
        database=database,
        redis=redis,
        catalog=catalog,
        keys=KeyRing(database, tokens),
        passwords=passwords,
        logins=Logins(database, passwords, tokens, LoginLimits(redis, accounts), accounts),
        rates=Rates(redis, settings.limits, settings.web.workers),
        submissions=Submissions(database, redis, catalog, settings.jobs, settings.limits),
        reader=reader,
        estimator=Estimator(database, health.workers),
        census=Census(database, catalog.queues),
        bell=DoneBell(redis, settings.web.max_waiters, reader.ended),
        health=health,
        alerts=Listing(redis, Silences(database)),
        silence_links=SilenceLinks(settings.alerts.links),
        callback_urls=CallbackUrls(database, settings.callbacks),
        sources=load_sources(settings.webhooks, catalog),
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


def visible_to(principal: Principal) -> Visibility:
    """The jobs there are for this caller."""
    return Visibility(principal.owner, principal.customers)


def visible() -> Visibility:
    """The jobs there are for the running request."""
    return visible_to(principal())


def read_job(job_id: str) -> JobRecord:
    """The job, if the running request may see it.

    Raises:
        NotFound
        LedgerUnavailable: and there is no copy of it either.
    """
    return services().reader.get(job_id, visible())


def wait_for(job_id: str, seconds: float) -> JobRecord:
    """The job once it has ended, or as it is after so many seconds.

    Raises:
        NotFound, LedgerUnavailable
    """
    return services().bell.wait(job_id, seconds, lambda: read_job(job_id), request.environ)
