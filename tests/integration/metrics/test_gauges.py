"""What maintenance looks up: exact in each state, gone with what it was of, absent when nobody can
know.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from jobresults.database import Database, open_database
from jobresults.errors import LedgerUnavailable
from jobresults.jobs import queues
from jobresults.jobs.backlog import Holding
from jobresults.jobs.states import State
from jobresults.jobs.submission import Submissions
from jobresults.maintenance import samples as module
from jobresults.maintenance.looks import SAMPLED, Look, looks_of
from jobresults.maintenance.sampler import Sampler
from jobresults.maintenance.samples import Samples
from jobresults.redis_store import Client, connect
from jobresults.settings import (
    DatabaseSettings,
    JobsSettings,
    LimitsSettings,
    RedisSettings,
    Settings,
)
from jobresults.telemetry import metrics
from tests.integration.driver import CATALOG, SETTINGS, Driver, on_sqlite
from tests.integration.hands import Hands
from tests.integration.metrics.conftest import Metered
from tests.services.postgresql_server import PostgresqlServer
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.scraping import Scrape, collected

KNOWN = ["default", "unserved"]
QUEUE_STATES = ("queued", "held", "delayed", "running")


class Looker:
    """A sampler without its thread."""

    def __init__(self, database: Database, redis: Client, settings: Settings | None = None) -> None:
        self.samples = Samples(SAMPLED)
        self.heartbeat: float | None = None
        chosen = settings or Settings()
        looks = looks_of(database, redis, chosen, KNOWN, lambda: self.heartbeat)
        self._sampler = Sampler(self.samples, looks, 0.1)

    def look(self) -> Scrape:
        self._sampler.look()
        return collected(self.samples)

    def jobs(self, queue: str = "default") -> dict[str, float]:
        """The states of a queue that are not empty; all of them are there."""
        found = self.look()
        counts = {
            state: found.get("jobresults_queue_jobs", queue=queue, state=state)
            for state in QUEUE_STATES
        }
        assert None not in counts.values()
        return {state: count for state, count in counts.items() if count}


@pytest.fixture
def looker(driver: Driver) -> Looker:
    return Looker(driver.database, driver.redis)


def test_jobs_are_counted_in_the_state_they_are_in(driver: Driver, looker: Looker) -> None:
    assert looker.jobs() == {}, "a known queue that holds nothing is there"
    for _ in range(2):
        driver.submit()
    for _ in range(3):
        driver.submit(delay_seconds=600)
    driver.start()
    failing = driver.start()
    driver.fail(failing)  # it is tried again in a minute
    driver.end(State.SUCCEEDED)
    assert looker.jobs() == {"queued": 2, "delayed": 4, "running": 1}
    driver.alter(failing.id, due_at_ms=1)  # and is about to be dispatched
    assert looker.jobs() == {"queued": 3, "delayed": 3, "running": 1}
    assert looker.jobs("unserved") == {}


@on_sqlite
def test_each_queue_tells_how_soon_its_jobs_should_begin(driver: Driver) -> None:
    aims = JobsSettings(start_within_seconds=30, queue_start_within_seconds={"unserved": 900})
    looker = Looker(driver.database, driver.redis, Settings(jobs=aims))
    assert looker.look().all("jobresults_queue_start_within_seconds") == {
        ("default",): 30,
        ("unserved",): 900,
    }


def test_jobs_that_wait_for_turns_are_queued_and_those_over_a_limit_held(
    driver: Driver, looker: Looker
) -> None:
    turns = LimitsSettings(turn_jobs=2)
    driver.submissions = Submissions(driver.database, driver.redis, CATALOG, SETTINGS, turns)
    for _ in range(5):
        driver.submit(customer="ann")
    assert looker.jobs() == {"queued": 5}
    (state, _) = queues.Census(driver.database, KNOWN).take()
    assert (state.queued, state.held, state.holding.in_turn) == (5, 3, 3)
    Hands(driver, max_running_per_customer=1).begin(2)
    assert looker.jobs() == {"running": 1, "held": 4}


def test_what_waits_in_a_paused_queue_is_held(driver: Driver, looker: Looker) -> None:
    driver.alter(driver.submit(), due_at_ms=driver.now_ms() - 60_000)
    driver.submit(delay_seconds=600)
    assert (
        looker.look().get("jobresults_queue_oldest_seconds", queue="default", state="queued") >= 60
    )
    queues.pause(driver.database, "default", "ops")
    assert looker.jobs() == {"held": 1, "delayed": 1}
    found = looker.look()
    assert found.get("jobresults_queue_oldest_seconds", queue="default", state="queued") == 0
    assert found.get("jobresults_queue_oldest_seconds", queue="default", state="held") >= 60


def test_the_oldest_may_be_due_handed_over_or_waiting_for_its_turn(
    driver: Driver, looker: Looker
) -> None:
    def oldest(state: str) -> float:
        seconds = looker.look().get("jobresults_queue_oldest_seconds", queue="default", state=state)
        assert seconds is not None
        return seconds

    def ago(seconds: int) -> int:
        return driver.now_ms() - seconds * 1000

    assert oldest("queued") == oldest("running") == 0
    driver.alter(driver.submit(), due_at_ms=ago(100))
    assert 100 <= oldest("queued") < 150
    held = driver.submit(customer="ann")
    driver.alter(held, due_at_ms=ago(200), dispatched_at_ms=None, turn=1)
    assert 200 <= oldest("queued") < 250
    driver.submit(run_at_ms=ago(300))
    assert 300 <= oldest("queued") < 350
    running = driver.start()
    driver.alter(running.id, started_at_ms=ago(400))
    assert 400 <= oldest("running") < 450


def test_a_queue_that_no_task_has_is_there_while_it_holds_jobs(
    driver: Driver, looker: Looker
) -> None:
    job_id = driver.submit()
    driver.alter(job_id, queue="gone")
    assert looker.jobs("gone") == {"queued": 1}
    driver.alter(job_id, queue="default")
    assert looker.look().get("jobresults_queue_jobs", queue="gone", state="queued") is None


@pytest.mark.parametrize(("jobs", "made_at"), [(10_000, [100.0, 101.0]), (10_001, [100.0, 111.0])])
def test_counts_of_many_jobs_are_not_made_again_at_once(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, jobs: int, made_at: list[float]
) -> None:
    now, counts = [100.0], []

    def count(database: Database) -> dict[str, Holding]:
        counts.append(now[0])
        now[0] += 0.5
        return {"default": Holding(ready=jobs)}

    monkeypatch.setattr(queues, "count", count)
    monkeypatch.setattr(queues.time, "monotonic", lambda: now[0])
    census = queues.Census(driver.database, KNOWN)
    for second in range(100, 115):
        now[0] = max(now[0], second)
        assert census.take()[0].queued == jobs
    assert counts[:2] == made_at


def test_workers_are_those_in_the_register_whose_lease_is_not_over(
    driver: Driver, looker: Looker
) -> None:
    redis = driver.redis
    redis.sadd("rq:workers:default", "rq:worker:a", "rq:worker:b", "rq:worker:c", "rq:worker:dead")
    redis.sadd("rq:workers:unserved", "rq:worker:b")
    redis.sadd("rq:workers", "rq:worker:a", "rq:worker:b", "rq:worker:c", "rq:worker:dead")
    for name, state, age_seconds in (("a", "busy", 3), ("b", "idle", 1), ("c", "idle", 20)):
        beat = time.strftime("%Y-%m-%dT%H:%M:%S.0Z", time.gmtime(time.time() - age_seconds))
        queues = "default,unserved" if name == "b" else "default"
        fields = {"birth": beat, "state": state, "last_heartbeat": beat, "queues": queues}
        redis.hset(f"rq:worker:{name}", mapping=fields)
    redis.zadd("rq:wip:default", {"over:1": 1})
    found = looker.look()
    assert found.all("jobresults_workers") == {
        ("default", "busy"): 1,
        ("default", "idle"): 2,
        ("unserved", "busy"): 0,
        ("unserved", "idle"): 1,
    }
    assert redis.scard("rq:workers:default") == 4, "looking cleans nothing up"
    assert redis.zcard("rq:wip:default") == 1
    redis.delete("rq:worker:a")
    found = looker.look()
    assert found.get("jobresults_workers", queue="default", state="busy") == 0


@on_sqlite
def test_evictions_are_redis_own_count_from_the_first_look_on(
    database: Database, start_redis: Callable[..., RedisServer]
) -> None:
    server = start_redis("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
    with connect(RedisSettings(url=SecretStr(server.url))) as redis:
        for number in range(60):
            redis.set(f"k{number}", b"x" * 100_000)
        looker = Looker(database, redis)
        assert collected(looker.samples).get("jobresults_redis_evicted_keys_total") is None
        found = looker.look()
        evicted = redis.info("stats")["evicted_keys"]
        assert found.get("jobresults_redis_evicted_keys_total") == evicted > 0
        assert found.get("jobresults_redis_memory_max_bytes") == 3 * 2**20
        assert found.get("jobresults_redis_memory_used_bytes") > 10**6
    server.stop()


ABOUT_REDIS = (
    "jobresults_workers",
    "jobresults_redis_memory_used_bytes",
    "jobresults_redis_evicted_keys_total",
    "jobresults_alert_groups",
)
ABOUT_LEDGER = (
    "jobresults_queue_jobs",
    "jobresults_queue_oldest_seconds",
    "jobresults_callback_oldest_seconds",
)


@pytest.mark.postgresql
def test_what_cannot_be_known_is_absent_and_comes_back(
    start_postgresql: Callable[[], PostgresqlServer], start_redis: Callable[[], RedisServer]
) -> None:
    server, redis_server = start_postgresql(), start_redis()
    url = SecretStr(server.ledger())
    database = open_database(DatabaseSettings(url=url, connect_timeout_seconds=1))
    with connect(RedisSettings(url=SecretStr(redis_server.url))) as redis:
        looker = Looker(database, redis)

        def seen(names: tuple[str, ...]) -> set[bool]:
            found = looker.look()
            return {bool(found.all(name)) for name in names}

        def up() -> tuple[float | None, float | None]:
            found = looker.look()
            return (
                found.get("jobresults_up_dependency", dependency="ledger"),
                found.get("jobresults_up_dependency", dependency="redis"),
            )

        assert (up(), seen(ABOUT_REDIS + ABOUT_LEDGER)) == ((1, 1), {True})
        redis_server.stop()
        assert (up(), seen(ABOUT_REDIS), seen(ABOUT_LEDGER)) == ((1, 0), {False}, {True})
        redis_server.start()
        server.stop()
        assert (up(), seen(ABOUT_REDIS), seen(ABOUT_LEDGER)) == ((0, 1), {True}, {False})
        server.start()
        eventually(lambda: up() == (1, 1), "both are back")
        assert seen(ABOUT_REDIS + ABOUT_LEDGER) == {True}
    database.close()


def test_what_was_found_too_long_ago_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    samples = Samples([metrics.CALLBACK_OLDEST])
    samples.put("callbacks", {metrics.CALLBACK_OLDEST: {(): 7.0}}, valid_seconds=10)
    assert collected(samples).get("jobresults_callback_oldest_seconds") == 7
    now[0] += 10
    assert collected(samples).get("jobresults_callback_oldest_seconds") is None


def test_a_look_that_breaks_is_told_once_and_hides_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def breaks() -> None:
        raise ZeroDivisionError("oops")

    def is_slow() -> None:
        raise LedgerUnavailable("canceled")

    samples = Samples(SAMPLED)
    fine = {metrics.CALLBACK_OLDEST: {(): 1.0}}
    looks = [Look("a", breaks), Look("b", is_slow), Look("c", lambda: fine)]  # type: ignore[arg-type]
    sampler = Sampler(samples, looks, 1)
    sampler.look()
    sampler.look()
    assert collected(samples).get("jobresults_callback_oldest_seconds") == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert caplog.messages == ["metrics lack a: oops", "metrics lack b: canceled"]


@on_sqlite
def test_a_flush_of_redis_is_seen_and_made_good(metered: Metered) -> None:
    metered.start("maintenance")
    service = metered.service
    ids = [service.submit("echo", value=number) for number in range(20)]
    before = metered.eventually(
        "maintenance",
        lambda now: now.get("jobresults_queue_jobs", queue="default", state="queued") == 20,
        "they are queued",
    )
    assert before.get("jobresults_redispatched_total", reason="lost") == 0
    assert before.all("jobresults_workers").keys() >= {("default", "idle"), ("unserved", "idle")}
    service.driver.redis.flushall()
    metered.start("worker")
    for job_id in ids:
        service.ended(job_id)
    metered.eventually(
        "maintenance",
        lambda now: (
            now.get("jobresults_redispatched_total", reason="lost") == 20
            and now.get("jobresults_workers", queue="default", state="idle") == 1
            and now.get("jobresults_queue_jobs", queue="default", state="queued") == 0
        ),
        "all were dispatched again, the worker is there, and nothing waits",
    )
