"""No statement of the service walks through the whole table of jobs: an index serves each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import case, column, event, func, insert, literal, select, text

from jobresults.jobs import (
    backlog,
    estimate,
    expiry,
    lost_workers,
    queues,
    quotas,
    reading,
    reconciler,
    running,
    stored,
)
from jobresults.jobs.concurrency import Concurrency
from jobresults.jobs.model import job
from jobresults.jobs.reader import JobReader
from jobresults.jobs.states import State
from jobresults.jobs.visibility import EVERYTHING
from jobresults.settings import LimitsSettings
from tests.integration.driver import MINE, Driver, on_postgresql, on_sqlite
from tests.integration.hands import Hands

Statement = tuple[str, Any]
TIME_SEARCH = re.compile(r"Index Cond: \(\w+_ms <=? [^\"]*statement_timestamp")

SWEEPS: dict[str, Callable[[Driver], object]] = {
    "expired leases": lambda d: lost_workers.take_over_expired_leases(d.database, 10),
    "due jobs": lambda d: reconciler.dispatch_due(d.database, d.redis, 10),
    "lost dispatches": lambda d: reconciler.redispatch_lost(
        d.database, d.redis, "default", lost_after_seconds=0, batch_size=10
    ),
    "held jobs": lambda d: reconciler.fill_list(d.database, d.redis, "default", 4),
    "freed slots": lambda d: reconciler.fill_slots(
        d.database, d.redis, Concurrency(per_customer=2), 10
    ),
    "stored bytes": lambda d: stored.fold(d.database, 1),
    "old results": lambda d: expiry.forget_results(d.database, 10),
    "old jobs": lambda d: expiry.forget_jobs(d.database, 1, 10),
    "oldest waiting job": lambda d: backlog.oldest_wait_seconds(d.database, "default"),
    "spent keys": lambda d: expiry.forget_idempotency_keys(d.database, 10),
}
REQUESTS: dict[str, Callable[[Driver], object]] = {
    "submit": lambda d: d.submit(idempotency_key="plan"),
    "submit to a line": lambda d: [d.submit(customer="ann") for _ in range(6)],
    "begin of a line": lambda d: Hands(d, max_running_per_customer=1).begin(3, room=3),
    "queued of a client": lambda d: quotas.Quotas(
        d.database, LimitsSettings(max_queued_jobs=1, max_stored_bytes=1)
    ).let_in("me", [1]),
    "queues": lambda d: queues.Census(d.database, ["default"]).take(),
    "claim": lambda d: d.start(),
    "succeed": lambda d: d.end(State.SUCCEEDED),
    "fail": lambda d: d.end(State.FAILED),
    "cancel": lambda d: d.cancel(d.submit()),
    "heartbeat": lambda d: running.extend_leases(d.database, [(d.submit(), 1)], 15),
    "read": lambda d: reading.get(d.database, d.submit(), MINE),
    "read with others": lambda d: JobReader(d.database, d.redis, 0).get(d.submit(), MINE),
    "waited for": lambda d: JobReader(d.database, d.redis, 0).ended([d.submit(), d.submit()]),
    "newest of a client": lambda d: page(d, visible=MINE),
    "newest in a state": lambda d: page(d, visible=EVERYTHING, state=["failed"]),
    "newest of a customer": lambda d: page(d, visible=MINE, customer="ann"),
    "latest score": lambda d: reading.latest_of_customer(
        d.database, task="echo", customer="ann", visible=MINE, states=(State.SUCCEEDED,)
    ),
    "timeline": lambda d: reading.timeline(d.database, d.submit()),
    "log lines": lambda d: reading.logs(d.database, d.submit(), after=0, limit=10),
    "position": lambda d: estimate.Estimator(d.database, lambda _: 1).estimate(
        reading.get(d.database, d.submit(), EVERYTHING)
    ),
}


def page(driver: Driver, **wanted: Any) -> object:
    return reading.page(driver.database, reading.Filter(**wanted), before_id=None, limit=10)


@pytest.mark.parametrize("name", [*SWEEPS, *REQUESTS])
def test_no_statement_scans_all_jobs(driver: Driver, name: str) -> None:
    for state in (State.SUCCEEDED, State.FAILED):
        driver.end(state, customer="ann")
    for _ in range(6):
        driver.submit(customer="ann")
    Hands(driver, max_running_per_task=1).begin(2)
    driver.submit(customer="ann", delay_seconds=60)
    with recorded(driver) as statements:
        (SWEEPS | REQUESTS)[name](driver)
    assert statements
    scans = [(sql, plan) for sql, plan in plans(driver, statements) if scans_jobs(driver, plan)]
    assert not scans


@on_sqlite
def test_queues_are_counted_out_of_an_index_alone(driver: Driver) -> None:
    with recorded(driver) as statements:
        REQUESTS["queues"](driver)
    ((_, plan),) = [found for found in plans(driver, statements) if "is_waiting" in found[0]]
    assert "SCAN job USING COVERING INDEX ix_job_dispatched" in plan


@on_postgresql
@pytest.mark.parametrize("name", ["due jobs", "old results", "old jobs"])
def test_sweeps_search_an_index_by_time(driver: Driver, name: str) -> None:
    fill(driver, 20_000)
    with recorded(driver) as statements:
        SWEEPS[name](driver)
    batches = [plan for sql, plan in plans(driver, statements) if "batch" in sql]
    assert batches
    assert all(TIME_SEARCH.search(plan) for plan in batches), batches


@on_postgresql
@pytest.mark.parametrize("name", ["claim", "succeed"])
def test_jobs_are_found_by_id_whatever_was_counted(driver: Driver, name: str) -> None:
    for _ in range(20):
        driver.submit()  # nobody has counted these: the planner takes few jobs to be queued
    with recorded(driver) as statements:
        REQUESTS[name](driver)
    batches = [plan for sql, plan in plans(driver, statements) if sql.startswith("WITH")]
    assert batches
    assert not [plan for plan in batches if "ix_job_" in plan]


def fill(driver: Driver, count: int) -> None:
    """Many ended jobs, so that the planner sees what it would see in a year."""
    pattern = driver.row(driver.end(State.SUCCEEDED))._mapping
    columns = [column for column in job.c if column.name not in ("id", "expired_at_ms")]
    copies = select(
        func.gen_random_uuid(),
        case((column("n") % 2 == 0, None), else_=driver.now_ms()),
        *(literal(pattern[column.name], column.type) for column in columns),
    ).select_from(func.generate_series(1, count).alias("n"))
    with driver.database.write() as connection:
        connection.execute(insert(job).from_select(["id", "expired_at_ms", *columns], copies))
        connection.execute(text("ANALYZE job"))


def test_a_scan_would_be_seen(driver: Driver) -> None:
    scan = [("SELECT * FROM job WHERE traceback = 'x'", ())]
    assert all(scans_jobs(driver, plan) for _, plan in plans(driver, scan))


@contextmanager
def recorded(driver: Driver) -> Iterator[list[Statement]]:
    """What is sent to the database within the block."""
    statements: list[Statement] = []

    def record(_c: Any, _cursor: Any, sql: str, parameters: Any, *_rest: Any) -> None:
        if not sql.startswith(("INSERT", "EXPLAIN")):
            one = parameters[0] if isinstance(parameters, list) else parameters
            statements.append((sql, one))

    engine = driver.database._engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)


def plans(driver: Driver, statements: list[Statement]) -> Iterator[tuple[str, str]]:
    with driver.database.read() as connection:
        if driver.database.dialect == "postgresql":
            # These tables are tiny: only what no index can serve is scanned all the same.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        for sql, parameters in statements:
            prefix = "EXPLAIN QUERY PLAN" if driver.database.dialect == "sqlite" else "EXPLAIN"
            rows = connection.exec_driver_sql(f"{prefix} {sql}", parameters).all()
            yield sql, json.dumps([str(row[-1]) for row in rows])


def scans_jobs(driver: Driver, plan: str) -> bool:
    if driver.database.dialect == "sqlite":
        return '"SCAN job"' in plan
    return "Seq Scan on job " in plan or 'Seq Scan on job"' in plan
