"""What readers see of jobs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from jobresults.database import open_database
from jobresults.errors import LedgerUnavailable, NotFound
from jobresults.jobs import reading
from jobresults.jobs.reading import Filter, JobRecord
from jobresults.jobs.states import TERMINAL, State
from jobresults.jobs.visibility import EVERYTHING, Visibility
from jobresults.settings import DatabaseSettings
from tests.integration.driver import FATAL, MINE, Driver


def found(driver: Driver, owner: str | None = None, **wanted: Any) -> list[str]:
    """The ids on the one page there is."""
    records, following = reading.page(
        driver.database, Filter(Visibility(owner), **wanted), before_id=None, limit=100
    )
    assert following is None
    return [record.id for record in records]


def latest(driver: Driver, owner: str | None = None) -> JobRecord | None:
    return reading.latest_of_customer(
        driver.database,
        task="echo",
        customer="c",
        visible=Visibility(owner),
        states=[State.SUCCEEDED],
    )


@pytest.mark.parametrize("result", [b"null", b"0", b"false", b'""', b"[]"])
def test_a_falsy_result_is_read_as_it_is(driver: Driver, result: bytes) -> None:
    claimed = driver.start()
    driver.succeed(claimed, result)
    record = reading.get(driver.database, claimed.id, EVERYTHING)
    assert (record.state, record.result, record.done) == (State.SUCCEEDED, result, True)


def test_a_record_tells_the_ledgers_time(driver: Driver) -> None:
    record = reading.get(driver.database, driver.submit(), EVERYTHING)
    assert 0 <= record.now_ms - record.created_at_ms < 5_000


@pytest.mark.parametrize("owner", ["me", None])
def test_the_owner_and_the_operator_see_a_job(driver: Driver, owner: str | None) -> None:
    job_id = driver.submit(client="me")
    assert reading.get(driver.database, job_id, Visibility(owner)).id == job_id


def test_a_foreign_job_is_an_absent_job(driver: Driver) -> None:
    job_id = driver.submit(client="me")
    answers = []
    for absent in (job_id, "00000000-0000-7000-8000-000000000000"):
        with pytest.raises(NotFound) as caught:
            reading.get(driver.database, absent, Visibility("you"))
        answers.append(caught.value.detail)
    assert answers[0] == answers[1]


def test_a_job_is_done_in_the_terminal_states_alone(driver: Driver) -> None:
    records = [reading.get(driver.database, driver.end(state), EVERYTHING) for state in TERMINAL]
    assert all(record.done for record in records)
    open_ids = [driver.submit(), driver.start().id]
    assert not any(reading.get(driver.database, job_id, EVERYTHING).done for job_id in open_ids)


def test_a_job_is_expired_as_soon_as_its_time_is_over(driver: Driver) -> None:
    job_id = driver.end(State.SUCCEEDED)
    assert not reading.get(driver.database, job_id, EVERYTHING).expired
    driver.alter(job_id, expires_at_ms=1)
    assert reading.get(driver.database, job_id, EVERYTHING).expired


def test_pages_show_every_job_once_and_the_newest_first(driver: Driver) -> None:
    ids = [driver.submit() for _ in range(7)]
    seen: list[str] = []
    before_id = None
    while True:
        records, before_id = reading.page(
            driver.database, Filter(MINE), before_id=before_id, limit=3
        )
        seen += [record.id for record in records]
        if before_id is None:
            break
        driver.submit()  # what comes in meanwhile does not shift the pages
    assert seen == ids[::-1]


def test_a_full_last_page_is_the_last(driver: Driver) -> None:
    for _ in range(3):
        driver.submit()
    assert reading.page(driver.database, Filter(MINE), before_id=None, limit=3)[1] is None


def test_a_page_of_nothing_is_empty(driver: Driver) -> None:
    assert found(driver) == []


def test_pages_carry_no_results(driver: Driver) -> None:
    driver.end(State.SUCCEEDED)
    records, _ = reading.page(driver.database, Filter(MINE), before_id=None, limit=1)
    assert records[0].result is None
    assert records[0].result_sha256 is not None


def test_a_client_sees_its_own_jobs(driver: Driver) -> None:
    mine, yours = driver.submit(client="me"), driver.submit(client="you")
    assert found(driver, "me") == [mine]
    assert found(driver, None) == [yours, mine]


def test_jobs_are_found_by_state(driver: Driver) -> None:
    queued, running = driver.submit(), driver.start().id
    failed = driver.end(State.FAILED)
    assert found(driver, state=["queued"]) == [queued]
    assert found(driver, state=["failed", "running"]) == [failed, running]


def test_jobs_are_found_by_what_they_are(driver: Driver) -> None:
    one = driver.submit("echo", customer="c", tags=("x", "y"))
    other = driver.submit("short_lived", customer="d", tags=("y",))
    assert found(driver, task="echo") == [one]
    assert found(driver, customer="d") == [other]
    assert found(driver, tag="x") == [one]
    assert found(driver, tag="y") == [other, one]
    assert found(driver, ids=[one]) == [one]
    assert found(driver, task="echo", customer="d") == []


def test_jobs_are_found_by_when_they_were_created(driver: Driver) -> None:
    ids = [driver.submit() for _ in range(3)]
    for number, job_id in enumerate(ids):
        driver.alter(job_id, created_at_ms=number)
    assert found(driver, created_after_ms=0) == [ids[2], ids[1]]
    assert found(driver, created_before_ms=2) == [ids[1], ids[0]]


def test_jobs_are_found_by_words_in_task_customer_and_error(driver: Driver) -> None:
    customer = driver.submit("echo", customer="Ann Smith")
    failing = driver.start("short_lived")
    driver.fail(failing, FATAL)
    assert found(driver, text="SMITH") == [customer]
    assert found(driver, text="valueERROR: boom") == [failing.id]
    assert found(driver, text="lived") == [failing.id]
    assert found(driver, text=customer.upper()) == [customer]


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", "100%"])
def test_a_search_takes_every_character_for_itself(driver: Driver, text: str) -> None:
    one = driver.submit(customer=f"a{text}b")
    driver.submit(customer="a-b 1000")
    assert found(driver, text=text) == [one]


def test_the_latest_of_a_customer_is_the_newest_that_counts(driver: Driver) -> None:
    assert latest(driver) is None
    older = driver.end(State.SUCCEEDED, customer="c")
    newer = driver.end(State.SUCCEEDED, customer="c")
    driver.end(State.FAILED, customer="c")
    driver.submit(customer="c")
    driver.end(State.SUCCEEDED, customer="d")
    driver.end(State.SUCCEEDED, task="short_lived", customer="c")
    newest = latest(driver)
    assert newest is not None
    assert (newest.id, newest.result) == (newer, b"1")
    driver.alter(newer, expires_at_ms=1)
    remaining = latest(driver)
    assert remaining is not None
    assert remaining.id == older
    assert latest(driver, "you") is None


def test_the_timeline_tells_when_and_in_which_attempt(driver: Driver) -> None:
    job_id = driver.submit()
    driver.fail(driver.claim(job_id))
    driver.succeed(driver.claim(job_id))
    timeline = reading.timeline(driver.database, job_id)
    assert [(event["event"], event["attempt"]) for event in timeline] == [
        ("submitted", 0),
        ("started", 1),
        ("retried", 1),
        ("started", 2),
        ("succeeded", 2),
    ]
    times = [event["at_ms"] for event in timeline]
    assert times == sorted(times)
    assert 0 <= driver.now_ms() - times[0] < 5_000


def test_params_are_read_as_they_came(driver: Driver) -> None:
    job_id = driver.submit("echo", {"value": [1, {"a": None}]})
    assert json.loads(reading.params(driver.database, job_id)) == {"value": [1, {"a": None}]}


def test_an_unreachable_ledger_is_no_absent_job() -> None:
    url = SecretStr("postgresql://nobody@127.0.0.1:1/none")
    away = open_database(DatabaseSettings(url=url))
    with pytest.raises(LedgerUnavailable, match="database: "):
        reading.get(away, "00000000-0000-7000-8000-000000000000", EVERYTHING)
