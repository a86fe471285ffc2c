"""Making good what was lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from jobresults.database import Database
from jobresults.errors import RedisUnavailable
from jobresults.jobs import dispatch, lost_workers, reconciler
from jobresults.jobs.dispatch import Dispatch
from jobresults.jobs.states import State, WaitingOn
from jobresults.redis_store import connect
from jobresults.settings import RedisSettings
from tests.integration.driver import Driver

LONG_AGO_MS = 1_000


def take_over(driver: Driver, batch_size: int = 100) -> int:
    return lost_workers.take_over_expired_leases(driver.database, batch_size)


def dispatch_due(driver: Driver, batch_size: int = 100) -> int:
    return reconciler.dispatch_due(driver.database, driver.redis, batch_size)


def redispatch_lost(driver: Driver, *, queue: str = "default", batch_size: int = 100) -> int:
    return reconciler.redispatch_lost(
        driver.database, driver.redis, queue, lost_after_seconds=5, batch_size=batch_size
    )


def submitted_long_ago(driver: Driver, **options: Any) -> str:
    job_id = driver.submit(**options)
    driver.alter(job_id, dispatched_at_ms=LONG_AGO_MS)
    return job_id


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    start, answers = threading.Barrier(len(calls)), list[Any]()

    def run(call: Callable[[], Any]) -> None:
        start.wait()
        answers.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(calls)
    return answers


def test_a_job_whose_lease_is_over_is_queued_again(driver: Driver) -> None:
    claimed = driver.start()
    driver.alter(claimed.id, lease_until_ms=1)
    assert take_over(driver) == 1
    row = driver.row(claimed.id)
    assert (row.state, row.waiting_on, row.attempt) == (State.QUEUED, WaitingOn.WORKER, 1)
    assert (row.epoch, row.dispatched_at_ms, row.lease_until_ms) == (claimed.epoch + 1, None, None)
    assert driver.detail(claimed.id) == {"reason": "worker_lost"}
    assert dispatch_due(driver) == 1
    assert driver.claim(claimed.id).attempt == 2


def test_a_job_whose_worker_is_alive_is_left_to_it(driver: Driver) -> None:
    claimed = driver.start()
    assert take_over(driver) == 0
    assert driver.row(claimed.id).epoch == claimed.epoch


def test_a_worker_lost_in_the_last_attempt_fails_the_job(driver: Driver) -> None:
    claimed = driver.start("waits_for_file", params={"path": "/"})
    driver.alter(claimed.id, lease_until_ms=1)
    assert take_over(driver) == 1
    row = driver.row(claimed.id)
    assert (row.state, json.loads(row.error)["code"]) == (State.FAILED, "worker_lost")
    assert driver.detail(claimed.id)["error"]["code"] == "worker_lost"


def test_a_job_asked_to_cancel_is_canceled_with_its_worker_lost(driver: Driver) -> None:
    claimed = driver.start("waits_for_file", params={"path": "/"})
    driver.cancel(claimed.id)
    driver.alter(claimed.id, lease_until_ms=1)
    assert take_over(driver) == 1
    row = driver.row(claimed.id)
    assert (row.state, json.loads(row.error)["code"]) == (State.CANCELED, "job_canceled")
    assert driver.events(claimed.id)[-1] == "canceled"


def test_leases_are_taken_over_batch_by_batch(driver: Driver) -> None:
    for _ in range(5):
        driver.alter(driver.start().id, lease_until_ms=1)
    assert [take_over(driver, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_a_lease_is_taken_over_once_by_many(driver: Driver) -> None:
    ids = [driver.start().id for _ in range(10)]
    for job_id in ids:
        driver.alter(job_id, lease_until_ms=1)
    taken = at_once([lambda: take_over(driver)] * 4)
    assert sum(taken) == len(ids)
    assert {row.epoch for row in driver.rows()} == {2}
    assert all(driver.events(job_id).count("requeued") == 1 for job_id in ids)


def test_a_retry_is_dispatched_when_its_pause_is_over(driver: Driver) -> None:
    claimed = driver.start()
    driver.fail(claimed)
    driver.redis.flushall()
    assert dispatch_due(driver) == 0
    driver.alter(claimed.id, due_at_ms=driver.now_ms())
    assert dispatch_due(driver) == 1
    row = driver.row(claimed.id)
    assert (row.waiting_on, row.epoch) == (WaitingOn.WORKER, claimed.epoch + 1)
    assert row.dispatched_at_ms == pytest.approx(driver.now_ms(), abs=5_000)
    assert driver.waiting() == [f"{claimed.id}_{row.epoch}"]
    assert driver.events(claimed.id)[-1] == "dispatched"
    assert dispatch_due(driver) == 0


def test_a_scheduled_job_is_dispatched_when_it_is_due(driver: Driver) -> None:
    job_id = driver.submit("unserved", delay_seconds=3_600)
    assert dispatch_due(driver) == 0
    driver.alter(job_id, due_at_ms=driver.now_ms())
    assert dispatch_due(driver) == 1
    assert driver.waiting("unserved") == [f"{job_id}_1"]


def test_due_jobs_are_dispatched_batch_by_batch(driver: Driver) -> None:
    for _ in range(5):
        driver.submit(run_at_ms=1)
    assert [dispatch_due(driver, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert len(driver.waiting()) == 5


def test_a_due_job_is_dispatched_once_by_many(driver: Driver) -> None:
    ids = [driver.submit(run_at_ms=1) for _ in range(10)]
    assert sum(at_once([lambda: dispatch_due(driver)] * 4)) == 10
    assert sorted(driver.waiting()) == [f"{job_id}_1" for job_id in ids]
    assert all(driver.events(job_id) == ["submitted", "dispatched"] for job_id in ids)


def test_nothing_is_taken_while_redis_is_away(database: Database, driver: Driver) -> None:
    driver.submit(run_at_ms=1)
    before = driver.rows()
    away = connect(RedisSettings(url=SecretStr("unix:///nonexistent/redis.sock")))
    with pytest.raises(RedisUnavailable):
        reconciler.dispatch_due(database, away, 100)
    with pytest.raises(RedisUnavailable):
        reconciler.redispatch_lost(database, away, "default", lost_after_seconds=5, batch_size=100)
    assert driver.rows() == before


def test_what_redis_forgot_is_dispatched_again(driver: Driver) -> None:
    job_id = submitted_long_ago(driver)
    driver.redis.flushall()
    assert redispatch_lost(driver) == 1
    assert driver.row(job_id).epoch == 2
    assert driver.waiting() == [f"{job_id}_2"]
    assert driver.detail(job_id) == {"reason": "lost"}
    assert redispatch_lost(driver) == 0


def test_a_dispatch_that_may_still_be_on_its_way_is_not_lost(driver: Driver) -> None:
    driver.submit()
    driver.redis.flushall()
    assert redispatch_lost(driver) == 0


def test_a_job_that_waits_in_a_long_queue_is_not_lost(driver: Driver) -> None:
    ids = [submitted_long_ago(driver) for _ in range(3)]
    assert redispatch_lost(driver) == 0
    assert driver.waiting() == [f"{job_id}_1" for job_id in ids]


def test_a_job_popped_by_a_worker_that_died_is_found_behind_the_next(driver: Driver) -> None:
    popped = submitted_long_ago(driver)
    driver.redis.lpop("rq:queue:default")
    next_id = driver.submit()
    assert redispatch_lost(driver) == 1
    assert driver.waiting() == [f"{next_id}_1", f"{popped}_2"]


def test_each_queue_is_looked_at_by_itself(driver: Driver) -> None:
    job_id = submitted_long_ago(driver, task="unserved")
    driver.redis.flushall()
    assert redispatch_lost(driver) == 0
    assert redispatch_lost(driver, queue="unserved") == 1
    assert driver.waiting("unserved") == [f"{job_id}_2"]


def test_a_running_job_is_not_lost(driver: Driver) -> None:
    claimed = driver.start()
    driver.alter(claimed.id, dispatched_at_ms=LONG_AGO_MS)
    driver.redis.flushall()
    assert redispatch_lost(driver) == 0


def test_entries_that_mean_nothing_any_more_do_not_hide_what_was_lost(driver: Driver) -> None:
    canceled = driver.submit()
    driver.cancel(canceled)
    running = driver.submit()
    driver.claim(running)
    driver.redis.rpush("rq:queue:default", "foreign", b"\xff", f"{running}_99")
    lost = submitted_long_ago(driver)
    driver.redis.lrem("rq:queue:default", 1, f"{lost}_1")
    assert redispatch_lost(driver) == 1
    assert driver.waiting() == [f"{lost}_2"]


def test_a_sweep_drops_so_many_void_entries_at_most(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "_MAX_SUPERSEDED_HEADS", 3)
    lost = submitted_long_ago(driver)
    driver.redis.flushall()
    driver.redis.rpush("rq:queue:default", "a", "b", "c", "d")
    assert redispatch_lost(driver) == 0
    assert driver.waiting() == ["d"]
    assert redispatch_lost(driver) == 1
    assert driver.waiting() == [f"{lost}_2"]


def test_lost_jobs_are_dispatched_again_batch_by_batch(driver: Driver) -> None:
    for _ in range(5):
        submitted_long_ago(driver)
    driver.redis.flushall()
    assert [redispatch_lost(driver, batch_size=2) for _ in range(2)] == [2, 2]


def test_a_lost_job_is_dispatched_again_once_by_many(driver: Driver) -> None:
    ids = [submitted_long_ago(driver) for _ in range(10)]
    driver.redis.flushall()
    assert sum(at_once([lambda: redispatch_lost(driver)] * 4)) == 10
    assert sorted(driver.waiting()) == [f"{job_id}_2" for job_id in ids]
    assert {row.epoch for row in driver.rows()} == {2}


def test_a_late_copy_of_a_lost_dispatch_is_void(driver: Driver) -> None:
    job_id = submitted_long_ago(driver)
    driver.redis.flushall()
    redispatch_lost(driver)
    assert driver.try_claim(job_id, 1) is None
    assert driver.try_claim(job_id, 2)


@pytest.mark.parametrize(
    "rq_id",
    [
        "",
        "x",
        "00000000-0000-7000-8000-000000000000",
        "00000000-0000-7000-8000-000000000000_",
        "00000000-0000-7000-8000-000000000000_x",
        "00000000-0000-7000-8000-000000000000_9999999999",
        "00000000-0000-7000-8000-000000000000_1\n",
        "00000000-0000-7000-8000-00000000000G_1",
        "_1",
    ],
)
def test_an_entry_that_is_not_ours_names_no_job(rq_id: str) -> None:
    assert dispatch.parse_rq_id(rq_id) is None


def test_an_entry_that_is_ours_names_its_job_and_epoch() -> None:
    item = Dispatch("00000000-0000-7000-8000-000000000000", 12, "default")
    assert dispatch.parse_rq_id(item.rq_id) == (item.job_id, 12)
