"""Dispatches that Redis loses, repeats, or hands to a worker that dies: each job runs once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from jobresults.jobs import reading
from tests.faults.conftest import Effects, OwnStack
from tests.faults.proxy import fault_proxy
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.stack import Shape, Stack

QUEUE = "rq:queue:default"
RAN_ONCE = ["submitted", "started", "succeeded"]


def submit(stack: Stack, effects: Effects, gate: Path | None = None) -> str:
    return stack.submit("leaves_a_mark", effects.params(gate))


def submit_many(stack: Stack, effects: Effects, count: int, gate: Path | None = None) -> list[str]:
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(lambda _: submit(stack, effects, gate), range(count)))


def story(stack: Stack, job_id: str) -> list[str]:
    """The words of a job's timeline, but for its dispatches."""
    words = [event["event"] for event in reading.timeline(stack.ledger, job_id)]
    return [word for word in words if word != "dispatched"]


def assert_ran_once(stack: Stack, effects: Effects, job_id: str) -> None:
    """Also when whatever else was queued has been taken."""
    assert stack.ended(job_id)["state"] == "succeeded"
    stack.run("echo")
    assert effects.by_job[job_id] == [1]
    assert story(stack, job_id) == RAN_ONCE


def take_all_entries(stack: Stack, effects: Effects, gate: Path, *, workers: int) -> None:
    """Let workers take whatever is queued while the job, which waits for the gate, still runs."""
    for number in range(1, workers + 1):
        stack.start_process(f"worker-{number}")
    with stack.redis.client() as client:
        eventually(lambda: effects.by_job and not client.llen(QUEUE), "all entries are taken")
    gate.touch()


def submit_to_frozen_worker(stack: Stack, effects: Effects) -> str:
    """The id of a job whose dispatch Redis has handed to worker-1, which stands still (SIGSTOP)."""
    worker = stack.processes["worker-1"]
    with stack.redis.client() as client:

        def waits_for_work() -> bool:
            return any("b" in connection["flags"] for connection in client.client_list())

        def attempt() -> str | None:
            eventually(waits_for_work, "the worker waits for work")
            worker.send(signal.SIGSTOP)
            eventually(
                lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED,
                "the worker stands still",
            )
            job_id = submit(stack, effects)
            if client.llen(QUEUE) == 0:
                return job_id
            worker.send(signal.SIGCONT)  # it was between two requests
            stack.ended(job_id)
            return None

        return eventually(attempt, "a dispatch is popped by the worker that stands still")


def test_row_1_enqueue_reply_lost(
    own_stack: OwnStack,
    effects: Effects,
    start_redis: Callable[[], RedisServer],
    tmp_path: Path,
) -> None:
    """Row 1: the job is pushed, the reply is lost, and redis-py pushes it again.

    Red with `Queue.enqueue` and the stock worker (2 effects), or with a claim that does not ask for
    `state = queued`.
    """
    gate, server = tmp_path / "gate", start_redis()
    with fault_proxy(socket_of(server)) as proxy:
        shape = Shape(workers=0, settings={"REDIS__URL": proxy.redis_url})
        with own_stack(shape, redis=server) as stack:
            loss = proxy.lose("reply", b"RPUSH")
            job_id = submit(stack, effects, gate)
            assert loss.happened.is_set()
            take_all_entries(stack, effects, gate, workers=2)
            assert_ran_once(stack, effects, job_id)


def test_row_2_redis_refused_at_submit(own_stack: OwnStack, effects: Effects) -> None:
    """Row 2: accepted without Redis, run once it is back.

    Red with `Queue.enqueue` in the request: ConnectionError, and nothing is kept.
    """
    with own_stack() as stack:
        stack.redis.stop()
        job_ids = [submit(stack, effects) for _ in range(3)]
        assert [stack.job(job_id)["state"] for job_id in job_ids] == ["queued"] * 3
        stack.redis.start()
        for job_id in job_ids:
            assert_ran_once(stack, effects, job_id)


@pytest.mark.parametrize("queues", ['["default"]', '["default", "unserved"]'], ids=["one", "two"])
def test_row_5_worker_killed_right_after_pop(
    own_stack: OwnStack, effects: Effects, queues: str
) -> None:
    """Row 5: the dispatch is gone with the worker; the reconciler sees that, and dispatches anew.

    Red without `reconciler.redispatch_lost`: queued for ever. RQ pops by BLMOVE from one queue (the
    entry is left in a list that only its own clean-up reads) and by BLPOP from two (nothing left).
    """
    with own_stack(Shape(settings={"WORKER__QUEUES": queues})) as stack:
        job_id = submit_to_frozen_worker(stack, effects)
        stack.processes.pop("worker-1").stop(signal.SIGKILL)
        assert job_id not in effects.by_job
        stack.start_process("worker-2")
        assert_ran_once(stack, effects, job_id)


def test_row_6_sigterm_in_the_pop_window(own_stack: OwnStack, effects: Effects) -> None:
    """Row 6: a worker told to stop while a job is on its way to it runs the job, and ends well.

    Red with RQ's `request_stop`, which raises in the middle of the pop: the job is stranded.
    """
    with own_stack(Shape(settings={"WORKER__SHUTDOWN_GRACE_SECONDS": "10"})) as stack:
        job_id = submit_to_frozen_worker(stack, effects)
        worker = stack.processes.pop("worker-1")
        worker.send(signal.SIGTERM)
        worker.send(signal.SIGCONT)
        assert worker.end() == 0
        assert effects.by_job[job_id] == [1]
        stack.start_process("worker-2")
        assert_ran_once(stack, effects, job_id)


def test_row_14_four_copies_of_one_dispatch(
    own_stack: OwnStack, effects: Effects, tmp_path: Path
) -> None:
    """Row 14: of four entries with the same id one starts the job, whoever takes the others.

    Red with the stock worker, which runs every entry (4 effects).
    """
    gate = tmp_path / "gate"
    with own_stack(Shape(workers=0)) as stack, stack.redis.client() as client:
        job_id = submit(stack, effects, gate)
        (entry,) = client.lrange(QUEUE, 0, -1)
        client.rpush(QUEUE, entry, entry, entry)
        take_all_entries(stack, effects, gate, workers=3)
        assert_ran_once(stack, effects, job_id)


@pytest.mark.timeout(300)
def test_row_16_flushall_with_1000_jobs_queued(own_stack: OwnStack, effects: Effects) -> None:
    """Row 16: Redis forgets everything that waits; all of it runs, once.

    Red without `reconciler.redispatch_lost`, as with RQ alone: none is ever heard of again.
    """
    with own_stack(Shape(workers=0)) as stack, stack.redis.client() as client:
        job_ids = submit_many(stack, effects, 1_000)
        client.flushall()
        for number in (1, 2):
            stack.start_process(f"worker-{number}")
        for job_id in job_ids:
            assert stack.ended(job_id)["state"] == "succeeded"
        assert effects.by_job == {job_id: [1] for job_id in job_ids}


def test_row_17_redis_killed_without_append_only_file(
    own_stack: OwnStack, effects: Effects, tmp_path: Path
) -> None:
    """Row 17: Redis dies at work and comes back empty; all accepted jobs run, once.

    Red without `reconciler.redispatch_lost`, as with RQ alone: whatever waited is lost.
    """
    gate = tmp_path / "gate"
    with own_stack(Shape()) as stack:
        with stack.redis.client() as client:
            job_ids = submit_many(stack, effects, 200, gate)
            assert client.llen(QUEUE) > 0, "some still wait when Redis dies"
        stack.redis.process.stop(signal.SIGKILL)
        gate.touch()
        stack.redis.start()
        for job_id in job_ids:
            assert stack.ended(job_id)["state"] == "succeeded"
        assert effects.by_job == {job_id: [1] for job_id in job_ids}
        assert stack.processes["worker-1"].is_running


def socket_of(server: RedisServer) -> Path:
    return Path(server.url.removeprefix("unix://"))
