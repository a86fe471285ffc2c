"""Who commits what becomes of a job counts it, once: real workers, real deaths."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jobresults.jobs import cancellation
from jobresults.jobs.outcome import Ending
from jobresults.jobs.running import Claimed
from jobresults.jobs.states import State
from jobresults.settings import JobsSettings, Settings
from jobresults.telemetry import metrics
from jobresults.worker.attempts import Attempt, Words
from jobresults.worker.settlement import Settlement
from jobresults.worker.tally import Tally
from tests.integration.driver import CATALOG, Driver, on_sqlite
from tests.integration.hands import Hands
from tests.integration.metrics.conftest import Metered
from tests.integration.worker.odd_tasks import announced
from tests.services.process import eventually
from tests.services.scraping import Scrape, collected

pytestmark = on_sqlite
DEFAULT = "default"


def has_ended(before: Scrape, count: int) -> Callable[[Scrape], bool]:
    """So many jobs more than before."""
    return lambda after: sum(after.rise(before, "jobresults_jobs_ended_total").values()) == count


def test_each_way_to_end_is_counted_once(shared: Metered, tmp_path: Path) -> None:
    before, service = shared.scrape("worker"), shared.service
    service.run("echo", value=1)
    service.run("fails")
    service.run("never_ends")
    service.run("is_killed")
    canceled = service.running("stops_when_asked", directory=str(tmp_path))
    cancellation.cancel(service.database, canceled)
    service.ended(canceled)
    after = shared.eventually("worker", has_ended(before, 5), "five jobs are counted")
    assert after.rise(before, "jobresults_jobs_ended_total") == {
        ("succeeded", DEFAULT, "echo"): 1,
        ("failed", DEFAULT, "fails"): 1,
        ("timeout", DEFAULT, "never_ends"): 1,
        ("killed", DEFAULT, "is_killed"): 1,
        ("canceled", DEFAULT, "stops_when_asked"): 1,
    }
    assert after.rise(before, "jobresults_job_attempts_retried_total") == {
        ("failed", "fails"): 1,
        ("killed", "is_killed"): 1,
    }
    runs = after.rise(before, "jobresults_job_run_seconds_count")
    assert runs == {
        ("echo",): 1,
        ("fails",): 2,
        ("never_ends",): 1,
        ("is_killed",): 2,
        ("stops_when_asked",): 1,
    }
    assert after.rise(before, "jobresults_job_wait_seconds_count") == {(DEFAULT,): 7}
    assert after.rise(before, "jobresults_job_starts_late_total") == {}
    turnarounds = after.rise(before, "jobresults_job_turnaround_seconds_count")
    assert turnarounds == {
        (DEFAULT, "echo"): 1,
        (DEFAULT, "fails"): 1,
        (DEFAULT, "never_ends"): 1,
        (DEFAULT, "is_killed"): 1,
    }
    tried_twice = after.rise(before, "jobresults_job_turnaround_seconds_sum")[DEFAULT, "fails"]
    assert tried_twice > after.rise(before, "jobresults_job_run_seconds_sum")["fails",]
    assert after.rise(before, "jobresults_job_run_seconds_sum")["never_ends",] >= 0.3


def test_an_executor_that_somebody_kills_is_counted(shared: Metered, tmp_path: Path) -> None:
    before, service = shared.scrape("worker"), shared.service
    job_id = service.runs_until_told(tmp_path)
    for attempt in (1, 2, 3):
        eventually(lambda: len(announced(tmp_path)) == attempt, "it runs")  # noqa: B023
        (pid,) = {*announced(tmp_path)} & {*psutil.pids()}
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(pid), "it is dead")  # noqa: B023
    service.ended(job_id)
    after = shared.eventually("worker", has_ended(before, 1), "it is counted")
    labels = ("killed", DEFAULT, "runs_until_told")
    assert after.rise(before, "jobresults_jobs_ended_total") == {labels: 1}
    assert after.rise(before, "jobresults_job_attempts_retried_total") == {
        ("killed", "runs_until_told"): 2
    }


def test_a_thousand_jobs_are_a_thousand(shared: Metered) -> None:
    before, service = shared.scrape("worker"), shared.service
    for number in range(1_000):
        service.submit("echo", value=number)
    after = shared.eventually("worker", has_ended(before, 1_000), "all are counted")
    assert after.rise(before, "jobresults_jobs_ended_total") == {
        ("succeeded", DEFAULT, "echo"): 1_000
    }
    assert after.rise(before, "jobresults_job_wait_seconds_count") == {(DEFAULT,): 1_000}
    assert after.rise(before, "jobresults_job_run_seconds_count") == {("echo",): 1_000}
    assert after.rise(before, "jobresults_result_bytes_count") == {(): 1_000}
    digits = sum(len(str(number)) for number in range(1_000))
    assert after.rise(before, "jobresults_result_bytes_sum") == {(): digits}
    assert after.rise(before, "jobresults_ledger_fenced_writes_total") == {}


@pytest.mark.parametrize("task", ["runs_until_told", "isolated_until_told"])
def test_executors_inherit_no_port(shared: Metered, tmp_path: Path, task: str) -> None:
    service = shared.service
    job_id = service.running(task, directory=str(tmp_path))
    (pid,) = eventually(lambda: announced(tmp_path), "it runs")
    family = [psutil.Process(pid), *psutil.Process(pid).parents()]
    worker = shared.processes["worker"].pid
    executors = family[: [process.pid for process in family].index(worker)]
    listening = [
        place.laddr.port
        for process in executors
        for place in process.net_connections("tcp")
        if place.status == psutil.CONN_LISTEN
    ]
    assert executors
    assert listening == []
    (tmp_path / "go").touch()
    service.ended(job_id)


def test_what_a_dead_worker_leaves_is_counted_by_maintenance(metered: Metered, gate: Path) -> None:
    metered.start("worker")
    metered.start("maintenance")
    before, service = metered.scrape("maintenance"), metered.service
    last = service.running("waits_for_file", path=str(gate))
    metered.processes["worker"].send(signal.SIGKILL)
    service.ended(last)
    lost = ("worker_lost", DEFAULT, "waits_for_file")
    after = metered.eventually("maintenance", has_ended(before, 1), "it is counted")
    assert after.rise(before, "jobresults_jobs_ended_total") == {lost: 1}
    assert after.rise(before, "jobresults_job_attempts_retried_total") == {}

    metered.start("worker")
    first = service.running("leaves_a_mark", path=str(gate.parent / "marks"), gate=str(gate))
    metered.processes["worker"].send(signal.SIGKILL)
    service.reached(first, State.QUEUED)
    retried = {("worker_lost", "leaves_a_mark"): 1}
    metered.eventually(
        "maintenance",
        lambda now: now.rise(before, "jobresults_job_attempts_retried_total") == retried,
        "the retry is counted",
    )


@pytest.mark.parametrize("asked_to_cancel", [False, True])
def test_a_word_after_the_verdict_is_fenced_and_not_counted_again(
    driver: Driver, asked_to_cancel: bool
) -> None:
    claimed = driver.start("is_incoherent")  # it has one attempt
    if asked_to_cancel:
        driver.cancel(claimed.id)
    counted = collected(metrics.JOBS_ENDED, metrics.LEDGER_FENCED_WRITES)
    verdict = "canceled" if asked_to_cancel else "worker_lost"
    driver.lose_worker(claimed.id)
    settle(driver, Tally(CATALOG, JobsSettings()), claimed)
    after = collected(metrics.JOBS_ENDED, metrics.LEDGER_FENCED_WRITES)
    labels = {"task": "is_incoherent", "queue": DEFAULT, "outcome": verdict}
    assert after.get("jobresults_jobs_ended_total", **labels) == 1 + (
        counted.get("jobresults_jobs_ended_total", **labels) or 0
    )
    assert sum(after.all("jobresults_jobs_ended_total").values()) == 1 + sum(
        counted.all("jobresults_jobs_ended_total").values()
    )
    fenced = "jobresults_ledger_fenced_writes_total"
    before = counted.get(fenced, reason="outcome") or 0
    assert after.get(fenced, reason="outcome") == 1 + before


def test_a_job_is_late_by_what_is_aimed_at_for_its_queue(driver: Driver) -> None:
    aims = JobsSettings(start_within_seconds=30, queue_start_within_seconds={"unserved": 900})
    tally, claimed = Tally(CATALOG, aims), driver.start()
    before = collected(metrics.JOB_STARTS_LATE)
    for queue in (DEFAULT, "unserved"):
        for waited_seconds in (29, 31, 899, 901):
            due_at_ms = claimed.started_at_ms - waited_seconds * 1000
            tally.begun([claimed._replace(queue=queue, due_at_ms=due_at_ms)])
    after = collected(metrics.JOB_STARTS_LATE)
    assert after.rise(before, "jobresults_job_starts_late_total") == {
        (DEFAULT,): 3,
        ("unserved",): 1,
    }


def settle(driver: Driver, tally: Tally, claimed: Claimed) -> None:
    """A worker records that the job has succeeded."""
    hands = Hands(driver)
    settlement = Settlement(driver.database, Settings(), "w", hands.admission)
    ended = [Attempt(claimed, ran_seconds=0.1, ending=Ending(result=b"1"))]
    settled = settlement.write(ended=ended, words=Words(), unstarted=[], taken=[])
    tally.settled(ended, settled)


def test_copies_of_a_dispatch_are_fenced(driver: Driver) -> None:
    driver.submit()
    hands, tally = Hands(driver), Tally(CATALOG, JobsSettings())
    taken = hands.pop()
    before = collected(metrics.LEDGER_FENCED_WRITES)
    for _ in range(3):
        tally.settled([], hands.settle(taken))
    after = collected(metrics.LEDGER_FENCED_WRITES)
    assert after.rise(before, "jobresults_ledger_fenced_writes_total") == {("claim",): 2}
