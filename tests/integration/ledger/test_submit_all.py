"""The jobs of one request: accepted together, found again together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, event, func, select

from jobresults.database import Database
from jobresults.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
    LedgerUnavailable,
    UnknownTask,
)
from jobresults.jobs import acceptance, reading
from jobresults.jobs.model import idempotency_key, job
from jobresults.jobs.new_job import Submission
from jobresults.jobs.states import State
from jobresults.jobs.submission import Accepted
from jobresults.redis_store import Client
from tests.integration.driver import MINE, Driver

UNREADABLE = InvalidRequest("tags: Field required")


def echo(value: int, **options: Any) -> Submission:
    return Submission("echo", b'{"value": %d}' % value, "me", **options)


def keyed(items: Sequence[Submission], key: str = "k", fingerprint: str = "f") -> list[Submission]:
    return [replace(item, idempotency_key=key, fingerprint=fingerprint) for item in items]


def ids(answers: Sequence[Accepted | InvalidRequest]) -> list[str | None]:
    """Those of the accepted jobs, None for the others."""
    return [answer.job_id if isinstance(answer, Accepted) else None for answer in answers]


def test_all_are_committed_at_once_and_answered_in_their_order(driver: Driver) -> None:
    commits: list[object] = []
    event.listen(driver.database._engine, "commit", lambda _: commits.append("commit"))
    answers = driver.submissions.submit_all(
        [echo(1, tags=("t",)), echo(2, delay_seconds=60), echo(3)]
    )
    assert len(commits) == 1
    rows = [driver.row(str(job_id)) for job_id in ids(answers)]
    assert [row.params for row in rows] == [b'{"value": 1}', b'{"value": 2}', b'{"value": 3}']
    assert len({row.created_at_ms for row in rows}) == 1
    assert driver.waiting() == [f"{rows[0].id}_1", f"{rows[2].id}_1"]
    assert [driver.events(row.id) for row in rows] == [["submitted"]] * 3
    for answer in answers:
        assert isinstance(answer, Accepted)
        assert answer.record is not None
        read = reading.get(driver.database, answer.job_id, MINE)
        assert replace(read, now_ms=answer.record.now_ms) == answer.record


def test_ids_sort_by_place_and_before_all_later_ones(driver: Driver) -> None:
    first = driver.submit()
    many = [str(job_id) for job_id in ids(driver.submissions.submit_all([echo(1)] * 300))]
    in_order = [first, *many, driver.submit()]
    assert in_order == sorted(in_order)


def test_what_is_invalid_keeps_no_other_back(driver: Driver) -> None:
    items = [UNREADABLE, echo(1), Submission("ecko", b"{}", "me"), echo(2, max_attempts=99)]
    answers = driver.submissions.submit_all(items)
    assert answers[0] is UNREADABLE
    assert isinstance(answers[1], Accepted)
    assert isinstance(answers[2], UnknownTask)
    assert isinstance(answers[3], InvalidRequest)
    assert len(driver.rows()) == 1


def test_nothing_is_committed_if_nothing_is_valid(driver: Driver) -> None:
    refused = driver.submissions.submit_all([UNREADABLE, *keyed([Submission("ecko", b"{}", "me")])])
    assert ids(refused) == [None, None]
    assert driver.rows() == []
    accepted = driver.submissions.submit_all(keyed([echo(1)], fingerprint="g"))
    assert ids(accepted) == [driver.rows()[0].id], "the key was not spent"


def test_a_replay_gives_the_same_jobs_as_they_are_now(driver: Driver) -> None:
    items = [UNREADABLE, *keyed([echo(1), echo(2)])]
    first = driver.submissions.submit_all(items)
    driver.succeed(driver.claim(str(ids(first)[1])))
    again = driver.submissions.submit_all(items)

    assert ids(again) == ids(first)
    assert again[0] is UNREADABLE
    records = [answer.record for answer in again if isinstance(answer, Accepted)]
    assert [record.state for record in records if record] == [State.SUCCEEDED, State.QUEUED]
    assert all(answer.replayed for answer in again if isinstance(answer, Accepted))
    assert len(driver.rows()) == 2


def test_a_replay_accepts_nothing_new(driver: Driver) -> None:
    """What was refused first may be valid by now: another release, other bounds."""
    first = driver.submissions.submit_all([UNREADABLE, *keyed([echo(1)])])
    again = driver.submissions.submit_all(keyed([echo(0), echo(1)]))
    assert ids(again) == ids(first)
    assert isinstance(again[0], InvalidRequest)
    assert "another Idempotency-Key" in again[0].detail
    assert len(driver.rows()) == 1


def test_a_job_that_is_forgotten_is_not_made_again(driver: Driver) -> None:
    first = driver.submissions.submit_all(keyed([echo(0), echo(1)]))
    with driver.database.write() as connection:
        connection.execute(delete(job).where(job.c.id == ids(first)[1]))
    assert ids(driver.submissions.submit_all(keyed([echo(0), echo(1)]))) == [ids(first)[0], None]
    assert len(driver.rows()) == 1


def test_a_replay_shows_no_one_elses_jobs(driver: Driver) -> None:
    mine = driver.submissions.submit_all(keyed([echo(0)]))
    yours = driver.submissions.submit_all([replace(keyed([echo(0)])[0], client="you")])
    assert ids(mine) != ids(yours)


@pytest.mark.parametrize("fingerprint", ["g", ""])
def test_another_request_with_the_key_is_refused(driver: Driver, fingerprint: str) -> None:
    driver.submissions.submit_all(keyed([echo(0), echo(1)]))
    with pytest.raises(IdempotencyMismatch):
        driver.submissions.submit_all(keyed([echo(0)], fingerprint=fingerprint))
    with pytest.raises(IdempotencyMismatch):
        driver.accept(idempotency_key="k", fingerprint=fingerprint)
    assert len(driver.rows()) == 2


def test_one_key_is_kept_for_all(driver: Driver) -> None:
    answers = driver.submissions.submit_all([UNREADABLE, *keyed([echo(0)] * 20)])
    with driver.database.read() as connection:
        kept = connection.execute(select(idempotency_key.c.job_id)).scalars().all()
    assert kept == [ids(answers)[1]]


def test_processes_that_are_handed_the_same_request_make_each_job_once(
    database: Database, redis: Client
) -> None:
    drivers = [Driver(database, redis) for _ in range(4)]
    items = keyed([echo(n) for n in range(30)])
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda driver: driver.submissions.submit_all(items), drivers))
    assert len({tuple(ids(answer)) for answer in answers}) == 1
    assert len(drivers[0].rows()) == 30


def test_a_request_that_is_being_answered_is_not_answered_twice(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = keyed([echo(0), echo(1)])
    real_accept = acceptance.accept

    def accept(*arguments: Any, **options: Any) -> Any:
        with pytest.raises(IdempotencyInFlight):
            driver.submissions.submit_all(items)
        return real_accept(*arguments, **options)

    monkeypatch.setattr(acceptance, "accept", accept)
    driver.submissions.submit_all(items)
    assert len(driver.rows()) == 2


def test_all_or_nothing_is_committed(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that breaks off after its first statements."""

    def broken(*_: Any, **__: Any) -> None:
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(acceptance.events, "append", broken)
    with pytest.raises(LedgerUnavailable):
        driver.submissions.submit_all(keyed([echo(0), echo(1)]))
    assert driver.rows() == []
    assert driver.waiting() == []
    with driver.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(idempotency_key)).scalar() == 0
