"""Customers take turns: many jobs of one delay another's by a few job times."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from jobresults.jobs import reading, reconciler, turns
from jobresults.jobs.estimate import Estimator
from jobresults.jobs.model import job
from jobresults.jobs.new_job import Submission
from jobresults.jobs.states import State, WaitingOn
from jobresults.jobs.visibility import EVERYTHING
from tests.integration.driver import Driver, on_postgresql
from tests.integration.hands import Hands, waiting_on

N = 4  # limits.turn_jobs


def submit(driver: Driver, customer: str | None, count: int) -> list[str]:
    items = [Submission("echo", b"{}", "me", customer=customer) for _ in range(count)]
    return [answer.job_id for answer in driver.submissions.submit_all(items)]  # type: ignore[union-attr]


def place(driver: Driver, job_id: str) -> int | None:
    estimator = Estimator(driver.database, lambda _: 1)
    return estimator.estimate(reading.get(driver.database, job_id, EVERYTHING)).position


def test_a_customers_first_jobs_are_in_the_list_and_its_further_ones_held(driver: Driver) -> None:
    ids = [*submit(driver, "ann", N + 2), driver.submit(customer="ann")]
    assert driver.waiting() == [f"{job_id}_1" for job_id in ids[:N]]
    assert [driver.row(job_id).turn for job_id in ids[N:]] == [0, 1, 2]
    assert waiting_on(driver, ids[-1]) == WaitingOn.WORKER


def test_jobs_without_a_customer_are_not_held_for_each_other(driver: Driver) -> None:
    assert len(submit(driver, None, 3 * N)) == len(driver.waiting())


def test_jobs_without_a_customer_wait_in_one_line_while_others_wait(driver: Driver) -> None:
    ann = submit(driver, "ann", N + 3)
    nobody = submit(driver, None, 3)
    assert [driver.row(job_id).turn for job_id in ann[N:]] == [0, 1, 2]
    assert [driver.row(job_id).turn for job_id in nobody] == [0, 1, 2]
    assert Hands(driver).work_off() == [
        *ann[:N],
        ann[4],
        nobody[0],
        ann[5],
        nobody[1],
        *ann[6:],
        nobody[2],
    ]


def test_a_held_job_is_not_overtaken_for_ever_by_jobs_without_a_customer(driver: Driver) -> None:
    """Red if these go to the list: it is never short of jobs, and the held one never let go."""
    before = submit(driver, None, 3)
    held = submit(driver, "ann", N + 1)[N]
    hands, begun = Hands(driver), []
    for _ in range(5 * N):
        submit(driver, None, 2)
        begun += [found.id for found in hands.begin()]
    assert held in begun[: len(before) + N + 2]


def test_the_last_job_without_a_customer_lets_those_go_that_wait(driver: Driver) -> None:
    """Red if only customers' jobs do so: then they wait for the next sweep."""
    ids = [*submit(driver, "ann", N), *submit(driver, None, N), *submit(driver, "ann", 2)]
    assert Hands(driver).work_off() == ids


def test_a_held_job_is_not_overtaken_for_ever_by_those_that_a_limit_lets_go(driver: Driver) -> None:
    """Red if these count as room taken: each that ends sends another one into the list."""
    limited = [job_id for n in range(2 * N) for job_id in submit(driver, f"customer {n}", N)]
    hands = Hands(driver, max_running_per_customer=1)
    last, *others = hands.begin(len(limited))
    hands.end(*others)
    held = submit(driver, "ann", N + 1)[N]
    begun: list[str] = []
    while held not in begun:
        (found,) = hands.settle(hands.pop(), ended=[last]).admitted.begun
        begun.append(found.id)
        last = found
    assert len(begun) <= 2 * (len(others) + 1) + N, "the list, twice"


def test_customers_with_many_jobs_alternate(driver: Driver) -> None:
    ann = submit(driver, "ann", 40)
    hands = Hands(driver)
    done = hands.work_off(15)
    bob = submit(driver, "bob", 12)
    done = hands.work_off()
    assert sorted(done) == sorted([*ann[15:], *bob])
    # Between two of one there is never more of the other than the list holds.
    owners = "".join("a" if job_id in ann else "b" for job_id in done[: done.index(bob[-1])])
    assert "a" * (2 * N + 1) not in owners
    assert "b" * (2 * N + 1) not in owners


def test_a_customers_jobs_run_in_the_order_they_came(driver: Driver) -> None:
    ids = submit(driver, "ann", 30)
    assert Hands(driver).work_off() == ids


def test_the_list_is_filled_no_further_than_so_many_jobs(driver: Driver) -> None:
    submit(driver, "bob", N)
    submit(driver, "ann", 20)
    hands = Hands(driver)
    assert len(hands.begin()) == 1
    assert len(driver.waiting()) == 2 * N - 1
    hands.begin(N)
    assert len(driver.waiting()) == N


def test_a_worker_takes_held_jobs_from_the_ledger_once_the_list_is_empty(driver: Driver) -> None:
    ids = submit(driver, "ann", 30)
    hands = Hands(driver)
    assert [found.id for found in hands.begin()] == ids[:1]
    begun = hands.begin(20, room=16)
    assert [found.id for found in begun] == ids[1:21]
    assert all(found.dispatched_at_ms for found in begun)
    assert len(driver.waiting()) == N
    assert all(driver.row(found.id).turn is None for found in begun)


def test_the_rest_is_released_when_those_before_were_canceled(driver: Driver) -> None:
    ids = submit(driver, "ann", N + 1)
    for job_id in ids[:N]:
        driver.cancel(job_id)
    assert Hands(driver).begin(N) == []
    assert driver.waiting() == [driver.rq_id(ids[N])]


def test_a_held_job_can_be_canceled(driver: Driver) -> None:
    ids = submit(driver, "ann", N + 1)
    assert driver.cancel(ids[N]) is State.CANCELED
    assert Hands(driver).work_off() == ids[:N]


def test_maintenance_releases_what_a_dead_worker_should_have(driver: Driver) -> None:
    ids = submit(driver, "ann", N + 2)
    with driver.database.write() as connection:  # claimed, but nothing was released
        connection.execute(
            update(job)
            .where(job.c.id.in_(ids[:N]))
            .values(state=State.RUNNING, lease_until_ms=2**40)
        )
    driver.redis.flushall()
    assert reconciler.fill_list(driver.database, driver.redis, "default", N) == 2
    assert driver.waiting() == [driver.rq_id(job_id) for job_id in ids[N:]]
    assert reconciler.fill_list(driver.database, driver.redis, "default", N) == 0


def test_due_jobs_take_turns_as_well(driver: Driver) -> None:
    ids = [driver.submit(customer="ann", delay_seconds=60) for _ in range(N + 2)]
    for job_id in ids:
        driver.alter(job_id, due_at_ms=0)
    while reconciler.dispatch_due(driver.database, driver.redis, 10, turn_jobs=N):
        pass
    assert len(driver.waiting()) == N
    assert sorted(Hands(driver).work_off()) == ids


def test_held_jobs_survive_the_loss_of_redis(driver: Driver) -> None:
    ids = submit(driver, "ann", 10)
    driver.redis.flushall()
    reconciler.redispatch_lost(
        driver.database, driver.redis, "default", lost_after_seconds=-1, batch_size=100
    )
    assert sorted(Hands(driver).work_off()) == ids


def test_an_unknown_task_does_not_stop_those_behind_it(driver: Driver) -> None:
    ids = submit(driver, "ann", N + 2)
    driver.alter(ids[N], task="of a newer worker")
    assert Hands(driver).work_off() == [*ids[:N], ids[N + 1]]
    assert driver.row(ids[N]).turn is None


def test_positions_count_the_list_and_the_turns_before(driver: Driver) -> None:
    ids = submit(driver, "ann", N + 3)
    (other,) = submit(driver, "bob", 1)
    assert place(driver, other) == N + 2, "behind the first of those that are held"
    assert [place(driver, job_id) for job_id in ids[N:]] == [N + 1, N + 3, N + 4]


@on_postgresql
def test_a_job_held_for_jobs_that_were_claimed_meanwhile_is_released_at_once(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would come for it until the next sweep."""
    submit(driver, "ann", N)
    assign = turns.assign

    def assign_and_lose(*arguments: Any, **options: Any) -> list[int | None]:
        found = assign(*arguments, **options)
        monkeypatch.setattr(turns, "assign", assign)
        assert len(Hands(driver).begin(N)) == N
        return found

    monkeypatch.setattr(turns, "assign", assign_and_lose)
    (late,) = submit(driver, "ann", 1)
    assert driver.waiting() == [driver.rq_id(late)]


def test_what_was_held_before_turns_were_switched_off_is_not_forgotten(driver: Driver) -> None:
    ids = submit(driver, "ann", N + 2)
    hands = Hands(driver, turn_jobs=0)
    assert len(hands.work_off()) == N
    assert reconciler.fill_list(driver.database, driver.redis, "default", 1_000) == 2
    assert hands.work_off() == ids[N:]
