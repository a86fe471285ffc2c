"""Canceling on request."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text, update

from jobresults.jobs.model import job
from jobresults.jobs.outcome import queued_values
from jobresults.jobs.states import State, WaitingOn
from tests.integration.driver import Driver, on_postgresql
from tests.services.process import eventually


def test_a_queued_job_is_canceled_at_once(driver: Driver) -> None:
    job_id = driver.submit()
    assert driver.cancel(job_id) == State.CANCELED
    row = driver.row(job_id)
    assert (row.state, row.waiting_on, row.attempt) == (State.CANCELED, None, 0)
    assert row.ended_at_ms <= row.expires_at_ms
    assert driver.try_claim(job_id, 1) is None, "its dispatch is void"
    assert driver.events(job_id) == ["submitted", "canceled"]


@pytest.mark.parametrize("delay_seconds", [None, 3_600])
def test_a_job_that_waits_for_its_time_is_canceled_at_once(
    driver: Driver, delay_seconds: float | None
) -> None:
    job_id = driver.submit(delay_seconds=delay_seconds)
    if delay_seconds is None:
        driver.fail(driver.claim(job_id))
        assert driver.row(job_id).waiting_on == WaitingOn.RETRY
    assert driver.cancel(job_id) == State.CANCELED


def test_a_running_job_is_asked_to_stop(driver: Driver) -> None:
    claimed = driver.start()
    assert driver.cancel(claimed.id) == State.RUNNING
    row = driver.row(claimed.id)
    assert row.state == State.RUNNING
    assert row.cancel_requested_at_ms is not None
    assert driver.events(claimed.id) == ["submitted", "started", "cancel_requested"]


def test_asking_again_changes_nothing(driver: Driver) -> None:
    claimed = driver.start()
    driver.cancel(claimed.id)
    row = driver.row(claimed.id)
    assert driver.cancel(claimed.id) == State.RUNNING
    driver.succeed(claimed)
    assert driver.cancel(claimed.id) == State.CANCELED
    assert driver.row(claimed.id).cancel_requested_at_ms == row.cancel_requested_at_ms
    assert driver.events(claimed.id).count("cancel_requested") == 1


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED])
def test_a_job_that_has_ended_stays_as_it_is(driver: Driver, state: State) -> None:
    job_id = driver.end(state)
    row = driver.row(job_id)
    assert driver.cancel(job_id) == state
    assert driver.row(job_id) == row


@on_postgresql  # SQLite has one writer at a time
def test_a_job_that_goes_back_to_the_queue_meanwhile_is_canceled(driver: Driver) -> None:
    claimed = driver.start()
    answers: list[State] = []
    with driver.database.write() as connection:
        retried = update(job).where(job.c.id == claimed.id).values(**queued_values())
        connection.execute(retried)
        thread = threading.Thread(target=lambda: answers.append(driver.cancel(claimed.id)))
        thread.start()
        eventually(lambda: waits_for_a_lock(driver), "it waits for the row")
    thread.join()
    assert answers == [State.CANCELED]
    assert driver.row(claimed.id).state == State.CANCELED


def waits_for_a_lock(driver: Driver) -> bool:
    query = (
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database OR database IS NULL"
    )
    with driver.database.read() as connection:
        blocked = connection.execute(
            text(f"{query} WHERE NOT granted AND d.datname = current_database()")
        )
        return bool(blocked.scalar_one())
