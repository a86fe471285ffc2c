"""What maintenance looks up for its metrics: one look for each thing that may be away by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import literal, select

from jobresults.alerts import sinks
from jobresults.alerts.standing import read_standing
from jobresults.database import Database
from jobresults.jobs.dispatch import registered_workers
from jobresults.jobs.queues import Census, QueueState
from jobresults.maintenance.samples import Found
from jobresults.redis_store import Client, info, ping
from jobresults.settings import JobsSettings, Settings
from jobresults.telemetry import metrics
from jobresults.webhooks import claims

SAMPLED = (
    metrics.QUEUE_JOBS,
    metrics.QUEUE_OLDEST,
    metrics.QUEUE_START_WITHIN,
    metrics.WORKERS,
    metrics.UP_DEPENDENCY,
    metrics.REDIS_MEMORY_USED,
    metrics.REDIS_MEMORY_MAX,
    metrics.REDIS_EVICTED_KEYS,
    metrics.ALERT_GROUPS,
    metrics.ALERT_OLDEST_UNSENT,
    metrics.ALERT_BREAKER_OPEN,
    metrics.ALERT_HEARTBEAT,
    metrics.CALLBACK_OLDEST,
)


@dataclass(frozen=True)
class Look:
    """`find` raises Unavailable; then `otherwise` holds. What cannot be known is not in it."""

    name: str
    find: Callable[[], Found]
    otherwise: Found = field(default_factory=dict)


def looks_of(
    database: Database,
    redis: Client,
    settings: Settings,
    queues: Sequence[str],
    heartbeat: Callable[[], float | None],
) -> list[Look]:
    """All of them, those that tell whether Redis and the ledger answer first. `heartbeat`: when
    alerts were last seen to work, in seconds since 1970 UTC.
    """
    census = Census(database, queues)
    return [
        _dependency("ledger", lambda: database.rows(select(literal(1)))),
        _dependency("redis", lambda: ping(redis)),
        Look("the queues", lambda: queue_values(census.take(), settings.jobs)),
        Look("the workers", partial(_workers, redis, queues)),
        Look("Redis' memory", partial(_redis, redis)),
        Look("alerts", partial(_alerts, redis, settings)),
        Look("the heartbeat", lambda: _heartbeat(heartbeat())),
        Look("callbacks", partial(_callbacks, database)),
    ]


def queue_values(states: Sequence[QueueState], settings: JobsSettings) -> Found:
    """Of a paused queue all that could run is held."""
    jobs: dict[tuple[str, ...], float] = {}
    oldest: dict[tuple[str, ...], float] = {}
    for state in states:
        holding, is_paused = state.holding, state.paused_at_ms is not None
        waiting = holding.ready + holding.in_turn
        jobs |= {
            (state.name, "queued"): 0 if is_paused else waiting,
            (state.name, "held"): holding.limited + (waiting if is_paused else 0),
            (state.name, "delayed"): holding.delayed,
            (state.name, "running"): holding.running,
        }
        waited_seconds = holding.oldest_seconds or 0.0
        held_seconds = holding.oldest_limited_seconds or 0.0
        oldest |= {
            (state.name, "queued"): 0.0 if is_paused else waited_seconds,
            (state.name, "held"): max(held_seconds, waited_seconds if is_paused else 0.0),
            (state.name, "running"): holding.longest_run_seconds or 0.0,
        }
    aims: dict[tuple[str, ...], float] = {
        (state.name,): settings.start_within_seconds_of(state.name) for state in states
    }
    return {
        metrics.QUEUE_JOBS: jobs,
        metrics.QUEUE_OLDEST: oldest,
        metrics.QUEUE_START_WITHIN: aims,
    }


def _dependency(name: str, ask: Callable[[], object]) -> Look:
    def found(value: float) -> Found:
        return {metrics.UP_DEPENDENCY: {(name,): value}}

    def find() -> Found:
        ask()
        return found(1.0)

    return Look(name, find, otherwise=found(0.0))


def _workers(redis: Client, queues: Sequence[str]) -> Found:
    counts: dict[tuple[str, ...], float] = {}
    workers = registered_workers(redis)
    for queue in queues:
        seen = [worker for worker in workers if queue in worker.queues]
        for state, is_busy in (("busy", True), ("idle", False)):
            counts[queue, state] = sum(worker.is_busy is is_busy for worker in seen)
    return {metrics.WORKERS: counts}


def _redis(redis: Client) -> Found:
    memory, stats = info(redis, "memory"), info(redis, "stats")
    values: Mapping[metrics.Metric, float | None] = {
        metrics.REDIS_MEMORY_USED: memory.get("used_memory"),
        metrics.REDIS_MEMORY_MAX: memory.get("maxmemory"),
        metrics.REDIS_EVICTED_KEYS: stats.get("evicted_keys"),
    }
    return {metric: {(): value} for metric, value in values.items() if value is not None}


def _alerts(redis: Client, settings: Settings) -> Found:
    standing = read_standing(redis, settings.alerts, sinks.configured(settings.alerts))
    return {
        metrics.ALERT_GROUPS: {(state.value,): n for state, n in standing.groups.items()},
        metrics.ALERT_OLDEST_UNSENT: {(): standing.oldest_unsent_seconds},
        metrics.ALERT_BREAKER_OPEN: {(sink,): is_ for sink, is_ in standing.failing.items()},
    }


def _heartbeat(at_seconds: float | None) -> Found:
    return {} if at_seconds is None else {metrics.ALERT_HEARTBEAT: {(): at_seconds}}


def _callbacks(database: Database) -> Found:
    return {metrics.CALLBACK_OLDEST: {(): claims.longest_overdue_seconds(database)}}
