"""What on-call is told, and when: real groups in Redis, a clock that the test sets."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from jobresults.alerts.model import Group, Kind, SinkError
from jobresults.settings import AlertRoute, AlertsSettings
from tests.integration.alerts.conftest import World
from tests.support.recording_sink import RecordingSink


@pytest.fixture
def slack() -> RecordingSink:
    return RecordingSink("slack")


@pytest.fixture
def mail() -> RecordingSink:
    return RecordingSink("email", can_edit=False)


def test_an_error_is_told_once_after_the_group_wait(world: World, slack: RecordingSink) -> None:
    courier = world.courier(slack)
    fingerprint = world.log(count=2)
    world.run(courier, seconds=4.5)
    assert slack.sent == []
    world.log(count=5, pod="pod-2")
    world.run(courier, seconds=60)
    (notification,) = slack.sent
    (entry,) = notification.entries
    assert notification.kind is Kind.FIRST
    assert (entry.group.fingerprint, entry.group.count) == (fingerprint, 7)
    assert entry.group.pods == {"pod-1": 2, "pod-2": 5}
    assert entry.count_before is None


def test_a_critical_one_is_told_at_once(world: World, slack: RecordingSink) -> None:
    world.log(severity="critical")
    world.run(world.courier(slack))
    assert slack.kinds == [Kind.FIRST]


def test_a_problem_that_goes_on_is_edited_every_five_minutes(
    world: World, slack: RecordingSink
) -> None:
    courier = world.courier(slack)
    world.log(count=5)
    world.run(courier, seconds=6)
    for _ in range(20):
        world.log()
        world.run(courier, seconds=30)
    assert slack.kinds == [Kind.FIRST]
    assert [notification.kind for notification, _ in slack.updated] == [Kind.GROWN] * 2
    first_edit, receipt = slack.updated[0]
    assert receipt.message_id == "m1"
    assert first_edit.entries[0].count_before == 5


def test_a_sink_that_cannot_edit_gets_follow_ups(world: World, mail: RecordingSink) -> None:
    courier = world.courier(mail)
    world.log(count=5)
    world.run(courier, seconds=6)
    world.log()
    world.run(courier, seconds=301)
    assert mail.kinds == [Kind.FIRST, Kind.GROWN]


def test_ten_times_as_many_are_news_but_not_within_the_group_wait(
    world: World, slack: RecordingSink
) -> None:
    courier = world.courier(slack)
    world.log()
    world.run(courier, seconds=5)
    assert slack.kinds == [Kind.FIRST]
    world.log(count=9)
    world.run(courier, seconds=4)
    assert slack.kinds == [Kind.FIRST]
    world.run(courier, seconds=2)
    assert slack.kinds == [Kind.FIRST, Kind.GROWN]
    assert slack.sent[1].entries[0].count_before == 1


def test_a_new_version_is_news(world: World, slack: RecordingSink) -> None:
    courier = world.courier(slack)
    world.log(count=5, version="1")
    world.run(courier, seconds=20)
    world.log(version="2")
    world.run(courier, seconds=20)
    assert slack.kinds == [Kind.FIRST, Kind.NEW_VERSION]
    assert set(slack.sent[1].entries[0].group.versions) == {"1", "2"}


def test_it_is_over_after_15_quiet_minutes_and_a_return_is_told_at_once(
    world: World, slack: RecordingSink
) -> None:
    courier = world.courier(slack)
    fingerprint = world.log(count=3)
    world.run(courier, seconds=899, tick_seconds=10)
    assert slack.updated == []
    world.run(courier, seconds=2)
    ((over, receipt),) = slack.updated
    assert (over.kind, receipt.message_id) == (Kind.RESOLVED, "m1")
    assert over.entries[0].quiet_ms == pytest.approx(900_000, abs=1_500)
    assert world.tracked(fingerprint).is_resolved(world.now_ms)
    world.run(courier, seconds=100, tick_seconds=10)

    world.log()
    world.run(courier)
    assert slack.kinds == [Kind.FIRST, Kind.REGRESSION]
    assert slack.sent[1].entries[0].group.count == 1
    assert len(slack.updated) == 1


def test_a_lasting_problem_is_told_anew_every_four_hours(
    world: World, slack: RecordingSink
) -> None:
    courier = world.courier(slack)
    world.log(count=100)
    world.run(courier, seconds=6)
    for _ in range(25):
        world.log()
        world.run(courier, seconds=600, tick_seconds=60)
    assert slack.kinds == [Kind.FIRST, Kind.REPEATED]


def test_an_ended_group_is_forgotten_after_a_day(world: World, slack: RecordingSink) -> None:
    fingerprint = world.log()
    ttl_ms = world.redis.pttl(f"jr:alerts:group:{fingerprint}")
    assert ttl_ms == pytest.approx(900_000 + 86_400_000, abs=60_000)
    world.pass_seconds(90_000)
    world.log("other")
    assert world.groups.newest(10) == [world.log("other")]


def test_more_than_ten_new_groups_in_a_minute_are_one_digest(
    world: World, slack: RecordingSink
) -> None:
    courier = world.courier(slack)
    for number in range(25):
        world.log(f"bug {number}")
    world.run(courier, seconds=30)
    assert slack.kinds == [Kind.DIGEST]
    assert len(slack.sent[0].entries) == 25
    world.log("one more")
    world.run(courier, seconds=29)
    assert slack.kinds == [Kind.DIGEST]
    world.run(courier, seconds=60)
    assert slack.kinds == [Kind.DIGEST, Kind.FIRST]


@dataclass
class OneSilence:
    fingerprint: str
    until_ms: int
    world: World
    reason: str = "deploy"

    def find(self, group: Group) -> OneSilence | None:
        holds = group.fingerprint == self.fingerprint and self.world.now_ms < self.until_ms
        return self if holds else None


def test_a_silenced_group_goes_on_counting_and_is_told_when_the_silence_is_over(
    world: World, slack: RecordingSink
) -> None:
    fingerprint = world.log()
    world.silences = OneSilence(fingerprint, world.now_ms + 60_000, world)
    courier = world.courier(slack)
    other = world.log("other")
    world.run(courier, seconds=30)
    assert set(slack.counts) == {other}
    assert world.tracked(fingerprint).suppressed == "silenced: deploy"
    world.log(count=4)
    world.run(courier, seconds=60)
    assert slack.counts[fingerprint] == 5
    assert world.tracked(fingerprint).suppressed is None


def test_an_outage_hides_the_errors_it_causes(world: World, slack: RecordingSink) -> None:
    courier = world.courier(slack)
    consequence = world.log("cannot connect", sample={"cause": "database"})
    unrelated = world.log("typo")
    world.pass_seconds(5)
    outage = world.log("condition:database_down", severity="critical")
    world.run(courier, seconds=120)
    assert set(slack.counts) == {outage, unrelated}
    suppressed = world.tracked(consequence).suppressed
    assert suppressed is not None
    assert suppressed.startswith("inhibited")


def test_without_its_outage_a_connection_error_is_told_in_15_seconds(
    world: World, slack: RecordingSink
) -> None:
    world.log("cannot connect", sample={"cause": "database"})
    world.run(world.courier(slack), seconds=12)
    assert slack.kinds == [Kind.FIRST]


def test_routes_say_where_a_group_goes(
    world: World, slack: RecordingSink, mail: RecordingSink
) -> None:
    score = AlertRoute(task="score", slack_channel="#risk", owner="risk", runbook="https://r/1")
    nightly = AlertRoute(queue="nightly", mail_addresses=("night@x",))
    library = AlertRoute(logger="lib", slack_channel="#lib", mail_addresses=("lib@x",))
    world.use(AlertsSettings(routes=(score, nightly, library)))
    couriers = world.courier(slack, "email"), world.courier(mail, "slack")
    world.log("a", sample={"task": "score"})
    world.log("b", sample={"queue": "nightly"})
    world.log("c", sample={"logger": "lib.io"})
    world.log("d", sample={"logger": "library"})
    world.run(*couriers, seconds=15)
    channels = {item.entries[0].group.sample.task or item.slack_channel for item in slack.sent}
    assert channels == {"score", "#lib", None}
    to_risk = next(item for item in slack.sent if item.slack_channel == "#risk")
    assert (to_risk.entries[0].owner, to_risk.entries[0].links.runbook) == ("risk", "https://r/1")
    assert sorted(item.mail_addresses for item in mail.sent) == [("lib@x",), ("night@x",)]


def test_mail_takes_over_after_slack_has_failed_for_two_minutes_and_slack_gets_one_digest_after(
    world: World, slack: RecordingSink, mail: RecordingSink
) -> None:
    couriers = world.courier(slack, "email"), world.courier(mail, "slack")
    slack.error = SinkError("503")
    first, second = world.log("a"), world.log("b")
    world.run(*couriers, seconds=110)
    assert mail.sent == []
    world.run(*couriers, seconds=40)
    assert set(mail.counts) == {first, second}
    assert mail.sent[0].note == "sent here since slack failed"
    slack.error = None
    world.log("a", 4)
    world.run(*couriers, seconds=90)
    assert slack.kinds == [Kind.DIGEST]
    assert slack.counts == {first: 5, second: 1}
    world.log("c")
    world.run(*couriers, seconds=10)
    assert slack.kinds == [Kind.DIGEST, Kind.FIRST]
    assert len(mail.sent) == 2
    world.run(*couriers, seconds=1000, tick_seconds=10)
    assert mail.kinds[2:] == [Kind.RESOLVED] * 2, "who heard of it hears of its end"


def test_what_came_and_went_while_the_only_sink_failed_is_told_after(
    world: World, slack: RecordingSink
) -> None:
    courier = world.courier(slack)
    slack.error = SinkError("503")
    fingerprints = {world.log("a"), world.log("b")}
    world.run(courier, seconds=1_500, tick_seconds=20)
    slack.error = None
    world.run(courier, seconds=100, tick_seconds=5)
    assert slack.kinds == [Kind.DIGEST]
    assert set(slack.counts) == fingerprints
    assert slack.updated == []


def test_what_came_while_no_relay_ran_is_told_and_what_was_over_before_is_not(
    world: World, slack: RecordingSink
) -> None:
    world.log("long over")
    world.pass_seconds(4_000)
    courier = world.courier(slack)
    world.run(courier, seconds=10)
    assert slack.sent == []
    world.pass_seconds(4_000)
    fingerprint = world.log("meanwhile")
    world.pass_seconds(4_000)
    world.run(world.courier(slack), seconds=10)
    assert set(slack.counts) == {fingerprint}


def test_slack_takes_over_from_mail(
    world: World, slack: RecordingSink, mail: RecordingSink
) -> None:
    world.use(AlertsSettings(routes=(AlertRoute(task="score", mail_addresses=("r@x",)),)))
    couriers = world.courier(slack, "email"), world.courier(mail, "slack")
    mail.error = SinkError("refused")
    world.log(sample={"task": "score"})
    world.run(*couriers, seconds=150)
    assert slack.kinds == [Kind.FIRST]


def test_what_slack_never_takes_goes_by_mail_at_once(
    world: World, slack: RecordingSink, mail: RecordingSink
) -> None:
    couriers = world.courier(slack, "email"), world.courier(mail, "slack")
    slack.error = SinkError("invalid_blocks", permanent=True)
    world.log()
    world.run(*couriers, seconds=20)
    slack.error = None
    world.log("other")
    world.run(*couriers, seconds=20)
    assert mail.kinds == [Kind.FIRST]
    assert slack.kinds == [Kind.FIRST]


def test_what_the_only_sink_never_takes_does_not_hold_up_the_rest(
    world: World, slack: RecordingSink
) -> None:
    courier = world.courier(slack)
    refusals = iter([SinkError("invalid_blocks", permanent=True)])
    slack.error = lambda: next(refusals, None)
    world.log("a")
    world.run(courier, seconds=6)
    second = world.log("b")
    world.run(courier, seconds=6)
    assert set(slack.counts) == {second}
    world.run(courier, seconds=300)
    assert len(slack.counts) == 2


def test_retry_after_is_honoured(world: World, slack: RecordingSink) -> None:
    courier = world.courier(slack)
    slack.error = SinkError("429", retry_after_seconds=40)
    world.log()
    world.run(courier, seconds=6)
    slack.error = None
    world.run(courier, seconds=35)
    assert slack.sent == []
    world.run(courier, seconds=10)
    assert slack.kinds == [Kind.FIRST]


def test_a_sink_that_hangs_is_left_alone_and_its_call_ends_in_time(
    world: World, slack: RecordingSink, mail: RecordingSink
) -> None:
    couriers = (
        world.courier(slack, "email", deadline_seconds=0.1),
        world.courier(mail, "slack"),
    )
    slack.hangs_until = threading.Event()
    world.log()
    world.run(*couriers, seconds=150)
    assert mail.kinds == [Kind.FIRST]
    slack.hangs_until.set()


def test_one_message_a_second_for_all_couriers_of_a_sink(
    world: World, slack: RecordingSink
) -> None:
    first, second = world.courier(slack), world.courier(slack)
    for number in range(3):
        world.log(f"bug {number}")
    world.pass_seconds(6)
    first.step()
    second.step()
    assert len(slack.sent) == 1
    world.run(first, second, seconds=3)
    assert len(slack.sent) == 3


def test_two_couriers_tell_each_group_once(world: World, slack: RecordingSink) -> None:
    couriers = world.courier(slack), world.courier(slack)
    for number in range(8):
        world.log(f"bug {number}")
    world.run(*couriers, seconds=60)
    assert len(slack.sent) == len(slack.counts) == 8


def test_a_sink_that_is_new_is_told_what_is_open(world: World, slack: RecordingSink) -> None:
    world.log()
    world.pass_seconds(10)
    world.run(world.courier(slack))
    assert slack.kinds == [Kind.FIRST]
