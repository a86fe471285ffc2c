"""A job's failure is one event at Sentry, whichever way it failed, and stands in the ledger."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row

from jobresults.jobs.states import State
from tests.integration.worker.service import Service, running_service
from tests.services.ledger import SQLITE
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.scripted_http import Answer
from tests.services.sentry_server import SentryServer

pytestmark = pytest.mark.parametrize("database_url", [SQLITE], indirect=True)


@pytest.fixture(scope="module")
def sentry() -> Iterator[SentryServer]:
    with SentryServer() as server:
        yield server


@pytest.fixture(scope="module")
def watched(
    database_url: str,
    sentry: SentryServer,
    start_redis: Callable[[], RedisServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """A worker whose failures go to Sentry."""
    directory = tmp_path_factory.mktemp("watched")
    with running_service(database_url, start_redis(), directory) as service:
        service.start("worker", {"SENTRY__DSN": sentry.dsn})
        service.start("maintenance", {"SENTRY__DSN": sentry.dsn})
        yield service


def events_of(watched: Service, sentry: SentryServer, *jobs: Row[Any]) -> list[dict[str, Any]]:
    """The one event of each of these jobs. Another job fails after them, so that a second event of
    one of them would be there by now.
    """
    last = watched.run("fails_for_good")
    ids = [row.sentry_event_id for row in (*jobs, last)]

    def arrived() -> bool:
        return {event["event_id"] for event in sentry.events} >= set(ids)

    eventually(arrived, "the events have come")
    wanted = {str(row.id) for row in jobs}
    found = [event for event in sentry.events if event.get("tags", {}).get("job_id") in wanted]
    assert [event["event_id"] for event in found] == ids[:-1]
    return found


def test_a_failure_that_was_logged_and_raised_is_one_event_of_the_last_attempt(
    watched: Service, sentry: SentryServer
) -> None:
    row = watched.run("logs_and_raises", secret="canarySecret")
    (event,) = events_of(watched, sentry, row)
    assert event["tags"] == {
        "job_id": str(row.id),
        "task": "logs_and_raises",
        "client": row.client,
        "attempt": "2",
    } | ({"customer": row.customer} if row.customer else {})
    (exception,) = event["exception"]["values"]
    assert exception["type"] == "ValueError"
    assert exception["value"].startswith("cannot reach postgresql://[hidden]@db/ledger")
    frames = exception["stacktrace"]["frames"]
    assert frames[-1]["function"] == "logs_and_raises"
    assert not any("vars" in frame for frame in frames)
    assert event["environment"] == "development"
    assert "canarySecret" not in json.dumps(sentry.events)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("is_killed", "is_killed: The executor was killed by SIGKILL (often: out of memory)"),
        ("swallows_its_timeout", "swallows_its_timeout: The attempt was stopped after 0.3 s."),
    ],
)
def test_a_killed_executor_is_one_event_which_its_supervisor_makes(
    watched: Service, sentry: SentryServer, task: str, said: str
) -> None:
    (event,) = events_of(watched, sentry, watched.run(task))
    assert event["message"].startswith(said)
    assert event["level"] == "error"


def test_each_way_to_fail_is_one_event(watched: Service, sentry: SentryServer) -> None:
    tasks = ("fails", "never_ends", "returns_an_object", "is_incoherent", "exits")
    rows = [watched.run(task, **({"how": "os"} if task == "exits" else {})) for task in tasks]
    assert all(row.state == State.FAILED for row in rows)
    assert len(events_of(watched, sentry, *rows)) == len(tasks)


def test_what_is_canceled_or_succeeds_is_none(watched: Service, sentry: SentryServer) -> None:
    done = watched.run("echo", value=1)
    again = watched.run("succeeds_at_attempt", attempt=2)
    job_id = watched.running("waits_for_file", path="/nowhere")
    watched.driver.cancel(job_id)
    canceled = watched.ended(job_id)
    assert canceled.state == State.CANCELED
    assert events_of(watched, sentry) == []
    wanted = {str(row.id) for row in (done, again, canceled)}
    assert not [event for event in sentry.events if event.get("tags", {}).get("job_id") in wanted]
    assert (done.sentry_event_id, again.sentry_event_id, canceled.sentry_event_id) == (None,) * 3


def test_what_a_task_captures_itself_goes_by_its_supervisor(
    watched: Service, sentry: SentryServer
) -> None:
    threads = json.loads(watched.run("captures_by_itself").result)
    assert threads == ["MainThread"]  # none that sends
    events_of(watched, sentry)
    own = [event for event in sentry.events if event.get("message") == "of the task's own"]
    assert len(own) == 1


def test_a_job_whose_worker_is_lost_is_one_event(
    watched: Service, sentry: SentryServer, tmp_path: Path
) -> None:
    worker = watched.processes[0]
    job_id = watched.running("waits_for_file", path=str(tmp_path / "gate"))
    worker.send(signal.SIGKILL)
    row = watched.ended(job_id)
    watched.start("worker", {"SENTRY__DSN": sentry.dsn})
    (event,) = events_of(watched, sentry, row)
    assert event["message"].startswith("The worker running the job disappeared")


def test_a_sentry_that_hangs_delays_neither_a_job_nor_the_worker_s_end(
    database_url: str, sentry: SentryServer, service: Service
) -> None:
    sentry.script.extend([Answer(how="hang")] * 50)
    worker = service.start("worker", {"SENTRY__DSN": sentry.dsn, "SENTRY__FLUSH_SECONDS": "0.2"})
    for _ in range(3):
        assert service.run("fails_for_good").state == State.FAILED
    assert service.run("echo", value=1).state == State.SUCCEEDED
    assert worker.stop() == 0
