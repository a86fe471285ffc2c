"""Alerts and callbacks: what was told to whom, and what waits to be."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from jobresults.alerts.counts import Count
from jobresults.alerts.flusher import Batch
from jobresults.alerts.groups import HEARTBEAT_KEY
from jobresults.alerts.listing import State as GroupState
from jobresults.alerts.model import SinkError
from jobresults.alerts.standing import Standing, read_standing
from jobresults.alerts.transport import RedisTransport
from jobresults.jobs.states import State
from jobresults.redis_store import Client
from jobresults.settings import RedisSettings, Settings
from jobresults.telemetry import metrics
from jobresults.webhooks import claims
from jobresults.webhooks.delivery import Deliveries
from tests.integration.alerts.conftest import World
from tests.integration.driver import Driver, on_sqlite
from tests.integration.webhooks.conftest import (
    alter,
    callbacks,
    local_settings,
    secret_of_urls,
)
from tests.services.process import eventually
from tests.services.receiver import Reply, running_receiver
from tests.services.scraping import collected
from tests.support.recording_sink import RecordingSink


@pytest.fixture
def world(redis: Client, redis_url: str) -> World:
    """Beginning now: who looks at how alerts stand does so by Redis' clock."""
    world = World(redis, redis_url)
    world.now_ms = world.groups.clock_ms() - 60_000
    return world


def standing(world: World) -> Standing:
    return read_standing(world.redis, world.settings.alerts, ["slack"])


def test_groups_are_counted_by_state(world: World) -> None:
    slack = RecordingSink()
    for key in ("open", "open too", "hidden"):
        world.log(key)
    world.run(world.courier(slack), seconds=6)
    hidden = world.writer.fingerprint("hidden")
    world.redis.hset(f"jr:alerts:group:{hidden}", "suppressed", "silenced: known")
    world.redis.zadd("jr:alerts:index", {world.log("over"): world.now_ms - 10**6})
    over = f"jr:alerts:group:{world.writer.fingerprint('over')}"
    world.redis.hset(over, mapping={"last_ms": world.now_ms - 10**6})
    assert standing(world).groups == {
        GroupState.OPEN: 2,
        GroupState.SILENCED: 1,
        GroupState.INHIBITED: 0,
        GroupState.RESOLVED: 1,
    }


def test_what_no_sink_was_told_is_unsent_for_as_long_as_it_is_due(world: World) -> None:
    slack = RecordingSink()
    slack.error = SinkError("slack: HTTP status 500")
    courier = world.courier(slack)
    world.run(courier)
    assert (standing(world).oldest_unsent_seconds, standing(world).failing) == (
        0,
        {"slack": False},
    )
    world.log()
    world.run(courier, seconds=50)
    late = standing(world)
    assert 50 <= late.oldest_unsent_seconds < 60
    assert late.failing == {"slack": True}
    slack.error = None
    world.run(courier, seconds=60)
    assert standing(world).oldest_unsent_seconds == 0
    assert standing(world).failing == {"slack": False}


def test_messages_are_counted_by_what_the_sink_made_of_them(world: World) -> None:
    counted = (metrics.ALERT_NOTIFICATIONS, metrics.ALERT_DELIVERY, metrics.ALERT_DROPPED)
    slack = RecordingSink("counted")
    metrics.begin_at_zero(metrics.ALERT_NOTIFICATIONS, ["counted"], ["sent", "failed", "refused"])
    metrics.begin_at_zero(metrics.ALERT_DROPPED, ["refused"])
    metrics.begin_at_zero(metrics.ALERT_DELIVERY, ["counted"])
    before = collected(*counted)
    errors = [SinkError("500"), SinkError("no", permanent=True), SinkError("no", permanent=True)]
    slack.error = lambda: errors.pop(0) if errors else None
    courier = world.courier(slack)
    world.log()
    world.run(courier, seconds=700)
    after = collected(*counted)
    assert after.rise(before, "jobresults_alert_notifications_total") == {
        ("failed", "counted"): 1,
        ("refused", "counted"): 2,
        ("sent", "counted"): 1,
    }
    assert after.rise(before, "jobresults_alert_delivery_seconds_count") == {("counted",): 4}
    assert after.rise(before, "jobresults_alert_dropped_total") == {("refused",): 1}, (
        "the second is the same"
    )


def test_events_are_counted_once_they_are_handed_over(redis_url: str) -> None:
    transport = RedisTransport(Settings(redis=RedisSettings(url=SecretStr(redis_url))))
    before = collected(metrics.ALERT_EVENTS)
    counts = [
        Count("a", "error", 3, 1, 2),
        Count("b", "critical", 1, 1, 2),
        Count(HEARTBEAT_KEY, "error", 1, 1, 2),
    ]
    transport.send(Batch(1, counts))
    rise = collected(metrics.ALERT_EVENTS).rise(before, "jobresults_alert_events_total")
    assert rise == {("error",): 3, ("critical",): 1}


@on_sqlite
def test_callbacks_are_counted_by_how_each_attempt_ended(driver: Driver) -> None:
    secret_of_urls(driver)
    metrics.begin_at_zero(metrics.CALLBACKS, metrics.CALLBACK_OUTCOMES)
    before = collected(metrics.CALLBACKS)
    with running_receiver() as receiver:
        receiver.script("/again", Reply(500), Reply(204))
        receiver.script("/never", *[Reply(500)] * 2)
        receiver.script("/gone", Reply(410))
        for path in ("/again", "/never", "/gone"):
            driver.end(State.SUCCEEDED, callback_url=receiver.url(path))
        deliveries = Deliveries(driver.database, local_settings(receiver, retry_seconds=[0.05]))
        deliveries.start()
        eventually(lambda: {row.state for row in callbacks(driver)}.isdisjoint(["pending"]), "done")
        deliveries.stop(5)
    assert collected(metrics.CALLBACKS).rise(before, "jobresults_callbacks_total") == {
        ("delivered",): 1,
        ("failed",): 2,
        ("given_up",): 2,
    }


def test_a_callback_is_overdue_from_when_it_was_due(driver: Driver) -> None:
    assert claims.longest_overdue_seconds(driver.database) == 0
    for host in ("a", "b"):
        driver.end(State.SUCCEEDED, callback_url=f"https://{host}.example/")
    first, second = callbacks(driver)
    alter(driver, first.id, due_at_ms=driver.now_ms() + 60_000)
    alter(driver, second.id, due_at_ms=driver.now_ms() - 60_000)
    assert 60 <= claims.longest_overdue_seconds(driver.database) < 90
    alter(driver, second.id, due_at_ms=driver.now_ms() + 60_000)
    assert claims.longest_overdue_seconds(driver.database) == 0
