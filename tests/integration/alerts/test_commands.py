"""`jobresults alerts …`, as a person on call uses it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from jobresults.alerts import silences
from jobresults.alerts.model import Kind, SinkError
from jobresults.alerts.relay import Relay
from jobresults.alerts.transport import RedisTransport
from jobresults.cli.main import main
from jobresults.database import Database
from jobresults.settings import AlertsSettings, RedisSettings, Settings
from tests.integration.alerts.conftest import World
from tests.integration.driver import on_sqlite
from tests.services.process import eventually
from tests.support.recording_sink import RecordingSink

pytestmark = on_sqlite

Command = Callable[..., subprocess.CompletedProcess[str]]
SINKS = {
    "ALERTS__SLACK__WEBHOOK_URL": "https://hooks.example/x",
    "ALERTS__EMAIL__HOST": "localhost",
    "ALERTS__EMAIL__TO_ADDRESSES": '["ops@example.com"]',
}


@pytest.fixture
def alerts(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> Command:
    """Runs a command on an empty Redis and an empty ledger."""
    environ = {
        **os.environ,
        "JOBRESULTS_DATABASE__URL": database_url,
        "JOBRESULTS_REDIS__URL": redis_url,
    }

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        chosen = {f"JOBRESULTS_{name}": text for name, text in settings.items()}
        return subprocess.run(
            [sys.executable, "-m", "jobresults.cli.main", "alerts", *arguments],
            cwd=tmp_path,
            env=environ | chosen,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def look(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command that only looks or writes in this process, where it starts sooner."""
    monkeypatch.setenv("JOBRESULTS_DATABASE__URL", database_url)
    monkeypatch.setenv("JOBRESULTS_REDIS__URL", redis_url)
    return lambda *arguments: CliRunner().invoke(main, ["alerts", *arguments])


@contextmanager
def relaying(redis_url: str, *sinks: RecordingSink) -> Iterator[None]:
    """A relay to these sinks."""
    settings = Settings(redis=RedisSettings(url=SecretStr(redis_url)), alerts=AlertsSettings())
    relay = Relay(settings, RedisTransport(settings), sinks=sinks)
    relay.start()
    try:
        yield
    finally:
        relay.stop()
        eventually(
            lambda: not [it for it in threading.enumerate() if it.name.startswith("alerts-")],
            "its threads have ended",
        )


def test_alerts_are_listed_shown_and_silenced(
    look: Callable[..., Any], world: World, database: Database
) -> None:
    world.now_ms = world.groups.clock_ms()
    sample = {"title": "boom \x1b[2J", "task": "score", "frames": "in f\x07"}
    fingerprint = world.log("boom", count=3, sample=sample)
    world.log("other")

    def table() -> list[str]:
        return list(look("list", "-o", "table").stdout.splitlines())

    done = look("list", "--limit", "1")
    assert len(done.stdout.splitlines()) == 1
    assert "there are more" in done.stderr
    (line,) = [line for line in table() if fingerprint in line]
    assert re.match(rf"{fingerprint}  open +error +3  \S+ \S+Z  boom \\x1b\[2J$", line), line
    listed = [json.loads(line) for line in look("list").stdout.splitlines()]
    found = {it["fingerprint"]: (it["state"], it["severity"], it["count"]) for it in listed}
    assert found[fingerprint] == ("open", "error", 3)
    shown = look("show", fingerprint).stdout
    assert "task        score" in shown
    assert "in f\\x07" in shown

    made = look("silence", "--fingerprint", fingerprint, "--for", "2h", "--reason", "known")
    assert made.exit_code == 0, made.stderr
    assert look("list", "--state", "open").stdout.count("\n") == 1
    assert "(by command): known" in look("show", fingerprint).stdout
    (silence,) = silences.page(database)[0]
    assert made.stdout == f"jobresults alerts unsilence {silence.id}\n"
    assert look("unsilence", silence.id).exit_code == 0
    assert look("list", "--state", "open").stdout.count("\n") == 2


def test_the_links_of_an_alert_can_be_opened(
    look: Callable[..., Any], world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no browser there
    monkeypatch.setenv("BROWSER", "")
    world.now_ms = world.groups.clock_ms()
    fingerprint = world.log("boom", sample={"job_id": "j"})

    def opened(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["open", *arguments])

    done = opened(fingerprint)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no link to runbook or job or sentry or logs or silence" in done.stderr
    monkeypatch.setenv("JOBRESULTS_ALERTS__LINKS__LOGS_URL", "https://logs.example/{job_id}")
    assert opened(fingerprint).stdout == "https://logs.example/j\n"
    monkeypatch.setenv("JOBRESULTS_ALERTS__LINKS__RUNBOOK_URL", "https://runbooks.example/x")
    assert opened(fingerprint).stdout == "https://runbooks.example/x\n"
    assert opened(fingerprint, "--to", "logs").stdout == "https://logs.example/j\n"
    monkeypatch.setenv("JOBRESULTS_ALERTS__LINKS__BASE_URL", "https://jobs.example")
    assert opened(fingerprint, "--to", "job").stdout == "https://jobs.example/jobs/j\n"
    assert opened("0" * 16).exit_code == 6


def test_wrong_usage_says_what_is_wrong(look: Callable[..., Any], database: Database) -> None:
    for arguments, words, code in (
        (("silence", "--for", "1h"), "at least one of fingerprint, task and customer", 1),
        (("silence", "--task", "x", "--for", "soon"), "ttl: give seconds, or a number with", 1),
        (("unsilence", "unknown"), "no such silence", 6),
        (("show", "unknown"), "no such alert", 6),
    ):
        done = look(*arguments)
        assert (done.exit_code, words in done.stderr) == (code, True), done.stderr


def test_a_test_goes_to_every_sink(alerts: Command, redis_url: str) -> None:
    slack, email = RecordingSink("slack"), RecordingSink("email", can_edit=False)
    with relaying(redis_url, slack, email):
        done = alerts("test", **SINKS)
    assert (done.returncode, done.stdout) == (0, "slack: delivered\nemail: delivered\n")
    for sink in (slack, email):
        assert sink.kinds == [Kind.TEST]
        assert sink.sent[0].entries[0].group.sample.title == "Test of the alerts"


def test_a_test_says_which_sink_failed_and_why(alerts: Command, redis_url: str) -> None:
    slack = RecordingSink("slack", error=SinkError("no such channel", permanent=True))
    email = RecordingSink("email", error=SinkError("connection refused"))
    with relaying(redis_url, slack, email):
        done = alerts("test", "--timeout", "3", **SINKS)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "slack: refused: no such channel",
        "email: failing, and tried again: connection refused",
    ]


def test_the_only_sink_may_refuse_a_test(alerts: Command, redis_url: str) -> None:
    slack = RecordingSink("slack", error=SinkError("no such channel", permanent=True))
    with relaying(redis_url, slack):
        done = alerts("test", ALERTS__SLACK__WEBHOOK_URL=SINKS["ALERTS__SLACK__WEBHOOK_URL"])
    assert done.returncode == 1
    assert done.stdout == "slack: refused: no such channel\nemail: not configured\n"


def test_a_test_without_a_relay_or_a_sink_says_so(alerts: Command) -> None:
    done = alerts("test", "--timeout", "1", **SINKS)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == (
        "slack: no relay looked for it within 1 s: does `jobresults maintenance` run?"
    )
    done = alerts("test")
    assert (done.returncode, done.stdout) == (1, "slack: not configured\nemail: not configured\n")


def test_a_test_without_redis_says_so(alerts: Command) -> None:
    done = alerts("test", **SINKS, REDIS__URL="redis://127.0.0.1:1/0")
    assert done.returncode == 7
    assert done.stderr.startswith("Error: redis: ConnectionError")
