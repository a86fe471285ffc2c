"""Callbacks are taken by one sender at a time, tried again on a schedule, and end."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import insert

from jobresults.jobs import reading
from jobresults.jobs.model import callback
from jobresults.jobs.states import State
from jobresults.settings import CallbacksSettings
from jobresults.webhooks import claims, delivery_log, subscriptions
from jobresults.webhooks.claims import Claim, Sent
from tests.integration.driver import Driver, on_sqlite
from tests.integration.webhooks.conftest import URL, alter, callbacks, subscribe

SETTINGS = CallbacksSettings()
TARGET = "me https://example.com"
FAILED = Sent(1, 1, 500, "HTTP status 500")


def take(driver: Driver, count: int = 1, target: str = TARGET) -> list[Claim]:
    return claims.claim(driver.database, {target: count}, 30)


def record(driver: Driver, claim: Claim, sent: Sent) -> str | None:
    (state,) = claims.record(driver.database, SETTINGS, [(claim, sent)])
    return state


def due(driver: Driver, id_: str, **columns: Any) -> Claim:
    """Take it as if its time had come."""
    alter(driver, id_, due_at_ms=0, **columns)
    (claim,) = take(driver)
    return claim


def test_targets_are_found_who_waited_longest_first(driver: Driver) -> None:
    for host in ("b", "c", "a", "b"):
        driver.end(State.SUCCEEDED, callback_url=f"https://{host}.example/x")
    assert claims.due_targets(driver.database) == [f"me https://{host}.example" for host in "bca"]
    for row in callbacks(driver):
        if row.url == "https://c.example/x":
            alter(driver, row.id, due_at_ms=driver.now_ms() + 60_000)
        elif row.url == "https://a.example/x":
            alter(driver, row.id, state="delivered", ended_at_ms=1)
    assert claims.due_targets(driver.database) == ["me https://b.example"]


@on_sqlite
def test_a_long_backlog_of_one_target_costs_others_nothing(driver: Driver) -> None:
    job_id = driver.end(State.SUCCEEDED, callback_url="https://z.example/")
    (row,) = callbacks(driver)
    backlog = [
        {**row._mapping, "id": f"00000000-0000-7000-8000-{number:012d}", "target": "a x"}
        for number in range(5_000)
    ]
    with driver.database.write() as connection:
        connection.execute(insert(callback), backlog)
    query = claims._due_targets(driver.database)
    with driver.database.read() as connection:
        compiled = query.compile(connection.engine, compile_kwargs={"literal_binds": True})
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
    looks = [row.detail for row in plan if "callback" in row.detail]
    assert looks
    assert all("SEARCH callback USING INDEX ix_callback_pending" in text for text in looks)
    assert claims.due_targets(driver.database) == ["a x", "me https://z.example"]
    assert [claim.job_id for claim in take(driver, 5, "me https://z.example")] == [job_id]


def test_who_takes_a_callback_has_it_alone_until_the_lease_is_over(driver: Driver) -> None:
    driver.end(State.SUCCEEDED, callback_url=URL)
    (first,) = take(driver, 5)
    assert (first.attempts, first.url) == (1, URL)
    assert take(driver, 5) == []
    second = due(driver, first.id)  # the first sender died, or seemed to
    assert (second.id, second.attempts) == (first.id, 2)
    assert record(driver, first, Sent(1, 1, 200)) is None
    assert record(driver, second, Sent(1, 1, 200)) == "delivered"
    assert record(driver, second, FAILED) is None


def test_many_senders_take_each_callback_once(driver: Driver) -> None:
    for _ in range(20):
        driver.end(State.SUCCEEDED, callback_url=URL)
    taken: list[Claim] = []

    def work() -> None:
        while claimed := take(driver, 3):
            taken.extend(claimed)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while claimed := take(driver, 3):  # what one skipped while another held it
        taken.extend(claimed)
    assert len({claim.id for claim in taken}) == len(taken) == 20


def test_a_delivered_callback_is_done_and_told_in_the_timeline(driver: Driver) -> None:
    job_id = driver.end(State.SUCCEEDED, callback_url=URL)
    (claim,) = take(driver)
    assert record(driver, claim, Sent(7, 1, 204)) == "delivered"
    (found,) = delivery_log.of_job(driver.database, job_id)
    assert found.state == "delivered"
    (attempt,) = found.log
    assert (attempt["attempt"], attempt["took_ms"], attempt["status"]) == (1, 7, 204)
    assert attempt["error"] is None
    last = reading.timeline(driver.database, job_id)[-1]
    assert (last["event"], last["attempt"]) == ("callback_delivered", 1)
    assert last["detail"] == {"callback_id": claim.id, "attempts": 1}
    assert claims.due_targets(driver.database) == []


def test_a_failed_one_is_tried_again_on_schedule(driver: Driver) -> None:
    driver.end(State.SUCCEEDED, callback_url=URL)
    (claim,) = take(driver)
    for failures, seconds in ((1, 5), (2, 30), (3, 120)):
        assert record(driver, claim, FAILED) == "pending"
        (row,) = callbacks(driver)
        assert row.failures == failures
        assert seconds <= (row.due_at_ms - driver.now_ms()) / 1000 + 2 <= seconds * 1.2 + 2
        claim = due(driver, claim.id)


def test_the_schedule_covers_a_day_and_jitter_only_adds() -> None:
    assert sum(SETTINGS.retry_seconds) >= 86_400
    for failures, planned in ((1, 5), (11, 28_800), (12, 28_800), (99, 28_800)):
        pauses = [claims.pause_seconds(SETTINGS, failures, None) for _ in range(50)]
        assert planned <= min(pauses) < max(pauses) <= planned * 1.2
    assert claims.pause_seconds(SETTINGS, 1, 3_600) == 3_600
    assert claims.pause_seconds(SETTINGS, 11, 1) >= 28_800
    assert claims.pause_seconds(SETTINGS, 1, 10**9) == 86_400


def test_it_is_given_up_after_the_whole_schedule_and_not_before(driver: Driver) -> None:
    """Red if attempts decide: crashes of senders would shorten the time."""
    job_id = driver.end(State.SUCCEEDED, callback_url=URL)
    (claim,) = take(driver)
    claim = due(driver, claim.id, failures=len(SETTINGS.retry_seconds) - 1, attempts=99)
    assert record(driver, claim, FAILED) == "pending"
    assert record(driver, due(driver, claim.id), FAILED) == "given_up"
    assert driver.events(job_id)[-1] == "callback_given_up"


def test_gone_stops_it_and_disables_its_subscription(driver: Driver) -> None:
    id_, _ = subscribe(driver)
    for _ in range(2):
        driver.end(State.SUCCEEDED)
    other, _ = subscribe(driver, "https://example.com/other")
    driver.end(State.SUCCEEDED, callback_url=URL)
    (claim,) = take(driver)
    assert record(driver, claim, Sent(1, 1, 410, "HTTP status 410")) == "stopped"
    assert subscriptions.get(driver.database, id_, "me").disabled_at_ms is not None
    assert subscriptions.get(driver.database, other, "me").disabled_at_ms is None
    states = {(row.subscription_id, row.state) for row in callbacks(driver)}
    assert states == {(id_, "stopped"), (other, "pending"), (None, "pending")}
    with pytest.raises(Exception, match="deleted or disabled"):
        delivery_log.redeliver(driver.database, claim.id, "me")


@pytest.mark.parametrize("sent", [Sent(1, 1, 200), FAILED], ids=["delivered", "given up"])
def test_an_ended_one_can_be_sent_again_under_its_id(driver: Driver, sent: Sent) -> None:
    job_id = driver.end(State.SUCCEEDED, callback_url=URL)
    (claim,) = take(driver)
    record(driver, Claim(**{**vars(claim), "failures": 99}), sent)
    assert callbacks(driver)[0].state != "pending"
    delivery_log.redeliver(driver.database, claim.id, "me")
    (again,) = take(driver)
    assert (again.id, again.attempts, again.failures) == (claim.id, 2, 0)
    assert record(driver, again, FAILED) == "pending", "it has its whole time again"
    (found,) = delivery_log.of_job(driver.database, job_id)
    assert [attempt["attempt"] for attempt in found.log] == [1, 2]


def test_a_forgotten_job_takes_a_callback_under_way_with_it(driver: Driver) -> None:
    driver.end(State.SUCCEEDED, callback_url=URL)
    (claim,) = take(driver)
    with driver.database.write() as connection:
        connection.execute(callback.delete())
    assert record(driver, claim, Sent(1, 1, 200)) is None
