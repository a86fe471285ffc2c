"""What Redis holds of a group, and that nothing is counted twice or told twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from jobresults.alerts.counts import OVERFLOW, Count
from jobresults.alerts.flusher import Batch
from jobresults.alerts.groups import Told, get_group, list_groups
from jobresults.alerts.model import Receipt, Severity
from tests.integration.alerts.conftest import START_MS, World, a_sample
from tests.services.process import eventually
from tests.support.recording_sink import RecordingSink


def test_counts_of_many_processes_are_one_group(world: World) -> None:
    fingerprint = world.log(count=3, jobs={"j1", "j2"}, customers={"acme"})
    world.pass_seconds(2)
    world.log(count=4, jobs={"j2", "j3"}, pod="pod-2", version="2", severity="critical")
    found = get_group(world.redis, fingerprint)
    assert found is not None
    group = found.group
    assert (group.count, group.job_count, group.customer_count) == (7, 3, 1)
    assert (group.first_ms, group.last_ms) == (START_MS, START_MS + 2_000)
    assert group.severity is Severity.CRITICAL
    assert group.pods == {"pod-1": 3, "pod-2": 4}
    assert group.versions == {"1": START_MS, "2": START_MS + 2_000}
    assert group.sample.title == "ValueError: boom"
    assert [item.group.fingerprint for item in list_groups(world.redis)] == [fingerprint]
    assert get_group(world.redis, "absent") is None


def test_a_batch_that_comes_again_counts_once(world: World) -> None:
    count = Count("boom", "error", 5, START_MS, START_MS, a_sample())
    batch = world.writer.write(Batch(1, [count]), START_MS) | {"process": "p"}
    assert world.groups.merge(batch, START_MS)
    assert not world.groups.merge(batch, START_MS)
    assert world.groups.merge(batch | {"number": 2}, START_MS)
    assert world.groups.merge(batch | {"process": "q"}, START_MS)
    (tracked,) = list_groups(world.redis)
    assert tracked.group.count == 15


def test_a_process_whose_clock_is_wrong_does_not_move_the_groups_times(world: World) -> None:
    wrong_ms = START_MS + 7_200_000
    count = Count("boom", "error", 1, wrong_ms - 3_000, wrong_ms - 1_000, a_sample())
    world.groups.merge(world.writer.write(Batch(1, [count]), wrong_ms), START_MS)
    (tracked,) = list_groups(world.redis)
    assert (tracked.group.first_ms, tracked.group.last_ms) == (START_MS - 3_000, START_MS - 1_000)


def test_pods_versions_and_groups_are_bounded(world: World) -> None:
    for number in range(120):
        fingerprint = world.log(pod=f"pod-{number}", version=str(number))
    group = world.tracked(fingerprint).group
    assert (len(group.pods), group.pods["(others)"]) == (101, 20)
    assert len(group.versions) == 50
    world.redis.zadd("jr:alerts:index", {f"other {number}": START_MS for number in range(5_000)})
    world.log("one too many", count=3)
    overflow = world.tracked(world.writer.fingerprint(OVERFLOW)).group
    assert overflow.count == 3


def test_what_a_slow_relay_says_is_refused_once_another_has_claimed(world: World) -> None:
    world.log()
    world.pass_seconds(10)
    groups = world.groups
    groups.claim("slack", hold_ms=1_000, limit=9, now_ms=world.now_ms)
    world.log()
    world.pass_seconds(10)
    _, (slow,) = groups.claim("slack", hold_ms=1_000, limit=9, now_ms=world.now_ms)
    assert groups.claim("slack", hold_ms=1_000, limit=9, now_ms=world.now_ms)[1] == []
    assert len(groups.claim("email", hold_ms=1_000, limit=9, now_ms=world.now_ms)[1]) == 1
    world.pass_seconds(1.1)
    _, (other,) = groups.claim("slack", hold_ms=1_000, limit=9, now_ms=world.now_ms)
    told = Told(opening=1, posted_ms=world.now_ms, receipt=Receipt("C", "m"))

    def acknowledge(tracked: object) -> bool:
        return groups.acknowledge(
            "slack", tracked, told=told, look_again_ms=None, wait_ms=5_000, now_ms=world.now_ms
        )  # type: ignore[arg-type]

    assert not acknowledge(slow)
    assert world.tracked(slow.group.fingerprint).told == {}
    assert acknowledge(other)
    assert world.tracked(slow.group.fingerprint).told == {"slack": told}


def test_what_comes_while_a_relay_tells_is_looked_at_after(world: World) -> None:
    courier = world.courier(sink := RecordingSink())
    told_before = sink.send

    def send(notification: object) -> Receipt:
        world.log(count=30)
        return told_before(notification)  # type: ignore[arg-type]

    sink.send = send  # type: ignore[method-assign]
    world.log()
    world.run(courier, seconds=5)
    sink.send = told_before  # type: ignore[method-assign]
    world.run(courier, seconds=6)
    assert [item.entries[0].group.count for item in sink.sent] == [1, 31]


TELL_AND_HANG = """
import sys, time
from pathlib import Path
from pydantic import SecretStr
from jobresults.alerts.courier import Courier
from jobresults.alerts.delivery import BoundedSink
from jobresults.alerts.model import Receipt
from jobresults.redis_store import connect
from jobresults.settings import RedisSettings, Settings

url, told, now_ms = sys.argv[1:]

class Slack:
    name, can_edit = "slack", True
    def send(self, notification):
        with Path(told).open("a") as file:
            file.write(notification.entries[0].group.fingerprint + "\\n")
        time.sleep(60)

settings = Settings(redis=RedisSettings(url=SecretStr(url)))
sink = BoundedSink(Slack(), 10)
Courier(sink, ["slack"], connect(settings.redis), settings, clock_ms=lambda: int(now_ms)).step()
"""


def test_a_relay_killed_between_slacks_answer_and_its_own_note_tells_twice_at_most(
    world: World, tmp_path: Path
) -> None:
    fingerprints = {world.log("a"), world.log("b")}
    world.pass_seconds(6)
    told = tmp_path / "told"
    command = [sys.executable, "-c", TELL_AND_HANG, world.url, str(told), str(world.now_ms)]
    relay = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    eventually(lambda: told.exists() and told.read_text().endswith("\n"), "Slack was told")
    relay.send_signal(signal.SIGKILL)
    relay.wait()
    first = told.read_text().split()
    courier = world.courier(sink := RecordingSink())
    world.run(courier, seconds=25)
    assert sink.sent == [], "it is not known yet that the other relay is dead"
    world.run(courier, seconds=40)
    again = [item.entries[0].group.fingerprint for item in sink.sent]
    assert sorted(again) == sorted(fingerprints)
    assert len(first) == 1


def test_what_comes_long_after_it_happened_is_told_by_a_new_relay(world: World) -> None:
    happened_ms = world.now_ms
    world.pass_seconds(3_000)  # in which nobody could hand anything over, or ask for it
    world.log(first_ms=happened_ms, last_ms=happened_ms)
    sink = RecordingSink("slack")
    world.run(world.courier(sink), seconds=10)
    assert len(sink.counts) == 1
