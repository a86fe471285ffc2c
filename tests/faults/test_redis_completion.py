"""Redis lost while a job completes: its outcome is in the ledger, once."""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from typing import Literal

from jobresults.jobs import reading
from tests.faults.conftest import Effects, OwnStack
from tests.faults.proxy import fault_proxy
from tests.services.process import eventually
from tests.services.stack import Shape

OUTAGE_SECONDS = 20
LOST: tuple[Literal["request", "reply"], ...] = ("request", "reply")
# The done-bell, RQ's register of workers, and that of started jobs.
TOLD_AT_THE_END = (b"PUBLISH", b"successful_job_count", b"ZREM")
RAN_ONCE = ["submitted", "started", "succeeded"]


def test_row_11_redis_down_at_completion(
    own_stack: OwnStack, effects: Effects, tmp_path: Path
) -> None:
    """Row 11: the result is there at once and stays; the worker outlives the outage.

    Red with the stock worker: it writes the result to Redis only, gives up and exits with 1.
    """
    gate = tmp_path / "gate"
    with own_stack() as stack:
        job_id = stack.submit("leaves_a_mark", effects.params(gate))
        eventually(lambda: job_id in effects.by_job, "the job runs")
        stack.redis.stop()
        back_at = time.monotonic() + OUTAGE_SECONDS
        gate.touch()
        eventually(lambda: stack.job(job_id)["done"], "the outcome is readable", within_seconds=5)
        while time.monotonic() < back_at:
            assert stack.request("GET", f"/get_result?job_id={job_id}").content == b"1"
            assert stack.processes["worker-1"].is_running
        stack.redis.start()
        stack.run("echo")
        assert stack.processes["worker-1"].is_running
        assert effects.by_job == {job_id: [1]}
        assert stack.request("GET", f"/get_result?job_id={job_id}").content == b"1"


def test_row_12_completion_request_or_reply_lost(own_stack: OwnStack, effects: Effects) -> None:
    """Row 12: whatever a worker tells Redis at the end of a job may be lost, or told twice; lost
    once, redis-py repeats it, lost twice, it gives up.

    Red with the stock worker: a completion that is lost before its EXEC turns the job to failed, or
    runs it again.
    """
    with own_stack(Shape(workers=0)) as stack:
        path = Path(stack.redis.url.removeprefix("unix://"))
        with fault_proxy(path) as proxy:
            stack.start_process("worker-1", settings={"REDIS__URL": proxy.redis_url})
            eventually(stack.is_ready, "the worker is ready")
            for what, pattern, times in product(LOST, TOLD_AT_THE_END, (1, 2)):
                loss = proxy.lose(what, pattern, times=times)
                job_id = stack.run("leaves_a_mark", effects.params())
                assert loss.happened.wait(30), f"{what} with {pattern!r} was lost {times} times"
                stack.run("echo")
                assert effects.by_job[job_id] == [1]
                events = reading.timeline(stack.ledger, job_id)
                assert [event["event"] for event in events] == RAN_ONCE
            assert stack.processes["worker-1"].is_running
            stack.processes.pop("worker-1").stop()
