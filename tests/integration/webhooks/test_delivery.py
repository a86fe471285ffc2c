"""Deliveries to a real server: signed, tried again, and nobody in another's way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jobresults.client import InvalidCallback
from jobresults.jobs.states import State
from jobresults.webhooks import delivery_log, signing_secrets, subscriptions
from jobresults.webhooks.delivery import Deliveries
from tests.integration.driver import Driver, on_sqlite
from tests.integration.webhooks.conftest import (
    callbacks,
    local_settings,
    secret_of_urls,
    subscribe,
)
from tests.services.process import eventually
from tests.services.receiver import Receiver, Reply


@contextmanager
def delivering(driver: Driver, receiver: Receiver, **settings: Any) -> Iterator[Deliveries]:
    deliveries = Deliveries(driver.database, local_settings(receiver, **settings))
    deliveries.start()
    try:
        yield deliveries
    finally:
        deliveries.stop(5)


def states(driver: Driver, *wanted: str) -> bool:
    return [row.state for row in callbacks(driver)] == list(wanted)


def test_a_success_is_told_with_its_result(driver: Driver, receiver: Receiver) -> None:
    secret = secret_of_urls(driver)
    claimed = driver.start(callback_url=receiver.url("/a"), customer="Ann Ö'Hara", tags=("x",))
    driver.succeed(claimed, '{"b": "ü"}'.encode())
    with delivering(driver, receiver, base_url="https://jobs.example/"):
        (request,) = receiver.wait("/a")
        eventually(lambda: states(driver, "delivered"), "it is delivered")
    told = request.verified(secret)
    row = callbacks(driver)[0]
    data = told.pop("data")
    assert request.id == row.id
    assert told["type"] == "job.succeeded"
    assert told["timestamp"] == data["ended_at"]
    assert data["result"] == {"b": "ü"}
    assert (data["job_id"], data["customer"], data["tags"]) == (claimed.id, "Ann Ö'Hara", ["x"])
    assert data["result_url"] == f"https://jobs.example/get_result?job_id={claimed.id}"
    assert "error" not in data


@on_sqlite
def test_other_ends_and_large_results_are_told_without_a_result(
    driver: Driver, receiver: Receiver
) -> None:
    secret_of_urls(driver)
    large = driver.start(callback_url=receiver.url("/large"))
    driver.succeed(large, b'"%s"' % (b"x" * 100))
    driver.end(State.FAILED, callback_url=receiver.url("/failed"))
    expired = driver.end(State.SUCCEEDED, callback_url=receiver.url("/expired"))
    driver.alter(expired, expires_at_ms=1)
    with delivering(driver, receiver, max_result_bytes=100):
        data = {
            path: receiver.wait(f"/{path}")[0].json["data"]
            for path in ("large", "failed", "expired")
        }
    assert "result" not in data["large"]
    assert "error" not in data["large"]
    assert data["failed"]["error"]["detail"] == "ValueError: boom"
    assert data["failed"]["error"]["type"] == "urn:jobresults:job-error:task_error"
    assert "Traceback" not in str(data["failed"])
    assert "result" not in data["expired"]


def test_a_failed_delivery_is_made_again_under_the_same_id(
    driver: Driver, receiver: Receiver
) -> None:
    secret = secret_of_urls(driver)
    receiver.script("/b", Reply(500), Reply(307, {"Location": receiver.url("/x")}), Reply(200))
    job_id = driver.end(State.SUCCEEDED, callback_url=receiver.url("/b"))
    with delivering(driver, receiver, retry_seconds=[0.05, 0.05, 600]):
        requests = receiver.wait("/b", 3)
        eventually(lambda: states(driver, "delivered"), "it is delivered")
    assert len({request.id for request in requests}) == 1
    assert all(request.verified(secret) for request in requests)
    (found,) = delivery_log.of_job(driver.database, job_id)
    assert [attempt["status"] for attempt in found.log] == [500, 307, 200]
    assert receiver.at("/x") == []


def test_a_target_that_hangs_delays_no_other(driver: Driver, receiver: Receiver) -> None:
    """Red without the limit for a target: 30 hanging deliveries take all slots."""
    secret_of_urls(driver)
    receiver.script("/hangs", Reply(hangs=True))
    for _ in range(30):
        driver.end(State.SUCCEEDED, callback_url=receiver.url("/hangs"))
    with delivering(driver, receiver, concurrency=8, per_target=3, timeout_seconds=5):
        receiver.wait("/hangs", 3)
        began = time.monotonic()
        # Another name of the same server: another target.
        job_id = driver.end(State.SUCCEEDED, callback_url=receiver.url("/good", "localhost"))
        receiver.wait("/good")
        assert time.monotonic() - began < 4
        assert len(receiver.at("/hangs")) == 3
        eventually(
            lambda: callbacks(driver, job_id)[0].state == "delivered", "the good one is delivered"
        )
        receiver.closes.set()


@on_sqlite
def test_what_nobody_takes_is_given_up_and_alerted_without_its_url(
    driver: Driver, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    secret_of_urls(driver)
    receiver.script("/never", Reply(500))
    url = receiver.url("/never")
    driver.end(State.SUCCEEDED, callback_url=url)
    caplog.set_level(logging.INFO)
    with delivering(driver, receiver, retry_seconds=[0.05, 0.05]):
        eventually(lambda: states(driver, "given_up"), "it is given up")
        eventually(lambda: "given up" in caplog.text, "it is logged")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.__dict__["alert_key"] == "callback_given_up"
    assert record.__dict__["alert_runbook"] == "callback-given-up"
    assert "after 3 attempts: HTTP status 500" in record.getMessage()
    assert "/never" not in caplog.text


def test_a_replaced_secret_signs_until_its_time_is_over(driver: Driver, receiver: Receiver) -> None:
    id_, old = subscribe(driver, receiver.url("/rotated"))
    new = signing_secrets.rotate(driver.database, "me", id_, 3_600)
    assert new.retires_at_ms is not None
    driver.end(State.SUCCEEDED)
    with delivering(driver, receiver):
        (request,) = receiver.wait("/rotated")
        assert request.verified(old)
        assert request.verified(new.secret)
        newest = signing_secrets.rotate(driver.database, "me", id_, 3_600)
        driver.end(State.SUCCEEDED)
        request = receiver.wait("/rotated", 2)[1]
    assert request.verified(new.secret) == request.verified(newest.secret)
    with pytest.raises(InvalidCallback):
        request.verified(old)
    assert len(request.headers["webhook-signature"].split()) == 2


def test_what_waits_for_a_deleted_subscription_is_not_sent(
    driver: Driver, receiver: Receiver
) -> None:
    id_, _ = subscribe(driver, receiver.url("/deleted"))
    driver.end(State.SUCCEEDED)
    subscriptions.unsubscribe(driver.database, id_, "me")
    assert states(driver, "stopped")
    with delivering(driver, receiver):
        secret_of_urls(driver)
        driver.end(State.SUCCEEDED, callback_url=receiver.url("/after"))
        receiver.wait("/after")
    assert receiver.at("/deleted") == []


@on_sqlite
def test_two_processes_deliver_each_callback_once(driver: Driver, receiver: Receiver) -> None:
    secret_of_urls(driver)
    with delivering(driver, receiver), delivering(driver, receiver):
        for number in range(20):
            driver.end(State.SUCCEEDED, callback_url=receiver.url(f"/each?{number}"))
        eventually(lambda: states(driver, *["delivered"] * 20), "all are delivered")
    assert [len(receiver.at(f"/each?{number}")) for number in range(20)] == [1] * 20


@on_sqlite
def test_stopping_waits_for_what_is_under_way_but_not_for_ever(
    driver: Driver, receiver: Receiver
) -> None:
    secret_of_urls(driver)
    receiver.script("/stuck", Reply(hangs=True))
    driver.end(State.SUCCEEDED, callback_url=receiver.url("/stuck"))
    deliveries = Deliveries(driver.database, local_settings(receiver, timeout_seconds=20))
    deliveries.start()
    receiver.wait("/stuck")
    stopped = threading.Thread(target=deliveries.stop, args=(0.2,))
    stopped.start()
    stopped.join(10)
    assert not stopped.is_alive()
    assert states(driver, "pending")
