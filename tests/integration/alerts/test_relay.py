"""The relay as maintenance runs it, the dead man's switch, and alerts while Redis is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from jobresults.alerts import process
from jobresults.alerts.counts import Count
from jobresults.alerts.groups import BatchWriter, list_groups
from jobresults.alerts.handler import AlertHandler
from jobresults.alerts.model import Kind, Sink, SinkError
from jobresults.alerts.process import ProcessAlerts
from jobresults.alerts.relay import Heart, Relay
from jobresults.alerts.transport import RedisTransport, speak_up
from jobresults.redis_store import Client
from jobresults.settings import AlertsSettings, RedisSettings, Settings
from tests.integration.alerts.conftest import a_sample
from tests.services.process import eventually
from tests.support.recording_sink import RecordingSink


@pytest.fixture
def pings() -> Iterator[tuple[str, list[str]]]:
    """A server that notes who pings it."""
    seen: list[str] = []

    class Note(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Note) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/ping/secret", seen
        server.shutdown()


def settings_of(redis_url: str, **alerts: object) -> Settings:
    chosen = AlertsSettings.model_validate({"group_wait_seconds": 0, **alerts})
    return Settings(redis=RedisSettings(url=SecretStr(redis_url)), alerts=chosen)


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessAlerts]:
    """This process's, with one handler on the root logger."""
    fresh = ProcessAlerts()
    monkeypatch.setattr(process, "alerts", fresh)
    handler = AlertHandler()
    logging.getLogger().addHandler(handler)
    yield fresh
    logging.getLogger().removeHandler(handler)


def test_the_heartbeat_is_pinged_only_if_it_came_through_and_a_sink_works(
    redis: Client, redis_url: str, alerts: ProcessAlerts, pings: tuple[str, list[str]]
) -> None:
    url, seen = pings
    settings = settings_of(redis_url, heartbeat_url=url)
    transport = RedisTransport(settings)
    alerts.send_through(transport)
    heart = Heart(settings, transport, ["slack"])
    heart.beat()
    assert seen == ["/ping/secret"]
    assert list_groups(redis) == [], "it is no problem to be told"

    redis.hset("jr:alerts:sink:slack", "failing_since_ms", 1)
    heart.beat()
    assert len(seen) == 1
    redis.delete("jr:alerts:sink:slack")

    alerts.send_through(None)
    heart.patience_seconds = 0.3
    heart.beat()
    assert len(seen) == 1


def test_one_sink_that_hangs_does_not_keep_another_from_its_messages(
    redis: Client, redis_url: str, alerts: ProcessAlerts
) -> None:
    settings = settings_of(
        redis_url, routes=[{"logger": "both", "slack_channel": "#c", "mail_addresses": ["a@x"]}]
    )
    transport = RedisTransport(settings)
    alerts.send_through(transport)
    slack, mail = RecordingSink("slack"), RecordingSink("email", can_edit=False)
    slack.hangs_until = threading.Event()
    relay = Relay(settings, transport, sinks=[slack, mail])
    relay.start()
    for number in range(2):
        logging.getLogger("both").error("boom", extra={"alert_key": f"k{number}"})
    eventually(lambda: mail.kinds == [Kind.FIRST] * 2, "the mail was sent", within_seconds=15)
    slack.hangs_until.set()
    relay.stop()


def test_a_relay_without_sinks_keeps_the_groups(
    redis: Client, redis_url: str, alerts: ProcessAlerts, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(redis_url)
    transport = RedisTransport(settings)
    alerts.send_through(transport)
    relay = Relay(settings, transport)
    with caplog.at_level(logging.INFO):
        relay.start()
    logging.getLogger("any").error("boom")
    eventually(lambda: len(list_groups(redis)) == 1, "it is listed")
    relay.stop()
    assert len([line for line in caplog.messages if "alerts go nowhere" in line]) == 1


@pytest.fixture
def pending() -> list[Count]:
    return [Count(f"k{number}", "error", number + 1, 1, 2, a_sample()) for number in range(30)]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def sinks(*opened: Sink) -> Callable[[Settings], list[Sink]]:
    return lambda settings: list(opened)


@pytest.mark.usefixtures("machine")
def test_without_redis_one_process_of_a_machine_speaks_up(
    pending: list[Count], redis_url: str
) -> None:
    settings = settings_of(redis_url)
    slack = RecordingSink()

    def speak(_: int) -> bool:
        return speak_up(settings, BatchWriter(settings), pending, sinks(slack))

    with ThreadPoolExecutor(4) as processes:
        assert sum(processes.map(speak, range(20))) == 1
    (notification,) = slack.sent
    assert notification.kind is Kind.DIGEST
    assert notification.note is not None
    assert notification.note.startswith("grouping unavailable")
    assert len(notification.entries) == 20
    assert notification.entries[0].group.count == 30


@pytest.mark.usefixtures("machine")
def test_without_redis_and_slack_mail_is_sent(pending: list[Count], redis_url: str) -> None:
    settings = settings_of(redis_url)
    slack, mail = RecordingSink("slack", error=SinkError("503")), RecordingSink("email")
    assert speak_up(settings, BatchWriter(settings), pending, sinks(slack, mail))
    assert mail.kinds == [Kind.DIGEST]
    assert not speak_up(settings, BatchWriter(settings), pending, sinks(mail))
