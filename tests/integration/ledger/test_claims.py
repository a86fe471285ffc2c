"""Taking dispatched jobs, and what the one who took it may write."""

from __future__ import annotations

import threading

import pytest

from jobresults.jobs import reading, running
from jobresults.jobs.running import Claimed, LogLine, Progress
from jobresults.jobs.states import State, WaitingOn
from tests.integration.driver import TASKS, Driver


def test_a_claim_starts_an_attempt_under_a_lease(driver: Driver) -> None:
    job_id = driver.submit("echo", {"value": 7}, customer="c", request_id="r")
    claimed = driver.try_claim(job_id, 1, worker="w1")
    row = driver.row(job_id)
    assert claimed == Claimed(
        id=job_id,
        epoch=1,
        task="echo",
        queue="default",
        client="me",
        customer="c",
        tags="[]",
        params=b'{"value": 7}',
        attempt=1,
        max_attempts=3,
        timeout_seconds=300,
        result_ttl_seconds=row.result_ttl_seconds,
        due_at_ms=row.due_at_ms,
        dispatched_at_ms=row.dispatched_at_ms,
        created_at_ms=row.created_at_ms,
        started_at_ms=row.started_at_ms,
        request_id="r",
        traceparent=None,
        tracestate=None,
        rerun_of=None,
    )
    assert (row.state, row.worker, row.waiting_on, row.attempt) == (State.RUNNING, "w1", None, 1)
    assert row.lease_until_ms - row.started_at_ms == pytest.approx(15_000, abs=50)
    assert driver.events(job_id) == ["submitted", "started"]
    assert driver.detail(job_id) == {"worker": "w1"}


def test_a_dispatch_is_claimed_once(driver: Driver) -> None:
    job_id = driver.submit()
    assert driver.try_claim(job_id, 1)
    assert driver.try_claim(job_id, 1) is None
    assert driver.row(job_id).attempt == 1


def test_of_many_claims_at_once_one_wins(driver: Driver) -> None:
    job_id = driver.submit()
    start = threading.Barrier(8)
    claims: list[Claimed | None] = []

    def claim(number: int) -> None:
        start.wait()
        claims.append(driver.try_claim(job_id, 1, worker=f"w{number}"))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claims) == 8
    assert len(list(filter(None, claims))) == 1
    assert driver.events(job_id) == ["submitted", "started"]


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_a_superseded_dispatch_is_not_claimed(driver: Driver, epoch: int) -> None:
    job_id = driver.submit()
    driver.alter(job_id, epoch=2)
    assert driver.try_claim(job_id, epoch) is None
    assert driver.row(job_id).state == State.QUEUED


def test_a_job_that_does_not_exist_is_not_claimed(driver: Driver) -> None:
    assert driver.try_claim("00000000-0000-0000-0000-000000000000", 0) is None


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELED])
def test_a_job_that_has_ended_is_not_claimed(driver: Driver, state: State) -> None:
    job_id = driver.end(state)
    row = driver.row(job_id)
    assert driver.try_claim(job_id, row.epoch) is None
    assert driver.row(job_id) == row


def test_a_job_of_an_unknown_task_is_parked_for_a_worker_that_knows_it(driver: Driver) -> None:
    job_id = driver.submit("echo")
    assert driver.try_claim(job_id, 1, tasks=["other"]) is None
    row = driver.row(job_id)
    assert (row.state, row.waiting_on, row.attempt) == (State.QUEUED, WaitingOn.WORKER, 0)
    assert row.dispatched_at_ms is None
    assert row.due_at_ms - driver.now_ms() == pytest.approx(running.PARK_MS, abs=2_000)
    assert driver.try_claim(job_id, 1) is None, "the dispatch was used up"
    assert driver.claim(job_id)


def test_only_a_parked_job_is_told_as_one(driver: Driver) -> None:
    unknown, superseded = driver.submit("echo"), driver.submit("echo")
    driver.claim(superseded)
    fences = [(unknown, 1), (superseded, 1)]
    assert driver.park(fences, TASKS) == []
    assert driver.park(fences, ["other"]) == [(unknown, "echo")]


def test_a_batch_is_claimed_in_its_order_without_what_is_superseded(driver: Driver) -> None:
    ids = [driver.submit() for _ in range(5)]
    driver.cancel(ids[1])
    driver.alter(ids[3], epoch=2)
    order = [ids[4], ids[3], ids[2], ids[1], ids[0], ids[4]]
    claimed = driver.claim_all([(job_id, 1) for job_id in order])
    assert [item.id for item in claimed] == [ids[4], ids[2], ids[0]]
    assert [driver.row(job_id).attempt for job_id in ids] == [1, 0, 1, 0, 1]


def test_a_job_that_is_not_due_is_not_started_by_an_entry_in_redis(driver: Driver) -> None:
    job_id = driver.submit(delay_seconds=3_600)
    assert driver.try_claim(job_id, 1) is None
    assert driver.row(job_id).state == State.QUEUED


def test_what_was_not_begun_goes_back_to_the_head_of_its_queue(driver: Driver) -> None:
    ids = [driver.submit() for _ in range(4)]
    driver.redis.lpop("rq:queue:default", 3)
    first, second, third = (driver.claim(job_id) for job_id in ids[:3])
    driver.cancel(third.id)
    driver.give_back(second, third)
    assert driver.waiting() == [f"{second.id}_2", f"{ids[3]}_1"]
    row = driver.row(second.id)
    assert (row.state, row.attempt, row.worker, row.lease_until_ms) == (
        State.QUEUED,
        0,
        None,
        None,
    )
    assert row.dispatched_at_ms == second.dispatched_at_ms, "it tells how old the head is"
    assert driver.detail(second.id) == {"reason": "worker_busy"}
    assert [driver.row(item.id).state for item in (first, third)] == [State.RUNNING] * 2
    assert driver.claim(second.id).attempt == 1


def test_a_heartbeat_extends_the_lease(driver: Driver) -> None:
    claimed = driver.start()
    driver.alter(claimed.id, lease_until_ms=5)
    running.extend_leases(driver.database, [claimed.fence], 15)
    lease_until_ms = driver.row(claimed.id).lease_until_ms
    assert lease_until_ms - driver.now_ms() == pytest.approx(15_000, abs=2_000)


def test_a_heartbeat_keeps_no_other_job_of_the_worker_alive(driver: Driver) -> None:
    forgotten, claimed = driver.start(), driver.start()
    driver.alter(forgotten.id, lease_until_ms=5)
    running.extend_leases(driver.database, [claimed.fence], 15)
    assert driver.row(forgotten.id).lease_until_ms == 5


def test_a_wish_to_cancel_is_seen_by_the_holder_alone(driver: Driver) -> None:
    claimed, other = driver.start(), driver.start()
    fences = [claimed.fence, other.fence]
    assert running.cancel_requests(driver.database, fences) == {claimed.id: False, other.id: False}
    driver.cancel(claimed.id)
    assert running.cancel_requests(driver.database, fences) == {claimed.id: True, other.id: False}
    later = (claimed.id, claimed.epoch + 1)
    assert running.cancel_requests(driver.database, [later, other.fence]) == {other.id: False}


def progress(driver: Driver, claimed: Claimed, done: int, *, event: bool = False) -> None:
    driver.report(claimed, Progress(done, 9, "on", event=event))


def test_progress_is_stored_and_told_on_request(driver: Driver) -> None:
    claimed = driver.start()
    progress(driver, claimed, 1)
    progress(driver, claimed, 2, event=True)
    row = driver.row(claimed.id)
    assert (row.progress_done, row.progress_total, row.progress_message) == (2, 9, "on")
    assert driver.events(claimed.id) == ["submitted", "started", "progress"]
    assert driver.detail(claimed.id) == {"done": 2, "total": 9, "message": "on"}


def test_a_new_attempt_begins_without_progress(driver: Driver) -> None:
    claimed = driver.start()
    progress(driver, claimed, 2)
    driver.fail(claimed)
    driver.claim(claimed.id)
    row = driver.row(claimed.id)
    assert (row.progress_done, row.progress_total, row.progress_message) == (None, None, None)


def test_log_lines_are_kept_in_order_with_their_attempt(driver: Driver) -> None:
    claimed = driver.start()
    lines = [LogLine(1_000 + number, "INFO", "task", f"line {number}") for number in range(5)]
    driver.log(*((claimed, line) for line in lines[:3]))
    driver.fail(claimed)
    again = driver.claim(claimed.id)
    driver.log(*((again, line) for line in lines[3:]))
    first = reading.logs(driver.database, claimed.id, after=0, limit=2)
    rest = reading.logs(driver.database, claimed.id, after=first[-1]["seq"], limit=9)
    kept = first + rest
    assert [line["message"] for line in kept] == [f"line {number}" for number in range(5)]
    assert [line["attempt"] for line in kept] == [1, 1, 1, 2, 2]
    assert {name: kept[0][name] for name in ("at_ms", "level", "logger")} == {
        "at_ms": 1_000,
        "level": "INFO",
        "logger": "task",
    }


def test_a_worker_that_was_given_up_changes_nothing(driver: Driver) -> None:
    zombie = driver.start()
    driver.lose_worker(zombie.id)
    successor = driver.claim(zombie.id, worker="w2")
    before = driver.row(zombie.id)
    running.extend_leases(driver.database, [zombie.fence], 99)
    progress(driver, zombie, 5, event=True)
    assert driver.succeed(zombie, b'"stale"') is None
    assert driver.fail(zombie) is None
    assert driver.requeue(zombie) is None
    assert driver.row(zombie.id) == before
    assert driver.events(zombie.id) == ["submitted", "started", "requeued", "started"]
    assert driver.succeed(successor, b'"good"') == State.SUCCEEDED
    assert driver.row(zombie.id).result == b'"good"'
