"""What goes wrong with jobs is told as one problem each, once for each job that has failed."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from jobresults.alerts.groups import BatchWriter, GroupStore
from jobresults.alerts.relay import Relay
from jobresults.alerts.transport import RedisTransport
from jobresults.database import Database
from jobresults.jobs.outcome import Ending
from jobresults.jobs.states import State
from jobresults.settings import AlertsSettings, RedisSettings, Settings
from jobresults.worker import verdicts
from jobresults.worker.attempts import Attempt
from tests.integration.alerts.captured import FILE_VARIABLE, captured
from tests.integration.driver import BOOM, Driver, on_sqlite
from tests.integration.worker.odd_tasks import announced
from tests.integration.worker.service import MODULES, Service, go, running_service, says
from tests.services.process import Process, eventually
from tests.services.redis_server import RedisServer
from tests.support.recording_sink import RecordingSink

pytestmark = on_sqlite

SETTINGS = {"TASKS__MODULES": json.dumps([*MODULES, "tests.integration.alerts.captured"])}


@dataclass
class Watched:
    """A service, and the alerts of its processes."""

    service: Service
    file: Path

    def start(self, command: str, **settings: str) -> Process:
        return self.service.start(command, SETTINGS | settings)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Without what maintenance sees of workers that start."""
        found = captured(self.file)
        return [item for item in found if not str(item["alert_key"]).startswith("condition:")]

    def told(self, count: int) -> list[str]:
        """The keys, once there are so many: the ledger knows before the log does."""
        eventually(lambda: len(self.keys) >= count, f"{count} alerts are told")
        return self.keys

    @property
    def keys(self) -> list[str]:
        return [alert["alert_key"] for alert in self.alerts]


@pytest.fixture
def watched(
    database_url: str,
    database: Database,
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Watched]:
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "alerts"))
    with running_service(database_url, redis_server, tmp_path) as service:
        yield Watched(service, tmp_path / "alerts")


def test_a_job_that_fails_for_good_is_told_once(watched: Watched) -> None:
    watched.start("worker")
    watched.start("maintenance")
    service = watched.service
    job_id = service.driver.submit("fails", {"message": "boom 7"}, customer="ann")
    assert service.ended(job_id).attempt == 2
    service.run("fails", message="other words")
    service.run("fails_for_good")
    service.run("succeeds_at_attempt", attempt=2)
    assert watched.told(3) == [
        "job_failed:fails:ValueError in fails",
        "job_failed:fails:ValueError in fails",
        "job_failed:fails_for_good:PermanentError in fails_for_good",
    ]
    assert watched.alerts[0] == {
        "level": "ERROR",
        "message": f"job {job_id} (fails) failed for good: ValueError: boom 7",
        "alert_key": "job_failed:fails:ValueError in fails",
        "alert_title": "fails: ValueError",
        "job_id": job_id,
        "task": "fails",
        "queue": "default",
        "customer": "ann",
        "client": "me",
        "attempt": 2,
    }


def test_a_killed_executor_is_one_problem_with_the_failure_it_brings(watched: Watched) -> None:
    watched.start("worker")
    watched.start("maintenance")
    row = watched.service.run("is_killed")
    assert row.attempt == 2
    assert watched.told(2) == ["executor_killed:is_killed"] * 2
    assert "is queued again" in watched.alerts[0]["message"]
    assert "failed for good" in watched.alerts[1]["message"]


def test_a_killed_executor_is_one_message(watched: Watched) -> None:
    watched.start("worker")
    watched.start("maintenance")
    redis = RedisSettings(url=SecretStr(watched.service.redis.url))
    settings = Settings(redis=redis, alerts=AlertsSettings(group_wait_seconds=0.1))
    sink = RecordingSink("slack")
    relay = Relay(settings, RedisTransport(settings), sinks=[sink])
    relay.start()
    try:
        row = watched.service.run("is_killed")
        watched.told(2)
        store = GroupStore(watched.service.driver.redis)
        fingerprint = BatchWriter(settings).fingerprint("executor_killed:is_killed")
        eventually(lambda: [it.group.count for it in store.read([fingerprint])] == [2], "counted")
        eventually(lambda: sink.sent, "it is told")
    finally:
        relay.stop()
    (message,) = sink.sent
    group = message.entries[0].group
    assert (group.fingerprint, group.severity) == (fingerprint, "error")
    assert (group.sample.job_id, group.sample.task) == (row.id, "is_killed")


def test_the_frames_of_a_failed_job_come_along(watched: Watched) -> None:
    watched.start("worker")
    watched.service.run("fails_for_good")
    key = "job_failed:fails_for_good:PermanentError in fails_for_good"
    redis = watched.service.driver.redis
    fingerprint = BatchWriter(Settings()).fingerprint(key)
    (found,) = eventually(lambda: GroupStore(redis).read([fingerprint]), "it is counted")
    assert 'raise PermanentError("the account is closed")' in found.group.sample.frames


def test_an_outcome_after_the_reconcilers_verdict_is_no_second_failure(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    claimed = driver.start("waits_for_file", params={"path": "x"})
    driver.lose_worker(claimed.id)
    ending = Ending(error=BOOM)
    (recorded,) = driver.record_all([(claimed, ending)])
    verdicts.tell(Attempt(claimed, ending=ending), recorded)
    assert [vars(record)["alert_key"] for record in caplog.records] == ["worker_lost:default"] * 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


def test_an_executor_that_is_stopped_is_told(watched: Watched, tmp_path: Path) -> None:
    watched.start("worker")
    job_id = watched.service.running("hangs", directory=str(tmp_path))
    eventually(lambda: announced(tmp_path), "its executor is known")
    os.kill(announced(tmp_path)[0], signal.SIGSTOP)
    watched.service.ended(job_id)
    assert set(watched.told(2)) == {"job_failed:hangs:timeout"}
    assert [alert["level"] for alert in watched.alerts] == ["WARNING", "ERROR"]


def test_a_worker_that_is_lost_is_one_problem_with_all_its_jobs(
    watched: Watched, gate: Path
) -> None:
    service = watched.service
    worker = watched.start("worker")
    watched.start("maintenance")
    job_id = service.running("waits_for_file", path=str(gate))
    worker.send(signal.SIGKILL)
    assert service.ended(job_id).state == State.FAILED
    assert watched.told(1) == ["worker_lost:default"]
    (alert,) = watched.alerts
    assert alert["level"] == "ERROR"
    assert (alert["job_id"], alert["task"], alert["client"]) == (job_id, "waits_for_file", "me")


def test_an_outcome_that_comes_too_late_counts_as_a_lost_worker(
    watched: Watched, tmp_path: Path
) -> None:
    service = watched.service
    zombie = watched.start("worker")
    watched.start("maintenance")
    job_id = service.runs_until_told(tmp_path)
    psutil.Process(zombie.pid).suspend()
    watched.start("worker")
    eventually(lambda: len(announced(tmp_path)) == 2, "another worker runs it")
    go(tmp_path)
    assert service.ended(job_id).state == State.SUCCEEDED
    psutil.Process(zombie.pid).resume()
    says(zombie, "went to another worker")
    assert set(watched.told(2)) == {"worker_lost:default"}
    assert [alert["level"] for alert in watched.alerts] == ["ERROR", "WARNING"]
    assert zombie.stop() == 0


def test_a_task_that_no_worker_knows_is_told(watched: Watched) -> None:
    job_id = watched.service.submit("echo")
    modules = ["tests.integration.worker.odd_tasks", "tests.integration.alerts.captured"]
    watched.start("worker", TASKS__MODULES=json.dumps(modules))
    assert watched.told(1) == ["unknown_task:echo"]
    assert (watched.alerts[0]["job_id"], watched.alerts[0]["task"]) == (job_id, "echo")


def test_dispatches_that_redis_lost_are_told(watched: Watched) -> None:
    service = watched.service
    ids = [service.submit("echo", value=number) for number in range(3)]
    service.driver.redis.flushall()
    for job_id in ids:
        service.driver.alter(job_id, dispatched_at_ms=1)
    watched.start("maintenance")
    eventually(lambda: len(service.driver.waiting()) == 3, "they are dispatched again")
    assert watched.told(1) == ["dispatch_lost"]
    assert watched.alerts[0]["level"] == "WARNING"
