"""Submissions that come at the same time share a transaction, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event, insert, text, update
from sqlalchemy.exc import IntegrityError

from jobresults.database import Database, open_database
from jobresults.errors import IdempotencyInFlight, IdempotencyMismatch, LedgerUnavailable
from jobresults.jobs import acceptance, reading, submission
from jobresults.jobs.dispatch import Dispatch
from jobresults.jobs.dispatch import dispatch as real_dispatch
from jobresults.jobs.model import idempotency_key
from jobresults.jobs.submission import Accepted
from jobresults.redis_store import Client, connect
from jobresults.settings import DatabaseSettings, RedisSettings
from tests.integration.driver import MINE, Driver, on_postgresql
from tests.services.process import eventually

CALLERS = 12


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Nobody else can accept a job."""
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


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests each attempted transaction has, in their order."""
    seen: list[int] = []
    real_accept = acceptance.accept

    def accept(database: Database, requests: Sequence[Any], **options: Any) -> Any:
        seen.append(len(requests))
        return real_accept(database, requests, **options)

    monkeypatch.setattr(acceptance, "accept", accept)
    return seen


@pytest.fixture
def commits(database: Database) -> Iterator[list[str]]:
    """One entry for each transaction that was committed on the driver's connections."""
    seen: list[str] = []

    def committed(_connection: object) -> None:
        seen.append("commit")

    event.listen(database._engine, "commit", committed)
    yield seen
    event.remove(database._engine, "commit", committed)


def together(driver: Driver, sizes: list[int], calls: list[Callable[[], Any]]) -> list[Future[Any]]:
    """Runs the calls so that all but the first share a batch: they come while the first waits for
    the ledger's lock.
    """
    with ThreadPoolExecutor(len(calls)) as threads, locked(driver.database):
        futures = [threads.submit(calls[0])]
        eventually(lambda: sizes == [1], "the first waits for the lock")
        for number, call in enumerate(calls[1:], start=1):
            futures.append(threads.submit(call))
            queue = driver.submissions._batches._waiting
            eventually(lambda: len(queue) == number, "the next one waits behind it")  # noqa: B023
    return futures


def test_those_who_come_meanwhile_are_committed_in_one_transaction(
    driver: Driver, sizes: list[int], commits: list[str]
) -> None:
    calls = [partial(driver.accept, "echo", {"value": n}) for n in range(CALLERS)]
    futures = together(driver, sizes, calls)

    ids = [future.result().job_id for future in futures]
    assert sizes == [1, CALLERS - 1]
    assert commits == ["commit"] * 3, "the lock, the first, all others"
    assert [driver.row(job_id).params for job_id in ids] == [
        b'{"value": %d}' % n for n in range(CALLERS)
    ]
    assert all(driver.events(job_id) == ["submitted"] for job_id in ids)
    assert sorted(driver.waiting()) == sorted(f"{job_id}_1" for job_id in ids)


def test_a_batch_is_handed_to_redis_at_once_and_without_delayed_jobs(
    driver: Driver, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over: list[list[str]] = []

    def dispatch(client: Client, dispatches: Sequence[Dispatch]) -> None:
        handed_over.append([item.job_id for item in dispatches])
        real_dispatch(client, dispatches)

    monkeypatch.setattr(submission, "dispatch", dispatch)
    delayed = partial(driver.accept, delay_seconds=60)
    futures = together(driver, sizes, [driver.accept, driver.accept, delayed, driver.accept])

    first, second, _, fourth = (future.result().job_id for future in futures)
    assert handed_over == [[first], [second, fourth]]


def test_the_answer_is_the_committed_row(driver: Driver) -> None:
    for options in (
        {"customer": "c", "tags": ("a", "b"), "max_attempts": 2, "request_id": "r"},
        {"delay_seconds": 1.5},
        {"run_at_ms": 5, "timeout_seconds": 7.0, "rerun_of": driver.submit()},
    ):
        record = driver.accept(**options).record
        assert record is not None
        read = reading.get(driver.database, record.id, MINE)
        assert replace(read, now_ms=record.now_ms) == record
        assert record.now_ms == record.created_at_ms


def test_one_that_the_ledger_refuses_keeps_no_other_back(driver: Driver, sizes: list[int]) -> None:
    calls = [partial(driver.accept, customer=f"c{n}") for n in range(6)]
    calls[3] = partial(driver.accept, client=None)  # the column takes no null
    futures = together(driver, sizes, calls)

    with pytest.raises(IntegrityError):
        futures.pop(3).result()
    assert [driver.row(future.result().job_id).customer for future in futures] == [
        f"c{n}" for n in (0, 1, 2, 4, 5)
    ]
    assert len(driver.rows()) == len(driver.waiting()) == 5
    assert sizes == [1, 5, 1, 1, 1, 1, 1]


def test_keys_are_told_apart_within_a_batch(driver: Driver, sizes: list[int]) -> None:
    accept = partial(driver.accept, fingerprint="f")
    known = [accept(idempotency_key=f"k{n}") for n in range(3)]
    with driver.database.write() as connection:
        over = update(idempotency_key).where(idempotency_key.c.key == "k2")
        connection.execute(over.values(expires_at_ms=0))
    sizes.clear()
    futures = together(
        driver,
        sizes,
        [
            accept,
            partial(accept, idempotency_key="k0"),
            partial(accept, idempotency_key="k1", fingerprint="another"),
            partial(accept, idempotency_key="k2"),
            partial(accept, idempotency_key="k3"),
            partial(accept, idempotency_key="k0", client="you"),
        ],
    )
    assert futures[1].result() == Accepted(known[0].job_id, replayed=True)
    with pytest.raises(IdempotencyMismatch):
        futures[2].result()
    new = [futures[n].result() for n in (0, 3, 4, 5)]
    assert not any(accepted.replayed for accepted in new)
    assert len(driver.rows()) == 3 + 4
    assert sizes == [1, 5], "a used key does not break the batch up"
    assert accept(idempotency_key="k2") == replace(new[1], replayed=True)


@on_postgresql
def test_a_key_that_another_process_commits_at_that_moment_breaks_only_the_batch(
    driver: Driver, sizes: list[int]
) -> None:
    accept = partial(driver.accept, fingerprint="f")
    theirs = driver.submit()
    with ThreadPoolExecutor(4) as threads, driver.database.write() as connection:
        # Seen by nobody yet, and in the way of everyone.
        connection.execute(text("LOCK TABLE job IN ACCESS EXCLUSIVE MODE"))
        connection.execute(
            insert(idempotency_key).values(
                client="me", key="k", body_sha256="f", job_id=theirs, expires_at_ms=2**60
            )
        )
        sizes.clear()
        futures = [threads.submit(accept)]
        eventually(lambda: sizes == [1], "the first waits for the lock")
        for key in ("j", "k", None):
            futures.append(threads.submit(accept, idempotency_key=key))
        queue = driver.submissions._batches._waiting
        eventually(lambda: len(queue) == 3, "the others wait behind it")
        # Let them look while the key is still unseen.
        connection.execute(text("SELECT 1"))
    answers = [future.result() for future in futures]
    assert answers[2] == Accepted(theirs, replayed=True)
    assert len({answer.job_id for answer in answers}) == 4
    assert len(driver.rows()) == 4


def test_a_locked_ledger_accepts_nothing_of_anyone(driver: Driver, impatient: Driver) -> None:
    with locked(driver.database), ThreadPoolExecutor(8) as threads:
        for call in [threads.submit(impatient.accept) for _ in range(8)]:
            with pytest.raises(LedgerUnavailable):
                call.result()
    assert driver.rows() == []
    assert driver.waiting() == []


def test_a_ledger_that_goes_away_while_a_batch_is_broken_up_is_asked_once(
    driver: Driver, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further attempt could wait for the ledger as long as the first did."""
    counting_accept = acceptance.accept

    def accept(database: Database, requests: Sequence[Any], **options: Any) -> Any:
        answer = counting_accept(database, requests, **options)
        if len(sizes) > 3:
            raise LedgerUnavailable("gone")
        return answer

    monkeypatch.setattr(acceptance, "accept", accept)
    bad = partial(driver.accept, client=None)
    futures = together(driver, sizes, [driver.accept, bad, *[driver.accept] * 4])
    with pytest.raises(IntegrityError):
        futures[1].result()
    for future in futures[2:]:
        with pytest.raises(LedgerUnavailable, match="gone"):
            future.result()
    assert sizes == [1, 5, 1, 1]


def test_two_requests_with_a_key_in_one_process_are_one_job(driver: Driver) -> None:
    start = threading.Barrier(CALLERS)

    def call() -> Accepted | IdempotencyInFlight:
        start.wait()
        try:
            return driver.accept(idempotency_key="k", fingerprint="f")
        except IdempotencyInFlight as error:
            return error

    with ThreadPoolExecutor(CALLERS) as threads:
        answers = [call.result() for call in [threads.submit(call) for _ in range(CALLERS)]]
    accepted = [answer for answer in answers if isinstance(answer, Accepted)]
    assert {answer.job_id for answer in accepted} == {row.id for row in driver.rows()}
    assert len(driver.rows()) == 1
    assert [answer.replayed for answer in accepted].count(False) == 1


def test_a_batch_is_accepted_while_redis_is_away(
    database: Database, sizes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    away = connect(RedisSettings(url=SecretStr("unix:///nonexistent/redis.sock")))
    driver = Driver(database, away)
    futures = together(driver, sizes, [driver.accept] * 4)
    assert {future.result().job_id for future in futures} == {row.id for row in driver.rows()}
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "1 accepted jobs are not dispatched yet",
        "3 accepted jobs are not dispatched yet",
    ]
