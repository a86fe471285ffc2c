"""Who is at work: workers for every queue that tasks use, with the tasks that are known here, and
maintenance.
"""

from __future__ import annotations

from collections.abc import Iterator

from redis.exceptions import NoPermissionError

from jobresults.alerts.phrases import plural
from jobresults.doctor.findings import Finding, Subject, error, ok, warning
from jobresults.doctor.ledger import opened
from jobresults.errors import ConfigurationError, LedgerUnavailable, RedisUnavailable
from jobresults.jobs import queues
from jobresults.jobs.catalog import Catalog, load_catalog
from jobresults.jobs.dispatch import count_workers, registered_workers
from jobresults.jobs.overdue import overdue
from jobresults.redis_store import Client, connect, is_alive
from jobresults.settings import Settings

_LATE_SECONDS = 20.0


def check_workers(subject: Subject) -> Iterator[Finding]:
    """Of each queue. Nothing if Redis cannot be asked, for that is told elsewhere."""
    settings = subject.settings
    if settings.redis.url is None:
        return
    tasks = _tasks_by_queue(settings)
    paused = _paused(settings)
    try:
        with connect(settings.redis) as client:
            for queue in sorted(tasks):
                yield from _queue(client, queue, tasks[queue])
                if queue in paused:
                    remedy = f"jobresults queues resume {queue}"
                    yield warning("workers.paused", f"queue {queue} is paused", remedy)
    except (ConfigurationError, RedisUnavailable):
        return


def check_maintenance(subject: Subject) -> Iterator[Finding]:
    """By the sign it gives in Redis, and by what it should have done."""
    name, remedy = "maintenance", "start `jobresults maintenance`, and look into its log"
    alive = _maintenance_lives(subject.settings)
    if alive:
        yield ok(name, "it has let itself be seen within 45 s")
    elif alive is False:
        text = "nobody has seen it for 45 s: retries, schedules and alerts stand still"
        yield error(name, text, remedy)
    with opened(subject.settings) as database:
        if database is None:
            return
        try:
            late = overdue(database)
        except LedgerUnavailable:
            return
        for seconds, what in (
            (late.lease_seconds, "the lease of a running job is over since"),
            (late.due_seconds, "a job is due and not dispatched since"),
        ):
            if seconds > _LATE_SECONDS:
                yield error(f"{name}.overdue", f"{what} {seconds:.0f} s", remedy)


def _tasks_by_queue(settings: Settings) -> dict[str, frozenset[str]]:
    """Of the queues that tasks use, and that workers with these settings serve."""
    try:
        catalog = load_catalog(settings.tasks.modules)
    except Exception:  # noqa: BLE001 - importing runs whatever code there is; it is told elsewhere
        catalog = Catalog([])
    found: dict[str, set[str]] = {queue: set() for queue in settings.worker.queues}
    for task in catalog:
        found.setdefault(task.options.queue, set()).add(task.name)
    return {queue: frozenset(names) for queue, names in found.items()}


def _queue(client: Client, queue: str, tasks: frozenset[str]) -> Iterator[Finding]:
    known: list[frozenset[str]] = []
    try:
        serving = [worker for worker in registered_workers(client) if queue in worker.queues]
        known = [worker.tasks for worker in serving if worker.tasks is not None]
        count = len(known)
    except RedisUnavailable as problem:
        if not isinstance(problem.__cause__, NoPermissionError):
            raise
        count = count_workers(client, queue)  # the user of web may know this alone
    if count == 0:
        used = f", which {', '.join(sorted(tasks))} would run in" if tasks else ""
        remedy = f"start `jobresults worker` with {queue} among worker.queues"
        yield error("workers", f"no worker serves queue {queue}{used}", remedy)
        return
    unknown = tasks.difference(*known) if known else frozenset()
    if unknown:
        text = f"no worker of queue {queue} knows {', '.join(sorted(unknown))}"
        yield error("workers.tasks", text, "give workers this release and these tasks.modules")
    else:
        yield ok("workers", f"queue {queue}: {plural(count, 'worker')}")


def _paused(settings: Settings) -> frozenset[str]:
    with opened(settings) as database:
        try:
            return frozenset() if database is None else queues.paused(database)
        except LedgerUnavailable:
            return frozenset()


def _maintenance_lives(settings: Settings) -> bool | None:
    """None: Redis cannot be asked."""
    if settings.redis.url is None:
        return None
    try:
        with connect(settings.redis) as client:
            return is_alive(client, "maintenance")
    except (ConfigurationError, RedisUnavailable):
        return None
