"""A master cut off from its replica and its sentinels: what it acknowledges meanwhile is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.faults.conftest import Effects, OwnStack
from tests.faults.partition import Side, divided_network
from tests.services.process import Process, eventually
from tests.services.redis_server import RedisServer
from tests.services.stack import Shape

PORT, SENTINEL_PORTS = 6379, (26379, 26380, 26381)
QUEUE = "rq:queue:default"
JOBS = 50

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
    with server.client() as client:
        found: dict[str, Any] = client.info("replication")
    return found


def waiting(server: RedisServer) -> set[bytes]:
    with server.client() as client:
        return set(client.lrange(QUEUE, 0, -1))


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


@pytest.mark.timeout(300)
def test_row_18_sentinel_partition(
    own_stack: OwnStack,
    effects: Effects,
    start_redis: Callable[..., RedisServer],
    tmp_path: Path,
) -> None:
    """Row 18: the service goes on with a master that its sentinels have replaced; when the network
    is whole again that master throws away what it took meanwhile, and every accepted job runs.

    Two network namespaces with a veth link that is cut. Red without `reconciler.redispatch_lost`,
    as with RQ alone: all that the old master acknowledged is lost.
    """
    with ExitStack() as running:
        network = running.enter_context(divided_network())
        old = redis_on(start_redis, network.left)
        running.callback(old.stop)
        new = redis_on(start_redis, network.right, "--replicaof", network.left.address, str(PORT))
        running.callback(new.stop)
        sentinels = running.enter_context(
            sentinels_on(network.right, network.left, old.program, tmp_path)
        )
        eventually(lambda: replication(new)["master_link_status"] == "up", "the replica follows")
        eventually(lambda: all_know_each_other(sentinels), "the sentinels have met")
        settings = {"REDIS__URL": "redis://jobs/0", "REDIS__SENTINELS": json.dumps(sentinels)}
        stack = running.enter_context(own_stack(Shape(workers=0, settings=settings), redis=old))

        job_ids = [stack.submit("leaves_a_mark", effects.params())]
        network.cut()
        job_ids += [stack.submit("leaves_a_mark", effects.params()) for _ in range(JOBS)]
        eventually(lambda: replication(new)["role"] == "master", "the sentinels have a new master")
        job_ids += [stack.submit("leaves_a_mark", effects.params()) for _ in range(JOBS)]
        assert len(waiting(old) - waiting(new)) > JOBS, "some are with the old master only"
        network.heal()
        eventually(
            lambda: replication(old).get("master_link_status") == "up", "the old master follows"
        )
        assert replication(new)["role"] == "master"

        stack.start_process("worker-1")
        for job_id in job_ids:
            assert stack.ended(job_id)["state"] == "succeeded"
        assert effects.by_job == {job_id: [1] for job_id in job_ids}
