"""How attempts end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from jobresults.jobs import running
from jobresults.jobs.outcome import Ending
from jobresults.jobs.running import Claimed
from jobresults.jobs.states import TERMINAL, State, WaitingOn
from tests.integration.driver import BOOM, FATAL, Driver

OUTCOMES: dict[str, Callable[[Driver, Claimed], Any]] = {
    "succeed": lambda driver, claimed: driver.succeed(claimed, b'"late"'),
    "fail": lambda driver, claimed: driver.fail(claimed),
    "fail for good": lambda driver, claimed: driver.fail(claimed, FATAL),
    "requeue": lambda driver, claimed: driver.requeue(claimed),
}
each_outcome = pytest.mark.parametrize("write", OUTCOMES.values(), ids=OUTCOMES)
each_terminal_state = pytest.mark.parametrize(
    "state", [State.SUCCEEDED, State.FAILED, State.CANCELED]
)


def test_success_keeps_the_result_for_its_time(driver: Driver) -> None:
    claimed = driver.start("short_lived")
    assert driver.succeed(claimed, b'{"a":1}') == State.SUCCEEDED
    row = driver.row(claimed.id)
    assert (row.state, row.result, row.error) == (State.SUCCEEDED, b'{"a":1}', None)
    assert row.result_sha256 == hashlib.sha256(b'{"a":1}').hexdigest()
    assert row.expires_at_ms - row.ended_at_ms == pytest.approx(1_000, abs=50)
    assert row.lease_until_ms is None
    assert driver.events(claimed.id) == ["submitted", "started", "succeeded"]
    assert driver.detail(claimed.id) == {"result_bytes": 7}


def test_a_failed_attempt_is_tried_again_after_a_pause(driver: Driver) -> None:
    claimed = driver.start()
    assert driver.fail(claimed) == State.QUEUED
    row = driver.row(claimed.id)
    assert (row.state, row.waiting_on, row.attempt) == (State.QUEUED, WaitingOn.RETRY, 1)
    assert (row.epoch, row.dispatched_at_ms, row.worker) == (claimed.epoch + 1, None, None)
    pause_seconds = driver.detail(claimed.id)["in_seconds"]
    assert 30 <= pause_seconds <= 60
    assert row.due_at_ms - driver.now_ms() == pytest.approx(pause_seconds * 1_000, abs=2_000)
    assert driver.events(claimed.id) == ["submitted", "started", "retried"]
    assert driver.detail(claimed.id)["error"]["detail"] == "ValueError: boom"


def test_the_last_failed_attempt_fails_the_job(driver: Driver) -> None:
    job_id = driver.submit(max_attempts=2)
    assert driver.fail(driver.claim(job_id)) == State.QUEUED
    assert driver.fail(driver.claim(job_id)) == State.FAILED
    row = driver.row(job_id)
    assert (row.state, row.attempt, row.result) == (State.FAILED, 2, None)
    assert json.loads(row.error) == {
        "code": "task_error",
        "title": "Task failed",
        "detail": "ValueError: boom",
        "retryable": True,
        "type": "about:blank",
    }
    assert row.traceback == "Traceback"
    assert driver.events(job_id) == ["submitted", "started", "retried", "started", "failed"]


def test_what_no_retry_can_help_fails_the_job_at_once(driver: Driver) -> None:
    claimed = driver.start()
    assert driver.fail(claimed, FATAL) == State.FAILED
    assert driver.row(claimed.id).attempt == 1


def test_a_job_given_back_waits_for_a_worker_and_has_lost_no_attempt(driver: Driver) -> None:
    claimed = driver.start()
    assert driver.requeue(claimed) == State.QUEUED
    row = driver.row(claimed.id)
    assert (row.state, row.waiting_on, row.attempt) == (State.QUEUED, WaitingOn.WORKER, 0)
    assert (row.epoch, row.dispatched_at_ms) == (claimed.epoch + 1, None)
    assert row.due_at_ms <= driver.now_ms()
    assert driver.events(claimed.id) == ["submitted", "started", "requeued"]
    assert driver.detail(claimed.id) == {"reason": "shutdown"}


@each_outcome
def test_whatever_a_job_asked_to_cancel_comes_to_it_is_canceled(
    driver: Driver, write: Callable[[Driver, Claimed], Any]
) -> None:
    claimed = driver.start()
    driver.cancel(claimed.id)
    assert write(driver, claimed) == State.CANCELED
    row = driver.row(claimed.id)
    assert (row.state, row.result, json.loads(row.error)["code"]) == (
        State.CANCELED,
        None,
        "job_canceled",
    )
    assert driver.events(claimed.id)[2:] == ["cancel_requested", "canceled"]


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_result_may_be_kept_for_years(driver: Driver, state: State) -> None:
    claimed = driver.start()
    driver.alter(claimed.id, result_ttl_seconds=10 * 365 * 86_400)
    driver.end_as(state, claimed._replace(result_ttl_seconds=10 * 365 * 86_400))
    row = driver.row(claimed.id)
    assert row.expires_at_ms - row.ended_at_ms == 10 * 365 * 86_400_000


def test_many_outcomes_at_once_fare_as_if_alone(driver: Driver) -> None:
    jobs = [driver.start() for _ in range(6)]
    driver.cancel(jobs[1].id)
    driver.lose_worker(jobs[3].id)
    endings = [Ending(result=b"%d" % number) for number in range(6)]
    endings[4] = Ending(error=FATAL)
    recorded = driver.record_all(list(zip(jobs, endings, strict=True)))
    states = [item and item.state for item in recorded]
    assert states == ["succeeded", "canceled", "succeeded", None, "failed", "succeeded"]
    rows = [driver.row(item.id) for item in jobs]
    assert [row.state for row in rows] == [*states[:3], "queued", *states[4:]]
    assert [row.result for row in rows] == [b"0", None, b"2", None, None, b"5"]
    assert driver.record_all(list(zip(jobs, endings, strict=True))) == recorded, "written once"


def test_many_results_are_recorded_by_one_statement(driver: Driver) -> None:
    jobs = [driver.start() for _ in range(3)]
    recorded = driver.record_all([(item, Ending(result=b"1")) for item in jobs])
    assert [item and item.state for item in recorded] == [State.SUCCEEDED] * 3
    for item in jobs:
        row = driver.row(item.id)
        assert (row.state, row.result, row.lease_until_ms) == (State.SUCCEEDED, b"1", None)
        assert row.expires_at_ms - row.ended_at_ms == item.result_ttl_seconds * 1000
        assert driver.events(item.id) == ["submitted", "started", "succeeded"]


@each_outcome
@each_terminal_state
def test_an_end_is_final(
    driver: Driver, state: State, write: Callable[[Driver, Claimed], Any]
) -> None:
    job_id = driver.end(state)
    row, events = driver.row(job_id), driver.events(job_id)
    columns = [name for name in Claimed._fields if hasattr(row, name)]
    assert write(driver, Claimed(**{name: getattr(row, name) for name in columns})) == state
    driver.cancel(job_id)
    running.extend_leases(driver.database, [(job_id, row.epoch)], 15)
    assert driver.row(job_id) == row
    assert driver.events(job_id) == events


@pytest.mark.parametrize("error", [BOOM, FATAL], ids=["retried", "failed"])
def test_a_failure_written_again_after_its_answer_was_lost_is_written_once(
    driver: Driver, error: Any
) -> None:
    claimed = driver.start()
    driver.fail(claimed, error)
    row, events = driver.row(claimed.id), driver.events(claimed.id)
    again = driver.fail(claimed, error)
    assert again == (State.FAILED if error is FATAL else None)
    assert driver.row(claimed.id) == row
    assert driver.events(claimed.id) == events


def test_a_success_written_again_after_its_answer_was_lost_is_written_once(driver: Driver) -> None:
    claimed = driver.start()
    assert driver.succeed(claimed, b"1") == State.SUCCEEDED
    row = driver.row(claimed.id)
    assert driver.succeed(claimed, b"1") == State.SUCCEEDED
    assert driver.row(claimed.id) == row
    assert driver.events(claimed.id).count("succeeded") == 1


def test_a_job_given_back_twice_loses_one_claim(driver: Driver) -> None:
    claimed = driver.start()
    driver.requeue(claimed)
    assert driver.requeue(claimed) is None
    assert driver.row(claimed.id).attempt == 0
