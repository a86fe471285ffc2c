"""What is to be sent is written with a job's end, whichever way it ends, and only then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import event

from jobresults.jobs import expiry, lost_workers
from jobresults.jobs.outcome import Ending
from jobresults.jobs.states import State
from jobresults.webhooks import subscriptions
from tests.integration.driver import BOOM, FATAL, Driver
from tests.integration.webhooks.conftest import URL, callbacks, subscribe


def cancel_queued(driver: Driver) -> str:
    job_id = driver.submit(callback_url=URL)
    driver.cancel(job_id)
    return job_id


def lose_in_last_attempt(driver: Driver) -> str:
    job_id = driver.start(callback_url=URL, max_attempts=1).id
    driver.lose_worker(job_id)
    return job_id


def lose_while_canceling(driver: Driver) -> str:
    job_id = driver.start(callback_url=URL).id
    driver.cancel(job_id)
    driver.lose_worker(job_id)
    return job_id


def succeed_with_others(driver: Driver) -> str:
    jobs = [driver.start(), driver.start(callback_url=URL)]
    driver.record_all([(item, Ending(result=b"1")) for item in jobs])
    return jobs[1].id


WAYS: dict[str, tuple[str, Callable[[Driver], str]]] = {
    "success": ("job.succeeded", lambda d: d.end(State.SUCCEEDED, callback_url=URL)),
    "success with others": ("job.succeeded", succeed_with_others),
    "failure": ("job.failed", lambda d: d.end(State.FAILED, callback_url=URL)),
    "canceled while queued": ("job.canceled", cancel_queued),
    "canceled while running": ("job.canceled", lambda d: d.end(State.CANCELED, callback_url=URL)),
    "worker lost": ("job.failed", lose_in_last_attempt),
    "worker lost while canceling": ("job.canceled", lose_while_canceling),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_end_is_told_once(driver: Driver, way: str) -> None:
    """Red for each way if its `outbox.add` is taken out."""
    name, end = WAYS[way]
    job_id = end(driver)
    (row,) = callbacks(driver)
    ended_at_ms = driver.row(job_id).ended_at_ms
    assert (row.job_id, row.event, row.url, row.client) == (job_id, name, URL, "me")
    assert (row.state, row.attempts, row.subscription_id) == ("pending", 0, None)
    assert row.due_at_ms == row.created_at_ms == ended_at_ms
    assert row.target == "me https://example.com"


def test_what_goes_on_is_not_told(driver: Driver) -> None:
    claimed = driver.start(callback_url=URL)
    driver.fail(claimed, BOOM)
    again = driver.claim(claimed.id)
    driver.requeue(again)
    driver.lose_worker(driver.claim(claimed.id).id)
    driver.claim(claimed.id)
    driver.cancel(claimed.id)
    assert callbacks(driver) == []


def test_an_end_written_again_is_told_once(driver: Driver) -> None:
    for ending in (Ending(result=b"1"), Ending(error=FATAL)):
        claimed = driver.start(callback_url=URL)
        driver.record(claimed, ending)
        driver.record(claimed, ending)
        driver.cancel(claimed.id)
        assert len(callbacks(driver, claimed.id)) == 1


def test_it_is_written_with_the_end_or_not_at_all(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red if the outbox is written in a transaction of its own."""
    claimed = driver.start(callback_url=URL)
    with pytest.raises(ZeroDivisionError), driver.database.write() as connection:
        from jobresults.jobs import outcome

        now_ms = driver.database.read_clock_ms(connection)
        endings = [(claimed, Ending(result=b"1"))]
        outcome.record(driver.database, connection, driver.settings, endings, now_ms)
        raise ZeroDivisionError
    assert callbacks(driver) == []
    assert driver.row(claimed.id).state == State.RUNNING


def test_a_job_that_nobody_waits_for_costs_no_statement(driver: Driver) -> None:
    """Red if `calls_back` is not asked."""
    subscribe(driver, client="another")
    claimed = [driver.start() for _ in range(3)]
    assert not any(item.calls_back for item in claimed)
    statements: list[str] = []
    engine = driver.database._engine

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        driver.record_all([(item, Ending(result=b"1")) for item in claimed[:2]])
        driver.fail(claimed[2], FATAL)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert statements
    assert not [text for text in statements if "callback" in text]


def test_subscriptions_are_told_what_they_want_to_hear(driver: Driver) -> None:
    both, _ = subscribe(driver)
    failures, _ = subscribe(driver, "https://example.com/failures", ["job.failed"])
    subscribe(driver, "https://example.com/another", client="another")
    good, bad = driver.end(State.SUCCEEDED), driver.end(State.FAILED)
    assert [row.subscription_id for row in callbacks(driver, good)] == [both]
    assert {row.subscription_id for row in callbacks(driver, bad)} == {both, failures}
    own = driver.end(State.SUCCEEDED, callback_url=URL)
    assert {row.subscription_id for row in callbacks(driver, own)} == {None, both}


def test_a_disabled_or_deleted_subscription_is_told_nothing(driver: Driver) -> None:
    gone, _ = subscribe(driver)
    running = driver.start()
    assert running.calls_back
    subscriptions.unsubscribe(driver.database, gone, "me")
    driver.succeed(running)
    disabled, _ = subscribe(driver)
    with driver.database.write() as connection:
        subscriptions.disable(connection, disabled, "me https://example.com", 1)
    driver.end(State.SUCCEEDED)
    assert callbacks(driver) == []


def test_callbacks_are_forgotten_with_their_job(driver: Driver) -> None:
    job_id = driver.end(State.SUCCEEDED, callback_url=URL)
    driver.alter(job_id, expires_at_ms=1)
    expiry.forget_results(driver.database, 10)
    assert len(callbacks(driver)) == 1
    driver.alter(job_id, expired_at_ms=1)
    expiry.forget_jobs(driver.database, 1, 10)
    assert callbacks(driver) == []


def test_the_reconciler_tells_of_many_at_once(driver: Driver) -> None:
    subscribe(driver)
    ids = [driver.start(max_attempts=1).id for _ in range(4)]
    driver.cancel(ids[0])
    for job_id in ids:
        driver.alter(job_id, lease_until_ms=0)
    lost_workers.take_over_expired_leases(driver.database, 10)
    assert sorted(row.event for row in callbacks(driver)) == ["job.canceled", *["job.failed"] * 3]
