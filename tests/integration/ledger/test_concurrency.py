"""How many jobs of a customer or a task run at once: never more, and no slot is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from jobresults.jobs import reading, reconciler
from jobresults.jobs.concurrency import Concurrency
from jobresults.jobs.estimate import Estimate, Estimator
from jobresults.jobs.states import State, WaitingOn
from jobresults.jobs.visibility import EVERYTHING
from tests.integration.driver import Driver, on_postgresql
from tests.integration.hands import Hands, held_by, waiting_on

ONE = {"max_running_per_customer": 1}


def fill_slots(driver: Driver, limit: int | None = 1) -> int:
    limits = Concurrency(per_customer=limit)
    return reconciler.fill_slots(driver.database, driver.redis, limits, 100)


def test_a_job_over_its_customers_limit_is_held(driver: Driver) -> None:
    first, second = (driver.submit(customer="ann") for _ in range(2))
    other = driver.submit(customer="bob")
    begun = Hands(driver, **ONE).begin(3)
    assert [found.id for found in begun] == [first, other]
    assert (driver.row(second).state, waiting_on(driver, second)) == (
        State.QUEUED,
        WaitingOn.CUSTOMER_LIMIT,
    )
    assert driver.events(second) == ["submitted", "held"]
    assert held_by(driver, second) == "customer:ann"
    record = reading.get(driver.database, second, EVERYTHING)
    assert Estimator(driver.database, lambda _: 1).estimate(record) == Estimate()


def test_it_is_let_go_when_one_that_runs_ends(driver: Driver) -> None:
    ids = [driver.submit(customer="ann") for _ in range(3)]
    hands = Hands(driver, **ONE)
    (begun,) = hands.begin(3)
    hands.end(begun)
    assert driver.waiting() == [driver.rq_id(ids[1])]
    assert waiting_on(driver, ids[1]) == WaitingOn.WORKER
    assert hands.work_off() == ids[1:]


def test_a_job_without_a_customer_has_no_such_limit(driver: Driver) -> None:
    ids = [driver.submit() for _ in range(3)]
    assert len(Hands(driver, **ONE).begin(3)) == len(ids)


def test_a_tasks_limit_holds_over_all_customers(driver: Driver) -> None:
    ids = [driver.submit(customer=name) for name in ("ann", "bob")]
    other = driver.submit("typed", {"items": [], "ratio": 1})
    hands = Hands(driver, max_running_per_task=1)
    assert [found.id for found in hands.begin(3)] == [ids[0], other]
    assert waiting_on(driver, ids[1]) == WaitingOn.TASK_LIMIT
    assert held_by(driver, ids[1]) == "task:echo"


def test_a_task_may_set_its_own_limit(driver: Driver) -> None:
    limits = Concurrency(per_task=7, of_tasks={"echo": 2})
    assert (limits.limit("task:echo"), limits.limit("task:typed")) == (2, 7)


def test_a_limited_customers_backlog_waits_as_one(driver: Driver) -> None:
    ids = [driver.submit(customer="ann") for _ in range(30)]
    hands = Hands(driver, **ONE)
    (begun,) = hands.begin(4)
    held = [waiting_on(driver, job_id) for job_id in ids[1:]]
    assert held == [WaitingOn.CUSTOMER_LIMIT] * 29
    assert driver.waiting() == []
    hands.end(begun)
    assert hands.work_off() == ids[1:]


def test_the_slot_of_a_lost_worker_is_free_again(driver: Driver) -> None:
    first, second, third = (driver.submit(customer="ann") for _ in range(3))
    hands = Hands(driver, **ONE)
    hands.begin(3)
    driver.lose_worker(first)
    assert fill_slots(driver) == 1
    assert driver.waiting() == [driver.rq_id(second)]
    assert fill_slots(driver) == 0  # it is on its way
    assert [found.id for found in hands.begin()] == [second]
    assert waiting_on(driver, third) == WaitingOn.CUSTOMER_LIMIT


def test_a_job_that_was_let_go_and_canceled_passes_its_slot_on(driver: Driver) -> None:
    ids = [driver.submit(customer="ann") for _ in range(3)]
    hands = Hands(driver, **ONE)
    hands.end(*hands.begin(3))
    driver.cancel(ids[1])
    assert hands.begin() == []
    assert fill_slots(driver) == 1
    assert hands.work_off() == [ids[2]]


def test_a_failed_attempt_frees_its_slot(driver: Driver) -> None:
    ids = [driver.submit(customer="ann") for _ in range(2)]
    hands = Hands(driver, **ONE)
    (begun,) = hands.begin(2)
    driver.fail(begun)
    assert fill_slots(driver) == 1
    assert [found.id for found in hands.begin()] == ids[1:]


def test_all_are_let_go_when_the_limit_is_gone(driver: Driver) -> None:
    ids = [driver.submit(customer="ann") for _ in range(4)]
    Hands(driver, **ONE).begin(4)
    assert fill_slots(driver, None) == 3
    assert len(driver.waiting()) == len(ids) - 1


def test_a_held_job_cannot_be_started_through_redis(driver: Driver) -> None:
    """Not even by a worker that knows of no limit."""
    _, second = (driver.submit(customer="ann") for _ in range(2))
    Hands(driver, **ONE).begin(2)
    driver.redis.rpush("rq:queue:default", driver.rq_id(second))
    assert Hands(driver).begin() == []


@on_postgresql
def test_workers_that_claim_at_the_same_time_share_the_slots(driver: Driver) -> None:
    for _ in range(4):
        driver.submit(customer="ann")
    workers = [Hands(driver, f"w{number}", max_running_per_customer=2) for number in range(4)]
    taken = [worker.pop() for worker in workers]
    with ThreadPoolExecutor(4) as pool:
        settled = list(pool.map(Hands.settle, workers, taken))
    assert sum(len(item.admitted.begun) for item in settled) == 2
