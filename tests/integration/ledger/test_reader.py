"""Reading single jobs: from memory, together with others, and while the ledger is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event, update

from jobresults.database import open_database
from jobresults.errors import LedgerUnavailable, NotFound
from jobresults.jobs import hot, reading
from jobresults.jobs.model import job
from jobresults.jobs.reader import JobReader
from jobresults.jobs.states import State
from jobresults.jobs.visibility import EVERYTHING, Visibility
from jobresults.settings import DatabaseSettings
from tests.integration.driver import MINE, Driver, on_postgresql

UNKNOWN = "00000000-0000-7000-8000-000000000000"
MEBIBYTE = 1_048_576


@pytest.fixture
def reader(driver: Driver) -> JobReader:
    return JobReader(driver.database, driver.redis, 64 * MEBIBYTE)


@contextmanager
def counted(driver: Driver) -> Iterator[list[str]]:
    """The statements sent to the ledger within the block."""
    statements: list[str] = []

    def record(_c: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        statements.append(sql)

    engine = driver.database._engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)


@contextmanager
def ledger_away(reader: JobReader) -> Iterator[None]:
    """For this reader nobody listens at the ledger's address."""
    there = reader._database
    url = SecretStr("postgresql://nobody@127.0.0.1:1/none")
    reader._database = open_database(DatabaseSettings(url=url))
    try:
        yield
    finally:
        reader._database = there


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELED])
def test_an_ended_job_is_read_once(driver: Driver, reader: JobReader, state: State) -> None:
    job_id = driver.end(state)
    first = reader.get(job_id, MINE)
    with counted(driver) as statements:
        again = reader.get(job_id, MINE)
    assert statements == []
    assert (
        again.as_of(0)
        == first.as_of(0)
        == reading.get(driver.database, job_id, EVERYTHING).as_of(0)
    )


def test_a_job_that_has_not_ended_is_read_each_time(driver: Driver, reader: JobReader) -> None:
    claimed = driver.start()
    assert reader.get(claimed.id, MINE).state == State.RUNNING
    driver.succeed(claimed)
    assert reader.get(claimed.id, MINE).state == State.SUCCEEDED


def test_jobs_that_are_asked_for_together_are_read_together(
    driver: Driver, reader: JobReader
) -> None:
    ids = [driver.submit() for _ in range(40)]
    first_reads, all_wait = threading.Event(), threading.Event()
    read = reader._from_ledger

    def slowly(wanted: list[str]) -> Any:
        first_reads.set()
        assert all_wait.wait(10)
        return read(wanted)

    reader._from_ledger = slowly  # type: ignore[method-assign]
    with ThreadPoolExecutor(len(ids)) as threads, counted(driver) as statements:
        calls = [threads.submit(reader.get, ids[0], MINE)]
        assert first_reads.wait(10)
        calls += [threads.submit(reader.get, job_id, MINE) for job_id in ids[1:]]
        while len(reader._read._waiting) < len(ids) - 1:
            pass
        all_wait.set()
        assert [call.result(10).id for call in calls] == ids
    assert len(statements) == 2


@pytest.mark.parametrize("ended", [True, False])
def test_a_foreign_job_is_an_unknown_one_also_in_memory(
    driver: Driver, reader: JobReader, ended: bool
) -> None:
    job_id = driver.end(State.SUCCEEDED) if ended else driver.submit()
    assert reader.get(job_id, MINE).id == job_id
    assert reader.get(job_id, EVERYTHING).id == job_id
    said = []
    for absent in (job_id, UNKNOWN):
        with counted(driver) as statements, pytest.raises(NotFound) as caught:
            reader.get(absent, Visibility("other"))
        said.append((caught.value.detail, statements))
    assert said[0] == said[1], "neither the answer nor the way to it differs"


@pytest.mark.parametrize("job_id", ["", "7", "\x00", UNKNOWN.upper() + "x", "é" * 36])
def test_what_cannot_be_an_id_is_unknown_without_a_query(
    driver: Driver, reader: JobReader, job_id: str
) -> None:
    with counted(driver) as statements, pytest.raises(NotFound):
        reader.get(job_id, MINE)
    assert statements == []


def test_an_expired_job_is_read_anew(driver: Driver, reader: JobReader) -> None:
    job_id = driver.end(State.SUCCEEDED)
    driver.alter(job_id, expires_at_ms=driver.now_ms() + 50)
    record = reader.get(job_id, MINE)
    while not record.expired:
        record = reader.get(job_id, MINE)
    driver.alter(job_id, result=None, expired_at_ms=driver.now_ms())
    assert reader.get(job_id, MINE).result is None


@pytest.mark.parametrize("size_bytes", [2, 262_144, 262_145, 2 * MEBIBYTE])
def test_results_of_any_size_are_whole(driver: Driver, reader: JobReader, size_bytes: int) -> None:
    result = b'"' + b"x" * (size_bytes - 2) + b'"'
    claimed, small = driver.start(), driver.end(State.SUCCEEDED)
    driver.succeed(claimed, result)
    answers = reader._read_together([(claimed.id, MINE), (small, MINE)])
    found = [getattr(answer, "result", answer) for answer in answers]
    assert found == [result, b"1"]


def test_which_jobs_have_ended_is_told_for_many_at_once(driver: Driver, reader: JobReader) -> None:
    ended = [driver.end(state) for state in (State.SUCCEEDED, State.FAILED, State.CANCELED)]
    others = [driver.submit(), driver.start().id, UNKNOWN]
    assert sorted(reader.ended([*ended, *others])) == sorted(ended)


def test_without_the_ledger_memory_and_hot_copies_answer_and_nothing_else(
    driver: Driver, reader: JobReader
) -> None:
    in_memory, hot_copy = driver.end(State.SUCCEEDED), driver.end(State.FAILED)
    queued = driver.submit()
    reader.get(in_memory, MINE)
    hot.store(driver.redis, [reading.get(driver.database, hot_copy, EVERYTHING)], 600)
    with ledger_away(reader):
        assert reader.get(in_memory, MINE).result == b"1"
        assert reader.get(hot_copy, MINE).state == State.FAILED
        for owner, job_id in (
            ("me", queued),
            ("me", UNKNOWN),
            ("other", in_memory),
            ("other", hot_copy),
        ):
            with pytest.raises(LedgerUnavailable):
                reader.get(job_id, Visibility(owner))


def test_a_hot_copy_is_kept_in_memory(driver: Driver, reader: JobReader) -> None:
    job_id = driver.end(State.SUCCEEDED)
    hot.store(driver.redis, [reading.get(driver.database, job_id, EVERYTHING)], 600)
    with ledger_away(reader):
        reader.get(job_id, MINE)
        driver.redis.flushall()
        assert reader.get(job_id, MINE).result == b"1"


def test_without_ledger_and_redis_memory_answers(driver: Driver, reader: JobReader) -> None:
    job_id = driver.end(State.SUCCEEDED)
    reader.get(job_id, MINE)
    reader._redis.resting_until = float("inf")
    try:
        with ledger_away(reader):
            assert reader.get(job_id, MINE).result == b"1"
            with pytest.raises(LedgerUnavailable):
                reader.get(UNKNOWN, MINE)
    finally:
        reader._redis.resting_until = 0.0


@on_postgresql
def test_reading_leaves_transactions_to_those_who_write(driver: Driver) -> None:
    one = open_database(driver_settings(driver, pool_size=1))
    try:
        reader = JobReader(one, driver.redis, 0)
        job_id = driver.submit()
        assert reader.get(job_id, MINE).id == job_id
        with pytest.raises(ZeroDivisionError), one.write() as connection:
            connection.execute(update(job).values(customer="rolled back"))
            1 / 0  # noqa: B018
        assert reader.get(job_id, MINE).customer is None
    finally:
        one.close()


def driver_settings(driver: Driver, **more: int) -> DatabaseSettings:
    url = driver.database._engine.url.set(drivername="postgresql")
    text = url.render_as_string(hide_password=False)
    return DatabaseSettings.model_validate({"url": text, **more})
