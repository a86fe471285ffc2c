"""The catalogue: every metric there is, with its labels and buckets, and which processes export it.

Who commits a transition counts it, in memory, in the process that did so. A label's values are few
and known: never a job, a customer, a path or a fingerprint. Executors count nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from jobresults.telemetry.identity import version

Process = Literal["web", "worker", "maintenance"]
Metric = Counter | Gauge | Histogram
_M = TypeVar("_M", Counter, Gauge, Histogram)

OUTCOMES: Final = ("succeeded", "failed", "canceled", "timeout", "killed", "worker_lost")
QUEUE_STATES: Final = ("queued", "held", "delayed", "running")
RESULT_SOURCES: Final = ("memory", "redis", "ledger")
DEPENDENCIES: Final = ("redis", "ledger")
CALLBACK_OUTCOMES: Final = ("delivered", "failed", "given_up")

_ALL: Final = ("web", "worker", "maintenance")
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_HUB_LAG_SECONDS = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 5)
_JOB_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
_RESULT_BYTES = tuple(256 * 4**power for power in range(9))  # to 16 MiB
_DELIVERY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True)
class Declared:
    """A metric, under the name it is scraped by, and the processes that export it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...]
    processes: tuple[Process, ...]
    metric: Metric


CATALOGUE: list[Declared] = []

# A series' time of birth would double what is scraped, and PromQL has no use for it.
disable_created_metrics()  # type: ignore[no-untyped-call]


def _declare(
    metric: _M,
    name: str,
    help_: str,
    labels: Sequence[str],
    processes: Sequence[Process],
    buckets: Sequence[float] = (),
) -> _M:
    kind: Any = type(metric).__name__.lower()
    CATALOGUE.append(
        Declared(name, kind, help_, tuple(labels), tuple(buckets), tuple(processes), metric)
    )
    return metric


def _counter(name: str, help_: str, *labels: str, by: Sequence[Process]) -> Counter:
    return _declare(Counter(name, help_, labels, registry=None), name, help_, labels, by)


def _gauge(
    name: str, help_: str, *labels: str, by: Sequence[Process], together: Any = "livesum"
) -> Gauge:
    """`together`: what the workers of one web server make of their values."""
    gauge = Gauge(name, help_, labels, registry=None, multiprocess_mode=together)
    return _declare(gauge, name, help_, labels, by)


def _histogram(
    name: str, help_: str, *labels: str, by: Sequence[Process], buckets: Sequence[float]
) -> Histogram:
    histogram = Histogram(name, help_, labels, registry=None, buckets=buckets)
    return _declare(histogram, name, help_, labels, by, buckets)


# Every process
BUILD_INFO = _gauge(
    "jobresults_build_info",
    "Always 1: which version of which process this is.",
    *("version", "process"),
    by=_ALL,
    together="livemax",
)
LOG_RECORDS = _counter(
    "jobresults_log_records_total",
    "Log records by level and by the first names of their logger.",
    *("level", "logger"),
    by=_ALL,
)

# HTTP
HTTP_REQUESTS = _counter(
    "jobresults_http_requests_total",
    "Requests answered.",
    *("method", "route", "status"),
    by=("web",),
)
HTTP_REQUEST_DURATION = _histogram(
    "jobresults_http_request_duration_seconds",
    "From a request's head to the end of its answer; `held` if it waited for a job as asked.",
    *("method", "route", "held"),
    by=("web",),
    buckets=_REQUEST_SECONDS,
)
HTTP_REQUESTS_IN_PROGRESS = _gauge(
    "jobresults_http_requests_in_progress",
    "Requests that are being answered, those that wait for a job included.",
    by=("web",),
)
LONG_POLL_WAITERS = _gauge(
    "jobresults_long_poll_waiters", "Requests that wait for a job to end.", by=("web",)
)
HUB_LAG = _histogram(
    "jobresults_gevent_hub_lag_seconds",
    "How much later than asked for a web worker's event loop woke a greenlet.",
    by=("web",),
    buckets=_HUB_LAG_SECONDS,
)
WORKER_TIMEOUTS = _counter(
    "jobresults_worker_timeouts_total",
    "Web workers that were stuck and therefore killed by gunicorn (WORKER TIMEOUT).",
    by=("web",),
)
RESULT_READS = _counter(
    "jobresults_result_reads_total",
    "Reads of ended jobs that found one, by where it was found.",
    "source",
    by=("web",),
)

# Jobs
JOBS_SUBMITTED = _counter(
    "jobresults_jobs_submitted_total", "Jobs committed.", *("task", "queue"), by=("web",)
)
JOBS_ENDED = _counter(
    "jobresults_jobs_ended_total",
    "Jobs whose outcome was committed.",
    *("task", "queue", "outcome"),
    by=_ALL,
)
JOB_ATTEMPTS_RETRIED = _counter(
    "jobresults_job_attempts_retried_total",
    "Attempts that failed and after which the job was queued again.",
    *("task", "reason"),
    by=("worker", "maintenance"),
)
JOB_WAIT = _histogram(
    "jobresults_job_wait_seconds",
    "From when a job was due to when a worker began it.",
    "queue",
    by=("worker",),
    buckets=_JOB_SECONDS,
)
JOB_STARTS_LATE = _counter(
    "jobresults_job_starts_late_total",
    "Attempts that began later than they should: by a setting, of each queue if it has one.",
    "queue",
    by=("worker",),
)
JOB_RUN = _histogram(
    "jobresults_job_run_seconds",
    "How long an attempt ran.",
    "task",
    by=("worker",),
    buckets=_JOB_SECONDS,
)
JOB_TURNAROUND = _histogram(
    "jobresults_job_turnaround_seconds",
    "From when a job was handed in to when a worker had it succeed or fail for good.",
    *("task", "queue"),
    by=("worker",),
    buckets=_JOB_SECONDS,
)
RESULT_BYTES = _histogram(
    "jobresults_result_bytes",
    "Sizes of the results committed.",
    by=("worker",),
    buckets=_RESULT_BYTES,
)
LEDGER_FENCED_WRITES = _counter(
    "jobresults_ledger_fenced_writes_total",
    "Writes that changed nothing, as the job had gone to another meanwhile.",
    "reason",
    by=("worker", "maintenance"),
)
REDISPATCHED = _counter(
    "jobresults_redispatched_total",
    "Jobs that maintenance put into Redis again.",
    "reason",
    by=("maintenance",),
)

# The service as a whole: every maintenance process exports the same, so never add them up
QUEUE_JOBS = _gauge(
    "jobresults_queue_jobs",
    "Jobs that have not ended.",
    *("queue", "state"),
    by=("maintenance",),
)
QUEUE_OLDEST = _gauge(
    "jobresults_queue_oldest_seconds",
    "How long the oldest job of a queue has been in its state.",
    *("queue", "state"),
    by=("maintenance",),
)
QUEUE_START_WITHIN = _gauge(
    "jobresults_queue_start_within_seconds",
    "How long after it was due a job of the queue should begin: a setting.",
    "queue",
    by=("maintenance",),
)
WORKERS = _gauge(
    "jobresults_workers",
    "Workers that serve a queue.",
    *("queue", "state"),
    by=("maintenance",),
)
WORKER_HEARTBEAT = _gauge(
    "jobresults_worker_heartbeat_timestamp_seconds",
    "When the worker last told Redis that it is there, or began to, in seconds since 1970.",
    by=("worker",),
)
UP_DEPENDENCY = _gauge(
    "jobresults_up_dependency",
    "1 if the process reaches it, else 0.",
    "dependency",
    by=("web", "maintenance"),
    together="livemin",
)
REDIS_MEMORY_USED = _gauge(
    "jobresults_redis_memory_used_bytes", "Redis' used_memory.", by=("maintenance",)
)
REDIS_MEMORY_MAX = _gauge(
    "jobresults_redis_memory_max_bytes", "Redis' maxmemory; 0: no limit.", by=("maintenance",)
)
REDIS_EVICTED_KEYS = _counter(
    "jobresults_redis_evicted_keys_total",
    "Keys that Redis evicted as memory ran out.",
    by=("maintenance",),
)

# Alerts
ALERT_EVENTS = _counter(
    "jobresults_alert_events_total", "Log records that count as alerts.", "level", by=_ALL
)
ALERT_DROPPED = _counter(
    "jobresults_alert_dropped_total", "Alerts that nobody will hear of.", "reason", by=_ALL
)
ALERT_GROUPS = _gauge(
    "jobresults_alert_groups", "Problems that are known.", "state", by=("maintenance",)
)
ALERT_NOTIFICATIONS = _counter(
    "jobresults_alert_notifications_total",
    "Messages to people.",
    *("sink", "outcome"),
    by=("maintenance",),
)
ALERT_DELIVERY = _histogram(
    "jobresults_alert_delivery_seconds",
    "How long a message took to deliver.",
    "sink",
    by=("maintenance",),
    buckets=_DELIVERY_SECONDS,
)
ALERT_OLDEST_UNSENT = _gauge(
    "jobresults_alert_oldest_unsent_seconds",
    "For how long the oldest message that is due has been so.",
    by=("maintenance",),
)
ALERT_BREAKER_OPEN = _gauge(
    "jobresults_alert_breaker_open",
    "1 while a sink is given a rest as it keeps failing, else 0.",
    "sink",
    by=("maintenance",),
)
ALERT_HEARTBEAT = _gauge(
    "jobresults_alert_heartbeat_timestamp_seconds",
    "When alerts were last seen to work from end to end, in seconds since 1970.",
    by=("maintenance",),
)

# Callbacks
CALLBACKS = _counter(
    "jobresults_callbacks_total", "Deliveries of callbacks.", "outcome", by=("maintenance",)
)
CALLBACK_OLDEST = _gauge(
    "jobresults_callback_oldest_seconds",
    "For how long the oldest undelivered callback has been due.",
    by=("maintenance",),
)


def registry_of(process: Process) -> CollectorRegistry:
    """What one process exports: its part of the catalogue. Nothing of another's, so that a zero
    means zero and not "not counted here".
    """
    registry = CollectorRegistry()
    for declared in CATALOGUE:
        if process in declared.processes:
            registry.register(declared.metric)
    tell_build(process)
    return registry


def tell_build(process: Process) -> None:
    """Set `jobresults_build_info`."""
    BUILD_INFO.labels(version(), process).set(1)


def begin_at_zero(metric: Metric, *label_values: Iterable[str]) -> None:
    """Make a series for each combination of these values, label by label: `increase()` only sees
    an event of a series that was there before.
    """
    for values in product(*label_values):
        metric.labels(*values)
