"""What a worker takes from Redis, and what it leaves there."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Callback, Queue
from rq.serializers import JSONSerializer

from jobresults.jobs.states import State
from tests.integration.driver import on_sqlite
from tests.integration.worker.service import Service
from tests.services.process import eventually

pytestmark = on_sqlite

LIKE_OURS = "01890000-0000-7000-8000-000000000000_1"


class RunsAtLoading:
    """Executes a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def rq_info(service: Service) -> str:
    """What RQ's own tool tells."""
    tool = Path(sys.executable).with_name("rq")
    command = [str(tool), "info", "--raw", "--url", service.redis.url]
    return str(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def keys(redis: Redis, pattern: str) -> list[bytes]:
    found: Any = redis.keys(pattern)
    return sorted(found)


def test_foreign_jobs_are_refused_without_effect(service: Service, tmp_path: Path) -> None:
    redis = service.driver.redis
    effects = tmp_path / "effects"
    effects.mkdir()
    touch = f"touch {effects}/"
    pickling = Queue(connection=redis)
    plain = Queue(connection=redis, serializer=JSONSerializer)
    pickling.enqueue(os.system, touch + "pickled")
    pickling.enqueue("jobresults.no_such_function", RunsAtLoading(touch + "loaded"))
    pickling.enqueue(os.system, touch + "callback", on_success=Callback(print))
    plain.enqueue("os.system", touch + "json")
    plain.enqueue("os.system", touch + "instance", job_id=LIKE_OURS)
    plain.enqueue(
        "os.system", touch + "id", job_id=LIKE_OURS + "0", on_failure=Callback("os.system")
    )
    redis.hset("rq:job:torn", mapping={"data": b"\x80", "created_at": "never"})
    redis.rpush("rq:queue:default", "torn", "unknown", b"\xff", "../../etc/passwd")
    worker = service.start("worker")
    assert service.run("echo", value=1).state == State.SUCCEEDED
    assert list(effects.iterdir()) == []
    eventually(lambda: not keys(redis, "rq:job:*"), "nothing is left of them")
    assert redis.llen("rq:queue:default") == 0
    refused = re.findall(
        "refused an entry in queue default .* did not put there", worker.log(1_000)
    )
    assert len(refused) == 8


def test_a_foreign_job_under_the_id_of_one_of_ours_takes_nothing_from_it(
    shared_service: Service, tmp_path: Path
) -> None:
    job_id = shared_service.driver.submit("echo", {"value": 5}, delay_seconds=3_600)
    redis = shared_service.driver.redis
    foreign = Queue(connection=redis, serializer=JSONSerializer)
    foreign.enqueue("os.system", f"touch {tmp_path}/ran", job_id=f"{job_id}_1")
    eventually(lambda: not keys(redis, "rq:job:*"), "it is refused")
    assert shared_service.row(job_id).state == State.QUEUED
    shared_service.driver.alter(job_id, due_at_ms=1)
    assert shared_service.ended(job_id).result == b"5"
    assert not (tmp_path / "ran").exists()


def test_no_result_of_a_task_is_ever_unpickled(shared_service: Service, tmp_path: Path) -> None:
    redis = shared_service.driver.redis
    evil = pickle.dumps(RunsAtLoading(f"touch {tmp_path}/ran"))
    redis.hset("rq:job:evil", mapping={"data": evil, "meta": evil, "result": evil})
    redis.rpush("rq:queue:default", "evil")
    assert shared_service.run("echo", value=1).state == State.SUCCEEDED
    assert list(tmp_path.iterdir()) == []


def test_ended_jobs_leave_nothing_in_redis(shared_service: Service) -> None:
    for task in ("echo", "fails", "is_killed", "never_ends", "returns_nan"):
        shared_service.run(task)
    job_id = shared_service.running("stops_when_asked", directory=str(shared_service.directory))
    shared_service.driver.cancel(job_id)
    shared_service.ended(job_id)
    redis = shared_service.driver.redis
    eventually(lambda: not keys(redis, "rq:job:*"), "no job is left")
    eventually(lambda: not keys(redis, "rq:execution*"), "no execution is left")
    # It leaves the register in the round trip after the commit that ended it.
    eventually(lambda: not redis.zcard("rq:wip:default"), "none is registered as started")
    for registry in ("finished", "failed", "scheduled", "deferred", "canceled"):
        assert redis.zcard(f"rq:{registry}:default") == 0
    assert not redis.exists("rq:queue:default:intermediate")
    assert not keys(redis, "rq:results:*")


def test_rq_tells_the_truth_about_the_queue_and_the_worker(
    shared_service: Service, gate: Path
) -> None:
    running = shared_service.running("waits_for_file", path=str(gate))
    waiting = [shared_service.submit("echo", value=number) for number in range(2)]
    redis = shared_service.driver.redis
    eventually(lambda: redis.zcard("rq:wip:default") == 1, "it is registered as started")
    info = rq_info(shared_service)
    assert "queue default 2, 1 executing, 0 finished, 0 failed" in info
    assert re.findall(r"^worker .* (\w+) default\. jobs", info, re.M) == ["busy"], info
    gate.touch()
    for job_id in (running, *waiting):
        shared_service.ended(job_id)
    eventually(lambda: " idle default" in rq_info(shared_service), "it is idle again")
    assert "queue default 0, 0 executing, 0 finished, 0 failed" in rq_info(shared_service)
