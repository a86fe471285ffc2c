"""The Slack sink against a Slack that answers by a script, over real sockets."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from jobresults.alerts.model import Kind, Receipt, SinkError
from jobresults.alerts.slack import SlackSink
from jobresults.settings import AlertsSettings
from tests.services.scripted_http import Answer
from tests.services.slack_server import BOT_TOKEN, SlackServer
from tests.support import notifications
from tests.support.notifications import notification

DEADLINE_SECONDS = 0.5


def webhook_sink(server: SlackServer, **changes: Any) -> SlackSink:
    options = {"webhook_url": server.webhook_url, "deadline_seconds": 10} | changes
    return SlackSink(AlertsSettings.model_validate({"slack": options}))


def bot_sink(server: SlackServer, **changes: Any) -> SlackSink:
    options = {"bot_token": BOT_TOKEN, "channel": "#alerts", "api_url": server.api_url}
    options |= {"deadline_seconds": 10} | changes
    return SlackSink(AlertsSettings.model_validate({"slack": options}))


SINKS = pytest.mark.parametrize("make_sink", [webhook_sink, bot_sink])


@pytest.fixture
def everything_logged() -> Iterator[list[str]]:
    """Each line any logger writes, at DEBUG."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_webhook_writes_and_cannot_edit(slack_server: SlackServer) -> None:
    sink = webhook_sink(slack_server)
    assert not sink.can_edit
    assert sink.send(notification()) == Receipt()
    assert sink.update(notifications.grown(), Receipt()) == Receipt()
    assert [message.text.split(" · ")[0] for message in slack_server.messages] == [
        "🔴 ERROR score: ValueError",
        "🔴 ERROR score: ValueError grows",
    ]


def test_a_bot_edits_its_message_and_closes_it_in_its_thread(slack_server: SlackServer) -> None:
    sink = bot_sink(slack_server)
    assert sink.can_edit
    receipt = sink.send(notification())
    assert receipt.channel == "C0alerts"
    assert sink.update(notifications.grown(), receipt) == receipt
    assert sink.update(notifications.resolved(), receipt) == receipt
    (message,) = slack_server.messages
    assert (message.ts, message.edits) == (receipt.message_id, 2)
    assert message.text.startswith("✅ score: ValueError over")
    assert [reply.text for reply in message.replies] == ["quiet for 15 min"]


def test_a_bot_writes_where_the_route_says(slack_server: SlackServer) -> None:
    receipt = bot_sink(slack_server).send(notification(slack_channel="#scoring"))
    assert receipt.channel == "C0scoring"


def test_a_message_that_was_deleted_is_written_anew(slack_server: SlackServer) -> None:
    sink = bot_sink(slack_server)
    receipt = sink.send(notification())
    slack_server.messages.clear()
    anew = sink.update(notifications.grown(), receipt)
    assert anew.message_id == slack_server.messages[0].ts != receipt.message_id


@SINKS
@pytest.mark.parametrize("header", ["7", "date"])
def test_a_limit_says_when_to_come_back(
    slack_server: SlackServer, make_sink: Any, header: str
) -> None:
    if header == "date":
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    slack_server.script.append(Answer(429, b"", {"Retry-After": header}))
    with pytest.raises(SinkError) as caught:
        make_sink(slack_server).send(notification())
    assert not caught.value.permanent
    wanted = 7 if header == "7" else 60
    assert caught.value.retry_after_seconds == pytest.approx(wanted, abs=30 if wanted == 60 else 0)
    assert len(slack_server.requests) == 1


@SINKS
@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(502, b"<html>bad gateway</html>"),
        Answer(how="reset"),
        Answer(429, b"", {"Retry-After": "soon"}),
    ],
    ids=["500", "502", "reset", "429 without a time"],
)
def test_a_failure_of_the_moment_is_told_and_not_repeated(
    slack_server: SlackServer, make_sink: Any, answer: Answer
) -> None:
    slack_server.script.append(answer)
    with pytest.raises(SinkError) as caught:
        make_sink(slack_server).send(notification())
    assert (caught.value.permanent, caught.value.retry_after_seconds) == (False, None)
    assert len(slack_server.requests) == 1


def test_the_api_s_own_word_for_a_limit_is_of_the_moment(slack_server: SlackServer) -> None:
    slack_server.script.append(Answer(200, b'{"ok": false, "error": "ratelimited"}'))
    with pytest.raises(SinkError) as caught:
        bot_sink(slack_server).send(notification())
    assert not caught.value.permanent


@pytest.mark.parametrize("how", ["drip", "hang"])
def test_a_call_ends_in_time_however_slack_answers(slack_server: SlackServer, how: Any) -> None:
    slack_server.script.append(Answer(how=how))
    sink = webhook_sink(slack_server, deadline_seconds=DEADLINE_SECONDS)
    began = datetime.now(UTC)
    with pytest.raises(SinkError, match=r"took longer than 0\.5 s") as caught:
        sink.send(notification())
    assert not caught.value.permanent
    assert datetime.now(UTC) - began < timedelta(seconds=10 * DEADLINE_SECONDS)
    sink.send(notification())
    assert len(slack_server.messages) == 1


def test_calls_that_hang_do_not_pile_up(slack_server: SlackServer) -> None:
    slack_server.script.extend([Answer(how="drip")] * 5)
    sink = webhook_sink(slack_server, deadline_seconds=0.1)
    reasons = []
    for _ in range(5):
        with pytest.raises(SinkError) as caught:
            sink.send(notification())
        reasons.append(str(caught.value))
    assert reasons[-1] == "Slack still hangs in 4 earlier calls"


@SINKS
@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_what_slack_refuses_is_sent_once_more_as_plain_text(
    slack_server: SlackServer, make_sink: Any, status: int
) -> None:
    slack_server.script.append(Answer(status, b'{"ok": false, "error": "invalid_blocks"}'))
    make_sink(slack_server).send(notification())
    (message,) = slack_server.messages
    assert message.blocks == []
    assert "task score · queue default" in message.text
    slack_server.script.extend([Answer(status, b'{"ok": false, "error": "no_service"}')] * 2)
    with pytest.raises(SinkError, match="no_service") as caught:
        make_sink(slack_server).send(notification())
    assert caught.value.permanent
    assert len(slack_server.requests) == 4


def test_a_web_page_is_no_delivery(slack_server: SlackServer) -> None:
    """Slack leads a wrong address to one, which answers 200."""
    slack_server.script.extend([Answer(200, b"<!DOCTYPE html><html></html>")] * 2)
    with pytest.raises(SinkError, match=r"check alerts\.slack\.webhook_url"):
        webhook_sink(slack_server).send(notification())


@SINKS
@pytest.mark.parametrize("how", ["reset", "refused", "closed", "whole"])
def test_its_secrets_are_in_no_log_line_and_no_error(
    slack_server: SlackServer, make_sink: Any, how: str, everything_logged: list[str]
) -> None:
    slack_server.script.append(
        Answer(how="reset") if how == "reset" else Answer(503 if how == "refused" else 200, b"ok")
    )
    changes: dict[str, Any] = {}
    if how == "closed" and make_sink is webhook_sink:
        changes["webhook_url"] = slack_server.webhook_url.replace("http://", "nonsense://")
    elif how == "closed":
        changes["api_url"] = "nonsense://127.0.0.1/canary/"
    told = list(everything_logged)
    try:
        make_sink(slack_server, **changes).send(notification())
    except SinkError as error:
        told += [str(error), *traceback.format_exception(error)]
    assert how == "whole" or told
    assert "canary" not in "\n".join([*told, *everything_logged])


def test_a_test_message_says_so(slack_server: SlackServer) -> None:
    webhook_sink(slack_server).send(notification(Kind.TEST))
    assert slack_server.messages[0].text.startswith("🧪 TEST")
