"""The workers by Redis' register and by the ledger, when the two do not say the same."""

from __future__ import annotations

import time

import pytest

from jobresults.errors import RedisUnavailable
from jobresults.jobs.dispatch import RELEASE_FIELD, registered_workers
from jobresults.jobs.workers import all_workers
from jobresults.redis_store import connect
from jobresults.settings import RedisSettings, WorkerSettings
from jobresults.telemetry import metrics
from jobresults.worker.presence import Presence
from tests.integration.driver import Driver


def test_a_worker_is_seen_by_its_entry_and_its_jobs(driver: Driver) -> None:
    presence = Presence(driver.redis, WorkerSettings(queues=("default", "slow")), ["echo"])
    presence.beat([])
    claimed = driver.claim(driver.submit(), worker=presence.name)
    lost = driver.claim(driver.submit(), worker="flushed")
    over = driver.claim(driver.submit(), worker="dead")
    driver.alter(over.id, lease_until_ms=driver.now_ms() - 1)
    seen = {worker.name: worker for worker in all_workers(driver.database, driver.redis)}
    assert seen.keys() == {presence.name, "flushed"}
    mine, flushed = seen[presence.name], seen["flushed"]
    assert (mine.job_ids, flushed.job_ids) == ((claimed.id,), (lost.id,))
    assert mine.is_busy, "it holds a job, whatever it said last"
    assert flushed.registered is None
    assert flushed.is_busy
    assert mine.registered is not None
    assert (mine.registered.queues, mine.registered.tasks) == (("default", "slow"), {"echo"})
    assert not mine.registered.is_busy
    assert abs(time.time() * 1000 - mine.registered.last_seen_at_ms) < 60_000


def test_a_worker_of_stock_rq_is_seen_without_a_version(driver: Driver) -> None:
    presence = Presence(driver.redis, WorkerSettings())
    presence.beat([])
    driver.redis.hdel(presence.key, RELEASE_FIELD, "jobresults_tasks")
    (worker,) = registered_workers(driver.redis)
    assert (worker.name, worker.release, worker.tasks) == (presence.name, None, None)
    driver.redis.delete(presence.key)
    assert registered_workers(driver.redis) == []


def test_a_register_out_of_reach_is_told(driver: Driver) -> None:
    settings = RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"})
    with connect(settings) as nowhere, pytest.raises(RedisUnavailable):
        all_workers(driver.database, nowhere)


def test_a_worker_tells_itself_when_redis_heard_of_it_last(driver: Driver) -> None:
    """Red if only the register does: it forgets a silent worker with its lease."""
    heard = Presence(driver.redis, WorkerSettings())
    assert told_seconds_ago() < 60, "it has begun"
    metrics.WORKER_HEARTBEAT.set(1)
    heard.beat([])
    assert told_seconds_ago() < 60
    metrics.WORKER_HEARTBEAT.set(1)
    heard.beat([])
    assert told_seconds_ago() > 60, "nothing was due, and nothing told"


def told_seconds_ago() -> float:
    (family,) = metrics.WORKER_HEARTBEAT.collect()
    return time.time() - family.samples[0].value
