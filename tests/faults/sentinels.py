"""A master, its replica and three sentinels, on the two sides of a network that can be cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.faults.partition import Side
from tests.services.process import Process
from tests.services.redis_server import RedisServer

PORT, SENTINEL_PORTS = 6379, (26379, 26380, 26381)

SENTINEL = """
port {port}
bind {side.address}
protected-mode no
sentinel monitor jobs {master.address} {master_port} 2
sentinel down-after-milliseconds jobs 1000
sentinel failover-timeout jobs 5000
"""


def redis_on(start_redis: Callable[..., RedisServer], side: Side, *options: str) -> RedisServer:
    """Reached from everywhere by the side's address, and from here by its Unix socket too."""
    words = ("--port", str(PORT), "--bind", side.address, "--protected-mode", "no")
    announced = ("--replica-announce-ip", side.address)
    return start_redis(*words, *announced, *options, prefix=side.prefix)


@contextmanager
def sentinels_on(side: Side, master: Side, program: str, directory: Path) -> Iterator[list[str]]:
    """The addresses of three sentinels that watch the master."""
    with ExitStack() as running:
        for port in SENTINEL_PORTS:
            file = directory / f"sentinel-{port}.conf"
            file.write_text(SENTINEL.format(port=port, side=side, master=master, master_port=PORT))
            command: list[str | Path] = [*side.prefix, program, file, "--sentinel"]
            running.callback(Process(file.stem, command, directory).stop)
        yield [f"{side.address}:{port}" for port in SENTINEL_PORTS]


def replication(server: RedisServer) -> dict[str, Any]:
    # Sentinel cuts all clients off when it gives a server another role.
    again = Retry(NoBackoff(), 10)
    with redis.Redis.from_url(server.url, retry=again) as client:
        found: dict[str, Any] = client.info("replication")
    return found


def all_know_each_other(sentinels: list[str]) -> bool:
    """Every sentinel knows the replica and the two others; else they cannot agree."""
    for sentinel in sentinels:
        host, _, port = sentinel.rpartition(":")
        try:
            with redis.Redis(host, int(port)) as client:
                (known,) = client.sentinel_masters().values()
        except redis.ConnectionError:
            return False
        if (known["num-slaves"], known["num-other-sentinels"]) != (1, 2):
            return False
    return True
