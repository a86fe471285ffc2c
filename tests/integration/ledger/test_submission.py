"""Accepting jobs: what is committed, and what is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import text, update

from jobresults.database import Database, open_database
from jobresults.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
    JobResultsError,
    LedgerUnavailable,
    UnknownTask,
)
from jobresults.jobs import reading
from jobresults.jobs.model import idempotency_key
from jobresults.jobs.reading import Filter
from jobresults.jobs.states import State, WaitingOn
from jobresults.jobs.submission import Accepted, Submission, fingerprint
from jobresults.jobs.visibility import EVERYTHING
from jobresults.redis_store import Client, connect
from jobresults.settings import DatabaseSettings, JobsSettings, RedisSettings
from jobresults.telemetry import trace_context, tracing
from tests.integration.driver import Driver
from tests.services.process import eventually


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Nobody else can write to the ledger."""
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.execute(text("LOCK TABLE job IN ACCESS EXCLUSIVE MODE"))
        yield


@pytest.fixture
def impatient(database_url: str, redis: Client) -> Iterator[Driver]:
    """Waits for no lock."""
    settings = DatabaseSettings(url=SecretStr(database_url), lock_timeout_seconds=0.1)
    opened = open_database(settings)
    yield Driver(opened, redis)
    opened.close()


def test_an_accepted_job_is_committed_and_handed_over(driver: Driver) -> None:
    trace = trace_context.new_trace()._replace(state="a=1")
    with tracing.within(trace):
        accepted = driver.accept("echo", {"value": 1}, customer="c", request_id="r")
    row = driver.row(accepted.job_id)
    assert not accepted.replayed
    assert (row.task, row.client, row.customer, row.queue) == ("echo", "me", "c", "default")
    assert (row.state, row.waiting_on, row.epoch, row.attempt) == (
        State.QUEUED,
        WaitingOn.WORKER,
        1,
        0,
    )
    assert (row.params, row.request_id) == (b'{"value": 1}', "r")
    assert (row.traceparent, row.tracestate) == (trace.traceparent, "a=1")
    assert row.created_at_ms == pytest.approx(driver.now_ms(), abs=5_000)
    assert row.due_at_ms == pytest.approx(row.created_at_ms, abs=50)
    assert row.dispatched_at_ms == pytest.approx(row.created_at_ms, abs=50)
    assert driver.waiting() == [f"{accepted.job_id}_1"]
    assert driver.events(accepted.job_id) == ["submitted"]


def test_ids_sort_by_creation(driver: Driver) -> None:
    ids = [driver.submit() for _ in range(20)]
    assert ids == sorted(ids)
    assert {UUID(job_id).version for job_id in ids} == {7}


def test_redis_learns_the_id_and_the_epoch_alone(driver: Driver) -> None:
    job_id = driver.submit("echo", {"value": "confidential"}, customer="confidential")
    keys: Any = driver.redis.keys("*")
    assert sorted(keys) == [b"rq:queue:default", b"rq:queues"]
    assert driver.waiting() == [f"{job_id}_1"]


def test_a_task_gives_its_options_to_its_jobs(driver: Driver) -> None:
    row = driver.row(driver.submit("waits_for_file", {"path": "/"}))
    assert (row.timeout_seconds, row.max_attempts) == (60, 1)
    assert driver.row(driver.submit("short_lived")).result_ttl_seconds == 1
    assert driver.row(driver.submit("unserved")).queue == "unserved"


def test_the_settings_stand_in_for_what_a_task_leaves_open(
    database: Database, redis: Client
) -> None:
    settings = JobsSettings(timeout_seconds=7, result_ttl_seconds=8)
    driver = Driver(database, redis, settings)
    row = driver.row(driver.submit("echo"))
    assert (row.timeout_seconds, row.max_attempts, row.result_ttl_seconds) == (7, 3, 8)


def test_a_submission_may_choose_otherwise(driver: Driver) -> None:
    row = driver.row(driver.submit(queue="unserved", max_attempts=5, timeout_seconds=1.5))
    assert (row.queue, row.max_attempts, row.timeout_seconds) == ("unserved", 5, 1.5)
    assert driver.waiting("unserved") == [f"{row.id}_1"]


def test_a_delayed_job_is_not_handed_over_yet(driver: Driver) -> None:
    row = driver.row(driver.submit(delay_seconds=90))
    assert (row.waiting_on, row.dispatched_at_ms) == (WaitingOn.SCHEDULE, None)
    assert row.due_at_ms - row.created_at_ms == pytest.approx(90_000, abs=50)
    assert driver.waiting() == []


def test_a_time_to_run_at_wins_over_a_delay(driver: Driver) -> None:
    tomorrow_ms = driver.now_ms() + 86_400_000
    row = driver.row(driver.submit(delay_seconds=90, run_at_ms=tomorrow_ms))
    assert (row.due_at_ms, row.waiting_on) == (tomorrow_ms, WaitingOn.SCHEDULE)


def test_a_time_to_run_at_that_is_over_means_soon(driver: Driver) -> None:
    row = driver.row(driver.submit(run_at_ms=1))
    assert (row.due_at_ms, row.waiting_on) == (1, WaitingOn.SCHEDULE)


def test_a_rerun_names_the_job_it_repeats(driver: Driver) -> None:
    first = driver.submit()
    second = driver.submit(rerun_of=first)
    assert driver.row(second).rerun_of == first
    assert driver.detail(second) == {"rerun_of": first}


def test_tags_are_kept_and_lead_to_the_job(driver: Driver) -> None:
    job_id = driver.submit(tags=("a", "b", "a"))
    driver.submit()
    records, _ = reading.page(driver.database, Filter(EVERYTHING, tag="a"), before_id=None, limit=9)
    assert [(record.id, json.loads(record.tags)) for record in records] == [
        (job_id, ["a", "b", "a"])
    ]


def test_a_job_is_accepted_while_redis_is_away(database: Database) -> None:
    away = connect(RedisSettings(url=SecretStr("unix:///nonexistent/redis.sock")))
    driver = Driver(database, away)
    row = driver.row(driver.submit())
    assert row.state == State.QUEUED
    assert row.dispatched_at_ms is not None, "the reconciler finds it as a lost one"


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"max_attempts": 26}, "max_attempts"),
        ({"timeout_seconds": 86_401}, "timeout_seconds"),
        ({"delay_seconds": 366 * 86_400}, "delay_seconds"),
        ({"run_at_ms": 9_999_999_999_999}, "run_at"),
        ({"queue": "nowhere"}, "queue"),
    ],
)
def test_what_is_out_of_bounds_is_refused(
    driver: Driver, options: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        driver.submit(**options)
    assert [problem["path"] for problem in caught.value.extra["errors"]] == [path]
    assert driver.rows() == []


def test_every_problem_is_told_at_once(driver: Driver) -> None:
    with pytest.raises(InvalidRequest) as caught:
        driver.submit(max_attempts=99, timeout_seconds=1e9, queue="nowhere")
    assert [problem["path"] for problem in caught.value.extra["errors"]] == [
        "max_attempts",
        "timeout_seconds",
        "queue",
    ]


def test_an_unknown_task_is_refused(driver: Driver) -> None:
    with pytest.raises(UnknownTask, match="did you mean 'echo'"):
        driver.submit("ecko")
    assert driver.rows() == []


def test_wrong_parameters_are_refused(driver: Driver) -> None:
    with pytest.raises(InvalidRequest, match=r"params\.ratio: Field required"):
        driver.submit("typed", {"items": []})
    assert driver.rows() == []


def test_a_ledger_that_cannot_be_written_accepts_nothing(driver: Driver, impatient: Driver) -> None:
    with locked(driver.database), pytest.raises(LedgerUnavailable):
        impatient.submit()
    assert driver.rows() == []
    assert driver.waiting() == []


def test_the_same_request_with_the_same_key_is_the_same_job(driver: Driver) -> None:
    first = driver.accept(idempotency_key="k", fingerprint="f")
    again = driver.accept(idempotency_key="k", fingerprint="f")
    assert again == Accepted(first.job_id, replayed=True)
    assert len(driver.rows()) == 1
    assert driver.waiting() == [f"{first.job_id}_1"]


def test_another_request_with_the_same_key_is_refused(driver: Driver) -> None:
    first = driver.accept(idempotency_key="k", fingerprint="f")
    with pytest.raises(IdempotencyMismatch) as caught:
        driver.accept(idempotency_key="k", fingerprint="g")
    assert caught.value.extra == {"job_id": first.job_id}
    assert len(driver.rows()) == 1


def test_keys_of_two_clients_have_nothing_to_do_with_each_other(driver: Driver) -> None:
    mine = driver.accept(client="me", idempotency_key="k", fingerprint="f")
    yours = driver.accept(client="you", idempotency_key="k", fingerprint="g")
    assert mine.job_id != yours.job_id


def test_a_key_may_be_used_anew_when_its_time_is_over(driver: Driver) -> None:
    first = driver.accept(idempotency_key="k", fingerprint="f")
    with driver.database.write() as connection:
        connection.execute(update(idempotency_key).values(expires_at_ms=0))
    second = driver.accept(idempotency_key="k", fingerprint="g")
    assert second.job_id != first.job_id
    assert not second.replayed


def test_a_key_is_spent_only_by_an_accepted_job(driver: Driver) -> None:
    with pytest.raises(InvalidRequest):
        driver.accept("typed", idempotency_key="k", fingerprint="f")
    assert not driver.accept("echo", idempotency_key="k", fingerprint="g").replayed


def in_threads(calls: list[Callable[[], Any]]) -> tuple[list[threading.Thread], list[Any]]:
    """Starts them together; collects what they return, or the failure they raise."""
    start, answers = threading.Barrier(len(calls)), list[Any]()

    def run(call: Callable[[], Any]) -> None:
        start.wait()
        try:
            answers.append(call())
        except JobResultsError as error:
            answers.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    return threads, answers


def test_processes_that_are_handed_the_same_request_make_one_job(
    database: Database, redis: Client
) -> None:
    drivers = [Driver(database, redis) for _ in range(6)]
    threads, answers = in_threads(
        [partial(driver.accept, idempotency_key="k", fingerprint="f") for driver in drivers]
    )
    for thread in threads:
        thread.join()
    assert len({answer.job_id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 5
    assert len(drivers[0].rows()) == 1


def test_a_request_that_is_being_answered_is_not_answered_twice(driver: Driver) -> None:
    submission = Submission("echo", b"{}", "me", idempotency_key="k", fingerprint="f")
    with locked(driver.database):
        threads, answers = in_threads([lambda: driver.submissions.submit(submission)] * 2)
        eventually(lambda: answers, "the second is refused while the first still waits")
        assert isinstance(answers[0], IdempotencyInFlight)
    for thread in threads:
        thread.join()
    assert isinstance(answers[1], Accepted)
    assert driver.submissions.submit(submission) == replace(answers[1], replayed=True)


@settings(deadline=None)
@given(st.lists(st.binary() | st.none()), st.lists(st.binary() | st.none()))
def test_different_requests_have_different_fingerprints(
    one: list[bytes | None], other: list[bytes | None]
) -> None:
    same = [part or b"" for part in one] == [part or b"" for part in other]
    assert (fingerprint(*one) == fingerprint(*other)) == same


def test_a_fingerprint_is_of_the_route_and_the_body() -> None:
    fingerprints = {
        fingerprint(route, body)
        for route, body in (("/a", b"b"), ("/ab", b""), ("/a", b"c"), ("/b", b"b"))
    }
    assert len(fingerprints) == 4
