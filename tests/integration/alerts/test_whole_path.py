"""From what goes wrong with a job to what people read in Slack and in their mail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from jobresults.alerts import silences
from jobresults.alerts.listing import Listing, State
from jobresults.alerts.silences import Silences
from tests.integration.driver import on_sqlite
from tests.integration.worker.service import PROJECT, Service
from tests.services.process import eventually
from tests.services.slack_server import BOT_TOKEN, SlackServer
from tests.services.smtp_server import StartSmtp

pytestmark = on_sqlite


def test_one_message_for_each_problem_and_none_for_what_is_silenced(
    service: Service,
    slack_server: SlackServer,
    start_smtp: StartSmtp,
    tmp_path: Path,
) -> None:
    mail = start_smtp()
    settings = {
        "ALERTS__SLACK__BOT_TOKEN": BOT_TOKEN,
        "ALERTS__SLACK__CHANNEL": "C1",
        "ALERTS__SLACK__API_URL": slack_server.api_url,
        "ALERTS__EMAIL__HOST": "127.0.0.1",
        "ALERTS__EMAIL__PORT": str(mail.port),
        "ALERTS__EMAIL__TLS": "none",
        "ALERTS__EMAIL__TO_ADDRESSES": '["ops@example.com"]',
        "ALERTS__GROUP_WAIT_SECONDS": "0.5",
        "ALERTS__LINKS__BASE_URL": "https://jobs.example",
        "ALERTS__LINKS__SIGNING_KEY": "k" * 32,
        "ALERTS__WATCH__INTERVAL_SECONDS": "1",
    }
    silences.create(service.database, ttl="1h", created_by="me", task="fails_for_good")
    worker = service.start("worker", settings)
    service.start("maintenance", settings)
    service.run("is_killed")
    eventually(lambda: slack_server.messages, "Slack is told")
    assert "Executors running task is_killed are killed" in slack_server.messages[0].shown
    assert "https://jobs.example/v1/silence-link?" in str(slack_server.messages[0].blocks)

    done = subprocess.run(
        [sys.executable, "-m", "jobresults.cli.main", "alerts", "test"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "JOBRESULTS_REDIS__URL": service.redis.url,
            **{f"JOBRESULTS_{name}": text for name, text in settings.items()},
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "slack: delivered\nemail: delivered\n")
    assert "TEST" in mail.messages[0]["Subject"]

    service.run("fails_for_good")
    redis = service.driver.redis
    listing = Listing(redis, Silences(service.database))

    def states() -> dict[str | None, State]:
        return {item.tracked.group.sample.task: item.state for item in listing.page()[0]}

    eventually(lambda: "fails_for_good" in states(), "it is counted")
    worker.send(signal.SIGKILL)
    eventually(lambda: not redis.info("clients")["blocked_clients"], "it takes no job with it")
    job_id = service.submit("echo", value=1)
    eventually(lambda: len(slack_server.messages) == 3, "Slack is told of it")
    assert "No worker serves queue default" in slack_server.messages[2].shown
    service.start("worker", settings)
    service.ended(job_id)
    assert states()["fails_for_good"] is State.SILENCED
    assert states()["is_killed"] is State.OPEN
    assert len(slack_server.messages) == 3
