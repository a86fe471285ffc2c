"""Whatever happens to jobs, in any order: what holds after each step, and that all of them end."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Row, select, update

from jobresults.jobs import expiry, lost_workers, reconciler, running
from jobresults.jobs.dispatch import parse_rq_id
from jobresults.jobs.model import job, job_event
from jobresults.jobs.running import Claimed, Progress
from jobresults.jobs.states import TERMINAL, State
from tests.integration.driver import BOOM, FATAL, TASKS, Driver, make_empty, on_sqlite

LONG_AGO_MS = 1
QUEUE_KEY = "rq:queue:default"
# What forgetting may change in a job that has ended.
FORGOTTEN = {
    "expired_at_ms",
    "expires_at_ms",
    "params",
    "result",
    "error",
    "traceback",
    "progress_message",
}


class Transitions(RuleBasedStateMachine):
    """Clients, workers, maintenance, Redis and time, each doing what it can do at any moment."""

    driver: ClassVar[Driver]
    jobs: Bundle[str] = Bundle("jobs")
    claims: Bundle[Claimed] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Row[Any]] = {}
        self.claimed: set[tuple[str, int]] = set()
        self.driver.redis.flushall()
        make_empty(self.driver.database)

    @rule(target=jobs, max_attempts=st.integers(1, 3), delayed=st.booleans())
    def submit(self, max_attempts: int, delayed: bool) -> str:
        return self.driver.submit(
            max_attempts=max_attempts, delay_seconds=3_600 if delayed else None
        )

    @rule(target=claims, knows_the_task=st.sampled_from([True, True, True, False]))
    def a_worker_takes_the_next(self, knows_the_task: bool) -> Any:
        claimed = self._take(TASKS if knows_the_task else ["other"])
        return multiple() if claimed is None else claimed

    @rule(claim=claims)
    def a_worker_beats(self, claim: Claimed) -> None:
        running.extend_leases(self.driver.database, [claim.fence], 15)

    @rule(claim=claims, done=st.integers(0, 9))
    def a_worker_reports(self, claim: Claimed, done: int) -> None:
        self.driver.report(claim, Progress(done, None, None, event=True))

    @rule(claim=claims)
    def a_worker_succeeds(self, claim: Claimed) -> None:
        result = b"%d" % claim.epoch
        if self.driver.succeed(claim, result) is State.SUCCEEDED:
            assert self.driver.row(claim.id).result in (result, None)

    @rule(claim=claims, error=st.sampled_from([BOOM, FATAL]))
    def a_worker_fails(self, claim: Claimed, error: Any) -> None:
        self.driver.fail(claim, error)

    @rule(claim=claims)
    def a_worker_gives_back(self, claim: Claimed) -> None:
        self.driver.requeue(claim)

    @rule(claim=claims)
    def a_worker_gives_back_what_it_has_not_begun(self, claim: Claimed) -> None:
        self.driver.give_back(claim)

    @rule(job_id=jobs)
    def a_client_cancels(self, job_id: str) -> None:
        self.driver.cancel(job_id)

    @rule()
    def redis_forgets(self) -> None:
        self.driver.redis.flushall()

    @rule()
    def a_worker_dies_with_an_entry(self) -> None:
        self.driver.redis.lpop(QUEUE_KEY)

    @rule(job_id=jobs, age=st.integers(0, 2))
    def an_entry_is_delivered_again(self, job_id: str, age: int) -> None:
        self.driver.redis.rpush(QUEUE_KEY, f"{job_id}_{self.driver.row(job_id).epoch - age}")

    @rule()
    def workers_are_silent(self) -> None:
        self._alter(job.c.state == State.RUNNING, lease_until_ms=LONG_AGO_MS)

    @rule()
    def time_passes(self) -> None:
        queued = job.c.state == State.QUEUED
        self._alter(queued, due_at_ms=LONG_AGO_MS)
        self._alter(queued & job.c.dispatched_at_ms.is_not(None), dispatched_at_ms=LONG_AGO_MS)

    @rule()
    def maintenance_sweeps(self) -> None:
        database, redis = self.driver.database, self.driver.redis
        lost_workers.take_over_expired_leases(database, 2)
        reconciler.dispatch_due(database, redis, 2)
        reconciler.redispatch_lost(database, redis, "default", lost_after_seconds=5, batch_size=2)

    @rule()
    def results_are_forgotten(self) -> None:
        self._alter(job.c.state.in_(TERMINAL), expires_at_ms=LONG_AGO_MS)
        expiry.forget_results(self.driver.database, 100)

    @invariant()
    def what_must_hold_holds(self) -> None:
        ends = self._ends()
        for row in self.driver.rows():
            old = self.before.get(row.id)
            if old is not None:
                assert row.epoch >= old.epoch, "the fence never falls"
                if old.state in TERMINAL:
                    assert changed(old, row) <= FORGOTTEN, "an end is final"
            assert 0 <= row.attempt <= row.max_attempts
            assert ends[row.id] == (row.state in TERMINAL), "one end, told once"
            assert has_a_way_forward(row)
            self.before[row.id] = row

    def teardown(self) -> None:
        """Every accepted job ends once things are well again."""
        for _ in range(50):
            self.workers_are_silent()
            self.time_passes()
            self.maintenance_sweeps()
            while self.driver.redis.llen(QUEUE_KEY):
                claimed = self._take(TASKS)
                if claimed is not None:
                    self.driver.succeed(claimed)
            self.what_must_hold_holds()
            if all(row.state in TERMINAL for row in self.driver.rows()):
                return
        raise AssertionError(f"without an end: {self.driver.rows()}")

    def _take(self, tasks: list[str]) -> Claimed | None:
        entry: Any = self.driver.redis.lpop(QUEUE_KEY)
        if entry is None:
            return None
        fence = parse_rq_id(entry.decode())
        if fence is None:  # epochs below zero
            return None
        claimed = self.driver.try_claim(*fence, tasks=tasks)
        if claimed is not None:
            assert fence not in self.claimed, "a dispatch is claimed once"
            self.claimed.add(fence)
        return claimed

    def _alter(self, condition: Any, **columns: Any) -> None:
        with self.driver.database.write() as connection:
            connection.execute(update(job).where(condition).values(**columns))

    def _ends(self) -> Counter[str]:
        query = select(job_event.c.job_id).where(job_event.c.event.in_(TERMINAL))
        with self.driver.database.read() as connection:
            return Counter(connection.execute(query).scalars())


def changed(old: Row[Any], new: Row[Any]) -> set[str]:
    return {name for name, value in old._mapping.items() if value != new._mapping[name]}


def has_a_way_forward(row: Row[Any]) -> bool:
    if row.state == State.QUEUED:
        return row.waiting_on is not None and row.due_at_ms is not None and row.worker is None
    if row.state == State.RUNNING:
        return row.lease_until_ms is not None and row.worker is not None and row.attempt > 0
    return row.ended_at_ms is not None and row.expires_at_ms is not None


@on_sqlite
def test_no_order_of_events_breaks_a_promise(driver: Driver) -> None:
    machine = type("TransitionsOfThisLedger", (Transitions,), {"driver": driver})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
