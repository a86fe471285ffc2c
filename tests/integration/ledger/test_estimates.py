"""How long a job will take."""

from __future__ import annotations

import pytest

from jobresults.jobs import reading
from jobresults.jobs.estimate import Estimate, Estimator, _Remembered
from jobresults.jobs.states import State
from jobresults.jobs.visibility import EVERYTHING
from tests.integration.driver import Driver


def estimate(driver: Driver, job_id: str, *, workers: int = 1) -> Estimate:
    record = reading.get(driver.database, job_id, EVERYTHING)
    return Estimator(driver.database, lambda _queue: workers).estimate(record)


def ran_for(driver: Driver, *seconds: float, task: str = "echo") -> None:
    """So long took jobs of the task in the past."""
    for duration in seconds:
        job_id = driver.end(State.SUCCEEDED, task=task)
        driver.alter(job_id, started_at_ms=driver.row(job_id).ended_at_ms - round(duration * 1_000))


def test_the_next_job_in_a_queue_has_the_first_position(driver: Driver) -> None:
    first, second = driver.submit(), driver.submit()
    driver.alter(first, dispatched_at_ms=driver.row(second).dispatched_at_ms - 10)
    assert estimate(driver, first).position == 1
    assert estimate(driver, second).position == 2


def test_other_queues_and_running_jobs_are_not_in_the_way(driver: Driver) -> None:
    for job_id in (driver.submit("unserved"), driver.start().id):
        driver.alter(job_id, dispatched_at_ms=1)
    assert estimate(driver, driver.submit()).position == 1


def test_a_position_far_behind_is_not_counted(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobresults.jobs.estimate._MAX_POSITION", 2)
    ids = [driver.submit() for _ in range(4)]
    for number, job_id in enumerate(ids):
        driver.alter(job_id, dispatched_at_ms=number)
    assert [estimate(driver, job_id).position for job_id in ids] == [1, 2, None, None]


@pytest.mark.parametrize(("workers", "eta_seconds"), [(1, 9), (2, 6), (3, 3), (8, 3), (0, None)])
def test_a_waiting_job_waits_for_those_before_it(
    driver: Driver, workers: int, eta_seconds: float | None
) -> None:
    ran_for(driver, 1, 3, 100)
    ids = [driver.submit() for _ in range(3)]
    for number, job_id in enumerate(ids):
        driver.alter(job_id, dispatched_at_ms=number)
    assert estimate(driver, ids[-1], workers=workers) == Estimate(3, eta_seconds)


def test_a_task_that_never_ran_is_not_guessed(driver: Driver) -> None:
    assert estimate(driver, driver.submit()) == Estimate(1, None)
    assert estimate(driver, driver.start().id) == Estimate(None, None)


def test_a_running_job_has_the_rest_of_the_usual_time(driver: Driver) -> None:
    ran_for(driver, 60)
    claimed = driver.start()
    driver.alter(claimed.id, started_at_ms=driver.now_ms() - 20_000)
    assert estimate(driver, claimed.id).eta_seconds == pytest.approx(40, abs=2)
    driver.alter(claimed.id, started_at_ms=driver.now_ms() - 80_000)
    assert estimate(driver, claimed.id) == Estimate(None, 0)


def test_a_scheduled_job_waits_for_its_time_first(driver: Driver) -> None:
    ran_for(driver, 5)
    eta_seconds = estimate(driver, driver.submit(delay_seconds=100)).eta_seconds
    assert eta_seconds == pytest.approx(105, abs=2)


def test_failed_jobs_tell_nothing_of_the_usual_time(driver: Driver) -> None:
    driver.end(State.FAILED)
    driver.end(State.CANCELED)
    assert estimate(driver, driver.submit()).eta_seconds is None


def test_the_usual_time_is_remembered_for_a_while(driver: Driver) -> None:
    ran_for(driver, 60)
    estimator = Estimator(driver.database, lambda _queue: 1)
    record = reading.get(driver.database, driver.submit(), EVERYTHING)
    before = estimator.estimate(record)
    ran_for(driver, 1, 1, 1)
    assert estimator.estimate(record) == before


def test_the_head_of_a_queue_is_remembered_for_a_while(driver: Driver) -> None:
    estimator = Estimator(driver.database, lambda _queue: 1)
    first, second = driver.submit(), driver.submit()
    for number, job_id in enumerate((first, second)):
        driver.alter(job_id, dispatched_at_ms=number)
    record = reading.get(driver.database, second, EVERYTHING)
    assert estimator.estimate(record).position == 2
    driver.claim(first)
    assert estimator.estimate(record).position == 2
    estimator._queues._ask_at["default"] = 0  # the while is over
    assert estimator.estimate(record).position == 1


def test_who_asks_while_another_does_takes_what_was_known() -> None:
    asked: list[str] = []

    def ask(name: str) -> int:
        asked.append(name)
        return remembered.get(name) + 1 if len(asked) > 1 else 1

    remembered = _Remembered(ask, seconds=0.05)
    assert remembered.get("a") == 1
    while remembered.get("a") == 1:
        pass
    assert (remembered.get("a"), asked) == (2, ["a", "a"])
