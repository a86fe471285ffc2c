"""Redis that is full, hangs, or hides behind dead connections: requests go on, nothing is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis

from tests.faults.conftest import Effects, OwnStack
from tests.faults.proxy import fault_proxy
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.stack import Shape, Stack

REQUESTS = 30


def assert_each_ran_once(stack: Stack, effects: Effects, job_ids: list[str]) -> None:
    for job_id in job_ids:
        assert stack.ended(job_id)["state"] == "succeeded"
    stack.run("echo")
    assert effects.by_job == {job_id: [1] for job_id in job_ids}
    assert stack.processes["worker-1"].is_running


def test_row_19_redis_has_no_memory_left(
    own_stack: OwnStack, effects: Effects, tmp_path: Path
) -> None:
    """Row 19: Redis refuses every write (noeviction); jobs are accepted, completed and read.

    Red with `Queue.enqueue` in the request: OutOfMemoryError, or payloads evicted under another
    policy.
    """
    gate = tmp_path / "gate"
    with own_stack() as stack, stack.redis.client() as client:
        running = stack.submit("leaves_a_mark", effects.params(gate))
        eventually(lambda: running in effects.by_job, "the job runs")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("any", "value")
        body = {"task": "leaves_a_mark", "params": effects.params()}
        answers = [stack.request("POST", "/v1/jobs", json=body) for _ in range(5)]
        assert {answer.status_code for answer in answers} <= {202, 503}
        accepted = [answer.json()["job_id"] for answer in answers if answer.status_code == 202]
        assert [stack.job(job_id)["state"] for job_id in accepted] == ["queued"] * len(accepted)
        assert stack.count_jobs() == 1 + len(accepted), "what is refused is not kept"
        gate.touch()
        assert stack.ended(running)["state"] == "succeeded"
        assert stack.request("GET", f"/get_result?job_id={running}").content == b"1"
        client.config_set("maxmemory", 0)
        assert_each_ran_once(stack, effects, [running, *accepted])


@contextmanager
def paused(server: RedisServer) -> Iterator[None]:
    """CLIENT PAUSE: it accepts connections and answers nobody. Not to be taken back, only over."""
    with server.client() as client:
        client.client_pause(15_000)
    yield


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    """SIGSTOP: only the kernel still accepts connections."""
    server.process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send(signal.SIGCONT)


@pytest.mark.parametrize("hang", [paused, frozen])
def test_row_21_redis_hangs(
    own_stack: OwnStack,
    effects: Effects,
    hang: Callable[[RedisServer], AbstractContextManager[None]],
) -> None:
    """Row 21: a few requests wait for Redis, 2 s at most; the rest is answered from the ledger.

    Red without the rest in `redis_store.guarded` (each submit waits 1 s), and with redis-py's own
    settings (no timeout: for ever).
    """
    with own_stack() as stack:
        done = stack.run("echo", {"value": 0})
        with hang(stack.redis):
            began = time.monotonic()
            job_ids, durations = [], []
            for _ in range(REQUESTS):
                sent = time.monotonic()
                job_ids.append(stack.submit("leaves_a_mark", effects.params()))
                assert stack.request("GET", f"/get_result?job_id={done}").content == b"0"
                durations.append(time.monotonic() - sent)
            took_seconds = time.monotonic() - began
        assert max(durations) < 3, "2 s, and what a busy machine needs"
        assert took_seconds < REQUESTS / 2, "most do not wait for Redis at all"
        assert_each_ran_once(stack, effects, job_ids)


def test_row_22_half_open_tcp(
    own_stack: OwnStack,
    effects: Effects,
    start_redis: Callable[[], RedisServer],
    tmp_path: Path,
) -> None:
    """Row 22: every connection to Redis is dead and nobody is told; within 30 s all is well.

    Red with the stock worker, whose pop waits for up to 415 s on the dead connection.
    """
    gate, server = tmp_path / "gate", start_redis()
    with fault_proxy(Path(server.url.removeprefix("unix://"))) as proxy:
        shape = Shape(settings={"REDIS__URL": proxy.redis_url})
        with own_stack(shape, redis=server) as stack:
            running = stack.submit("leaves_a_mark", effects.params(gate))
            eventually(lambda: running in effects.by_job, "the job runs")
            proxy.blackhole()
            job_ids = [stack.submit("leaves_a_mark", effects.params()) for _ in range(3)]
            proxy.forward()
            job_ids += [stack.submit("leaves_a_mark", effects.params()) for _ in range(3)]
            gate.touch()
            eventually(
                lambda: all(stack.job(job_id)["done"] for job_id in [running, *job_ids]),
                "all jobs have ended",
                within_seconds=30,
            )
            assert_each_ran_once(stack, effects, [running, *job_ids])
            with server.client() as client:
                eventually(
                    lambda: client.pubsub_numsub("jr:done")[0][1] == 2,
                    "web listens to the done-bell on a second connection, beside the dead one",
                )
