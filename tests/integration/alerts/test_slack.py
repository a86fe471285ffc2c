"""The whole way: an error of a job or a request is a message in Slack, once."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.services.process import eventually
from tests.services.stack import Shape
from tests.services.stacks import StartStack

slack_server: Any = pytest.importorskip("tests.services.slack_server")


def test_what_many_processes_log_is_on_slack_once_within_15_seconds(
    start_stack: StartStack,
) -> None:
    with slack_server.SlackServer() as slack:
        routes = json.dumps([{"task": "fails", "owner": "team sample"}])
        settings = {"ALERTS__SLACK__WEBHOOK_URL": slack.webhook_url, "ALERTS__ROUTES": routes}
        stack = start_stack(Shape(web_workers=2, workers=2, settings=settings))
        stack.start_process("maintenance-2")
        began = time.monotonic()
        job_ids = [stack.submit("fails", {"message": "boom"}, max_attempts=1) for _ in range(6)]
        for job_id in job_ids:
            assert stack.ended(job_id)["state"] == "failed"
        about_it = eventually(
            lambda: [it for it in slack.messages if "failed for good" in it.shown],
            "it is on Slack",
        )
        assert time.monotonic() - began < 15
        time.sleep(2)  # the other relay looks several times
        assert len([it for it in slack.messages if "failed for good" in it.shown]) == 1
        assert "6" in about_it[0].text
        assert "team sample" in about_it[0].shown
        assert not [it for it in slack.messages if "Traceback" in it.text]
        stack.processes.pop("maintenance-2").stop()
