"""What the processes weigh, and what a job leaves in Redis."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import psutil
from redis import Redis

from benchmarks import stock
from benchmarks.machine import Machine
from benchmarks.processes import Process
from benchmarks.service import Service, sqlite_url

_WARM_UP = 100


def measure(machine: Machine) -> dict[str, Any]:
    """Processes after a hundred jobs and polls; Redis after some thousand more."""
    count = machine.pick(1_000, 300)
    url = sqlite_url(machine, "memory")
    machine.redis().flushall()
    with contextlib.closing(Service(machine, url)) as service:
        with service.running("web", "worker", "maintenance") as (web, worker, maintenance):
            ids = service.submit(_WARM_UP)
            service.run_until_done(ids, web, worker, maintenance)
            service.fetch(ids)
            processes = [
                *_parts("web", web, ("gunicorn's master", "worker")),
                *_parts("worker", worker, ("supervisor", "executor")),
                *_parts("maintenance", maintenance, ("",)),
                *_parts("Redis", machine.redis_process, ("",)),
            ]
        redis = _of_ours(service, count)
    return {
        "processes": processes,
        "redis_bytes": {"jobresults": redis, "rq": _of_rq(machine, count)},
        "jobs": count,
    }


def _parts(name: str, process: Process, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """RSS counts shared pages in each process, PSS divides them among those that share."""
    parts = []
    for number, part in enumerate(process.tree()):
        label = labels[min(number, len(labels) - 1)]
        with contextlib.suppress(psutil.NoSuchProcess):
            memory = part.memory_full_info()
            parts.append(
                {
                    "process": f"{name}: {label}" if label else name,
                    "rss_mib": memory.rss / 2**20,
                    "pss_mib": getattr(memory, "pss", 0) / 2**20,
                }
            )
    return parts


def _of_ours(service: Service, count: int) -> dict[str, float]:
    """Bytes a job, while it is queued, when it has ended, and once what has a lifetime is over."""
    service.redis.flushall()
    with service.running("web"):
        empty = _used(service.redis)
        ids = service.submit(count)
        queued = _used(service.redis)
        with service.running("worker") as processes:
            service.run_until_done(ids, *processes, within_seconds=300)
            time.sleep(1)  # what it tells Redis after the outcome
        ended = _used(service.redis)
        cold = _after_lifetimes(service.redis)
    return _per_job(empty, queued, ended, cold, count)


def _of_rq(machine: Machine, count: int) -> dict[str, float]:
    client = machine.redis()
    client.flushall()
    empty = _used(client)
    stock.enqueue(client, count)
    queued = _used(client)
    stock.work(machine, 0)
    ended = _used(client)
    return _per_job(empty, queued, ended, _after_lifetimes(client), count)


def _per_job(empty: int, queued: int, ended: int, cold: int, count: int) -> dict[str, float]:
    return {
        "queued": (queued - empty) / count,
        "ended": (ended - empty) / count,
        "after_its_lifetime": (cold - empty) / count,
    }


def _used(client: Redis) -> int:
    """Bytes of all but the buffers of connections, which come and go."""
    memory: Any = client.info("memory")
    return int(memory["used_memory"]) - int(memory["mem_clients_normal"])


def _after_lifetimes(client: Redis) -> int:
    """As if time had passed: whatever is kept for a limited time is gone."""
    for key in client.scan_iter(count=1_000):
        if client.ttl(key) >= 0:
            client.delete(key)
    return _used(client)
