"""A master cut off from its replica and its sentinels: what it acknowledges meanwhile is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.conftest import Effects, OwnStack
from tests.faults.partition import divided_network
from tests.faults.sentinels import (
    PORT,
    all_know_each_other,
    redis_on,
    replication,
    sentinels_on,
)
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.stack import Shape

QUEUE = "rq:queue:default"
JOBS = 50


def waiting(server: RedisServer) -> set[bytes]:
    with server.client() as client:
        return set(client.lrange(QUEUE, 0, -1))


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
