"""Who is in the register of workers: those that live, and no other."""

from __future__ import annotations

import signal
import time
from typing import Any

from jobresults.jobs.dispatch import count_workers
from jobresults.jobs.states import State
from tests.integration.driver import on_sqlite
from tests.integration.worker.service import Service
from tests.services.process import eventually

pytestmark = on_sqlite

LEASE_SECONDS = 2  # of the service under test


def key_of_the_worker(service: Service) -> str:
    members: Any = service.driver.redis.smembers("rq:workers:default")
    (key,) = members
    return str(key.decode())


def test_a_worker_without_a_pause_stays_in_the_register(service: Service) -> None:
    lease_seconds = 4  # long for a machine that is busy, short for a test
    ids = [service.submit("takes_a_while", seconds=0.05) for _ in range(200)]
    service.start("worker", {"WORKER__LEASE_SECONDS": str(lease_seconds)})
    service.start("maintenance")
    service.reached(ids[0], State.SUCCEEDED)
    redis, key = service.driver.redis, key_of_the_worker(service)
    until = time.monotonic() + lease_seconds + 1
    while time.monotonic() < until:
        assert redis.hexists(key, "birth"), "its entry has run out"
        assert 0 < redis.pttl(key) <= lease_seconds * 1000, "it stays for one lease"
        time.sleep(0.05)
    assert count_workers(redis, "default") == 1
    assert service.row(ids[-1]).state == State.QUEUED, "there was no pause"


def test_a_killed_worker_leaves_the_register_with_its_lease(service: Service) -> None:
    worker = service.start("worker")
    service.start("maintenance")
    for _ in range(3):
        service.run("echo", value=1)
    worker.send(signal.SIGKILL)
    killed_at = time.monotonic()
    redis = service.driver.redis
    eventually(lambda: count_workers(redis, "default") == 0, "it is not counted any more")
    assert time.monotonic() - killed_at < 5 * LEASE_SECONDS


def test_no_entry_outlives_a_worker_that_is_killed_after_a_flush(service: Service) -> None:
    worker = service.start("worker", {"WORKER__HEARTBEAT_SECONDS": "1"})
    service.run("echo", value=1)
    service.driver.redis.flushall()
    service.run("echo", value=2)
    worker.send(signal.SIGKILL)
    redis = service.driver.redis
    keys: Any = redis.keys("rq:worker:*")
    assert all(redis.pttl(key) > 0 for key in keys), "each goes by itself"
