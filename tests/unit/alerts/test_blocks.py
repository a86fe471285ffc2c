"""Slack messages: what they say, and that nothing in them can ping, forge or break."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jobresults.alerts import blocks
from jobresults.alerts.model import Kind, Links, Notification, Severity
from tests.services.slack_server import refusal
from tests.support import notifications
from tests.support.notifications import BEGAN_MS, SAMPLE, notification


def shown(message: blocks.SlackMessage) -> str:
    return json.dumps(message.blocks, ensure_ascii=False)


@pytest.mark.parametrize(
    ("sent", "headline"),
    [
        (notification(), "🔴 ERROR score: ValueError · 3× · 3 jobs · 1 customer"),
        (
            notifications.grown(),
            "🔴 ERROR score: ValueError grows · 120×, up from 3, in 5 min",
        ),
        (notifications.resolved(), "✅ score: ValueError over · 120× in 40 min"),
        (
            notification(Kind.NEW_VERSION, versions={"1.4.1": 1, "1.4.2": 2}),
            "🔴 ERROR score: ValueError also in 1.4.2 · 3× · 3 jobs · 1 customer",
        ),
        (
            notification(Kind.REGRESSION, severity=Severity.CRITICAL, job_count=0),
            "🚨 CRITICAL score: ValueError is back · 3× · 1 customer",
        ),
        (notifications.digest(12), "🔴 12 problems · 36× · jobresults production"),
        (notification(Kind.TEST), "🧪 TEST score: ValueError · nothing is broken"),
    ],
    ids=lambda value: value.kind if isinstance(value, Notification) else "",
)
def test_the_headline_says_how_bad_what_and_how_much(sent: Notification, headline: str) -> None:
    message = blocks.message(sent)
    assert message.text == headline
    assert message.blocks[0]["text"]["text"] == f"*{headline}*"


def test_a_message_answers_what_broke_whom_it_hurts_and_what_next() -> None:
    pods = {f"pod-{n}": 10 - n for n in range(6)}
    text = shown(blocks.message(notification(pods=pods, note="grouping unavailable")))
    for told in (
        "grouping unavailable",
        "amount '12,5O' of message 3 is no number",
        "jobresults · production",
        f"<!date^{BEGAN_MS // 1000}^{{date_short_pretty}} {{time_secs}}|2026-09-21 14:13:20 UTC>",
        "first seen in 1.4.2",
        "pod-0 (10), pod-1 (9), pod-2 (8) + 3 more",
        "task score · queue default · attempt 3 · customer acme-bank · client crm",
        "3 jobs · 1 customer",
        "messages.py",
        "<https://wiki.example.com/runbooks/score|Runbook>",
        "|Job 0199f3c2…>",
        "|Sentry>",
        "<https://logs.example.com/?q=req-1&amp;from=now-1h|Logs>",
        "|Silence>",
        "team-scoring",
    ):
        assert told in text


def test_foreign_text_neither_pings_nor_links_nor_forges() -> None:
    evil = "<!channel> <https://evil.example|ok> & *b* \x1b[2J\u202e ```"
    sample = replace(SAMPLE, title=evil, message=f"x {evil}\nsecond line", frames=evil, task=None)
    owner = Links(runbook="javascript:alert(1)", job="https://x/|evil> <!here>")
    text = shown(blocks.message(notification(sample=sample, owner=evil, links=owner)))
    for active in ("<!channel", "<!here", "<https://evil", "javascript:", "\\u001b", "\u202e"):
        assert active not in text
    assert "&lt;!channel&gt;" in text
    assert text.count("```") == 2
    assert "\\nsecond line" in text


def test_canary_secrets_are_in_no_part_of_a_message() -> None:
    leak = "POST https://hooks.slack.com/services/T0/B0/canary; password=canary; Bearer canary1234"
    sample = replace(SAMPLE, title=leak, message=f"{leak}!", frames=f'  File "x"\n    {leak}')
    message = blocks.message(notification(sample=sample, note=leak, owner=leak))
    plain = blocks.plain_text(notification(sample=sample, note=leak))
    assert "canary" not in shown(message) + message.text + plain


@pytest.mark.parametrize("filler", ["&", "x\n", "🔴", "*`~<>"])
def test_the_largest_message_is_within_slack_s_limits(filler: str) -> None:
    long = filler * 20_000
    sample = replace(SAMPLE, title=long, message=f"{long}.", frames=long, task=long, queue=long)
    links = Links(*[f"https://example.com/{n}{'&' * 500}" for n in range(5)])
    pods = {f"{n}{long}": n for n in range(9)}
    sent = notification(sample=sample, links=links, pods=pods, owner=long, note=long)
    message = blocks.message(sent)
    assert refusal({"text": message.text, "blocks": message.blocks}) is None
    assert len(blocks.plain_text(sent)) <= 12_000


def test_frames_begin_where_the_task_does() -> None:
    frames = """Traceback (most recent call last):
  File "/app/src/jobresults/worker/executor.py", line 177, in _attempt
    value = _within(job.timeout_seconds, lambda: task.call(job.params), report)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/app/src/jobresults/jobs/catalog.py", line 103, in call
    return self.function(**arguments)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/app/mine.py", line 55, in fails
    raise ValueError("^^")
ValueError: ^^
"""
    text = shown(blocks.message(notification(sample=replace(SAMPLE, frames=frames))))
    assert "executor.py" not in text
    assert "catalog.py" not in text
    assert "mine.py" in text
    assert text.count("^^") == 2


def test_what_came_at_once_has_no_duration() -> None:
    over = notification(Kind.RESOLVED, last_ms=BEGAN_MS, quiet_ms=1)
    assert blocks.message(over).text == "✅ score: ValueError over · 3×"


def test_frames_keep_their_innermost_end() -> None:
    sample = replace(SAMPLE, frames="\n".join(f"frame {n} &&&" for n in range(1_000)))
    text = shown(blocks.message(notification(sample=sample)))
    assert "frame 999 " in text
    assert "frame 1 " not in text


def test_a_digest_of_many_says_how_many_are_left_out() -> None:
    message = blocks.message(notifications.digest(500))
    assert refusal({"text": message.text, "blocks": message.blocks}) is None
    text = shown(message)
    assert "score: Error0 · 3× · 3 jobs" in text
    assert " more: `jobresults alerts list`" in text
