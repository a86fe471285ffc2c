"""Forgetting on time."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from jobresults.database import metadata
from jobresults.jobs import expiry, reading
from jobresults.jobs.model import idempotency_key
from jobresults.jobs.running import LogLine
from jobresults.jobs.states import TERMINAL, State
from tests.integration.driver import Driver


def count(driver: Driver, table: str) -> int:
    query = select(func.count()).select_from(metadata.tables[table])
    with driver.database.read() as connection:
        return int(connection.execute(query).scalar_one())


def ended_long_ago(driver: Driver, state: State = State.SUCCEEDED) -> str:
    claimed = driver.start(tags=("a",))
    driver.log((claimed, LogLine(1, "INFO", "task", "line")))
    driver.end_as(state, claimed)
    driver.alter(claimed.id, expires_at_ms=1)
    return claimed.id


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_result_is_forgotten_when_its_time_is_over(driver: Driver, state: State) -> None:
    job_id = ended_long_ago(driver, state)
    assert expiry.forget_results(driver.database, 10) == 1
    row = driver.row(job_id)
    assert (row.params, row.result, row.error, row.traceback) == (b"null", None, None, None)
    assert row.state == state
    assert row.expired_at_ms is not None
    assert reading.logs(driver.database, job_id, after=0, limit=9) == []
    assert driver.events(job_id)[-1] == "expired"


def test_what_is_still_kept_stays(driver: Driver) -> None:
    ids = [driver.end(State.SUCCEEDED), driver.submit(), driver.start().id]
    before = driver.rows()
    assert expiry.forget_results(driver.database, 10) == 0
    assert driver.rows() == before
    assert {row.id for row in before} == set(ids)


def test_a_result_is_forgotten_once(driver: Driver) -> None:
    job_id = ended_long_ago(driver)
    expiry.forget_results(driver.database, 10)
    assert expiry.forget_results(driver.database, 10) == 0
    assert driver.events(job_id).count("expired") == 1


def test_results_are_forgotten_batch_by_batch(driver: Driver) -> None:
    for _ in range(5):
        ended_long_ago(driver)
    assert [expiry.forget_results(driver.database, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_what_is_left_is_deleted_with_all_its_parts(driver: Driver) -> None:
    job_id = ended_long_ago(driver)
    kept = driver.end(State.SUCCEEDED, tags=("b",))
    driver.accept(idempotency_key="k", fingerprint="f")
    expiry.forget_results(driver.database, 10)
    assert expiry.forget_jobs(driver.database, 60, 10) == 0
    driver.alter(job_id, expired_at_ms=driver.now_ms() - 61_000)
    assert expiry.forget_jobs(driver.database, 60, 10) == 1
    assert job_id not in {row.id for row in driver.rows()}
    assert driver.events(job_id) == []
    assert driver.events(kept) == ["submitted", "started", "succeeded"]
    assert (count(driver, "job_tag"), count(driver, "idempotency_key")) == (1, 1)


def test_a_key_goes_with_its_job(driver: Driver) -> None:
    accepted = driver.accept(idempotency_key="k", fingerprint="f")
    driver.succeed(driver.claim(accepted.job_id))
    driver.alter(accepted.job_id, expires_at_ms=1)
    expiry.forget_results(driver.database, 10)
    expiry.forget_jobs(driver.database, 0, 10)
    assert driver.rows() == []
    assert count(driver, "idempotency_key") == 0


def test_spent_keys_are_deleted_batch_by_batch(driver: Driver) -> None:
    for number in range(3):
        driver.accept(idempotency_key=f"k{number}", fingerprint="f")
    with driver.database.write() as connection:
        connection.execute(update(idempotency_key).values(expires_at_ms=1))
    driver.accept(idempotency_key="fresh", fingerprint="f")
    batches = [expiry.forget_idempotency_keys(driver.database, 2) for _ in range(3)]
    assert batches == [2, 1, 0]
    assert count(driver, "idempotency_key") == 1
    assert driver.accept(idempotency_key="fresh", fingerprint="f").replayed
