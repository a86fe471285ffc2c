"""Redis that forgets, is cut off, is full, or says nothing."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack

import pytest
from redis.sentinel import Sentinel
from rq import Queue
from rq.job import Job

from tests.faults.partition import Network, divided_network
from tests.faults.sentinels import (
    PORT,
    all_know_each_other,
    redis_on,
    replication,
    sentinels_on,
)
from tests.faults.stock import tasks
from tests.faults.stock.rig import (
    NotPossibleHereError,
    Rig,
    Seen,
    await_pop,
    comes_true,
    seconds_of,
)
from tests.services.process import eventually
from tests.services.redis_server import RedisServer

JOBS = 50
MIB = 2**20
HALF_OPEN_WATCH_SECONDS = 40
REDIS_DEFAULT_SAVE = "3600 1 300 100 60 10000"


def flushall(rig: Rig) -> Seen:
    """Row 16, with as many jobs as ours."""
    server = rig.redis()
    queue = rig.queue(server.url)
    count = 1_000
    jobs = [rig.enqueue(queue) for _ in range(count)]
    queue.connection.flushall()
    return _lost(rig, server, queue, jobs)


def redis_killed_without_append_only_file(rig: Rig) -> Seen:
    """Row 17: Redis's default snapshots come a minute after many writes, an hour after few."""
    server = rig.redis()
    queue = rig.queue(server.url)
    queue.connection.config_set("save", REDIS_DEFAULT_SAVE)
    jobs = [rig.enqueue(queue) for _ in range(JOBS)]
    server.process.stop(signal.SIGKILL)
    server.start()
    return _lost(rig, server, queue, jobs)


def _lost(rig: Rig, server: RedisServer, queue: Queue, jobs: list[Job]) -> Seen:
    rig.drain(server.url)
    lost = [job for job in jobs if not Job.exists(job.id, queue.connection)]
    assert not any(rig.starts(job) for job in lost)
    return Seen(f"**{len(lost):,} of {len(jobs):,} lost**", bool(lost))


def sentinel_partition(rig: Rig) -> Seen:
    """Row 18: a client that reaches the replaced master goes on with it; it forgets all of that."""
    with ExitStack() as running:
        try:
            network = running.enter_context(divided_network())
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:
            raise NotPossibleHereError(str(missing)) from None
        return _partitioned(rig, network)


def _partitioned(rig: Rig, network: Network) -> Seen:
    old = redis_on(rig.redis, network.left)
    new = redis_on(rig.redis, network.right, "--replicaof", network.left.address, str(PORT))
    with sentinels_on(network.right, network.left, old.program, rig.directory) as addresses:
        eventually(lambda: replication(new)["master_link_status"] == "up", "the replica follows")
        eventually(lambda: all_know_each_other(addresses), "the sentinels have met")
        hosts = [(host, int(port)) for host, _, port in (a.rpartition(":") for a in addresses)]
        with Sentinel(hosts).master_for("jobs") as master:
            queue = Queue(connection=master)
            jobs = [rig.enqueue(queue)]
            network.cut()
            jobs += [rig.enqueue(queue) for _ in range(JOBS)]
            eventually(lambda: replication(new)["role"] == "master", "there is a new master")
            jobs += [rig.enqueue(queue) for _ in range(JOBS)]
            network.heal()
            eventually(lambda: replication(old).get("master_link_status") == "up", "it follows")
        with new.client() as client:
            lost = [job for job in jobs if not Job.exists(job.id, client)]
        return Seen(f"**{len(lost)} of {len(jobs)} acknowledged lost**", bool(lost))


def redis_has_no_memory_left(rig: Rig) -> Seen:
    """Row 19: Redis as a cache. The queue keeps the ids of jobs that are gone."""
    server = rig.redis()
    queue = rig.queue(server.url)
    used = int(queue.connection.info("memory")["used_memory"])
    queue.connection.config_set("maxmemory-policy", "allkeys-lru")
    queue.connection.config_set("maxmemory", used + 8 * MIB)
    jobs = [queue.enqueue(tasks.takes, os.urandom(50_000)) for _ in range(300)]
    gone = [job for job in jobs if not Job.exists(job.id, queue.connection)]
    rig.drain(server.url)
    assert queue.failed_job_registry.count == 0
    text = f"**{len(gone)} of {len(jobs)} acknowledged jobs evicted**, skipped without a word"
    return Seen(text, bool(gone))


def redis_hangs_at_submit(rig: Rig) -> Seen:
    """Row 21: a timeout of 5 s, but eleven tries."""
    server = rig.redis()
    queue = rig.queue(server.url)
    rig.enqueue(queue)
    server.process.send(signal.SIGSTOP)
    took_seconds, error = seconds_of(lambda: rig.enqueue(queue))
    outcome = f"`{type(error).__name__}`" if error else "accepted"
    return Seen(f"`enqueue` **blocks for {took_seconds:.0f} s**, {outcome}", took_seconds > 5)


def half_open_tcp(rig: Rig) -> Seen:
    """Row 22: the worker waits for up to 415 s on a connection that nobody answers."""
    server = rig.redis()
    proxy = rig.proxy(server)
    rig.worker(proxy.redis_url)
    queue = rig.queue(server.url)
    await_pop(queue.connection)
    proxy.blackhole()
    proxy.forward()
    jobs = [rig.enqueue(queue) for _ in range(2)]
    ran = comes_true(lambda: all(map(rig.starts, jobs)), HALF_OPEN_WATCH_SECONDS)
    taken = len(jobs) - queue.count
    text = f"{taken} of 2 jobs handed to a dead connection, "
    text += f"**none run {HALF_OPEN_WATCH_SECONDS} s later**"
    return Seen("run" if ran else text, not ran)
