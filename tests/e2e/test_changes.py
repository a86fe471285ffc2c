"""`jobresults cancel` and `rerun` against the running service."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Command
from tests.services.stack import Stack


@pytest.fixture
def customer() -> str:
    """One nobody else has."""
    return f"changes-{uuid.uuid4()}"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_jobs_are_canceled_by_id_each_with_its_outcome(
    jobresults: Command, stack: Stack, gate: Path
) -> None:
    queued, running, ended = stack.submit("unserved"), stack.running(gate), stack.run("echo")
    done = jobresults("cancel", queued, running)
    assert lines(done.stdout) == [
        {"job_id": queued, "outcome": "canceled"},
        {"job_id": running, "outcome": "stopping"},
    ]
    assert done.stderr == "1 canceled, 1 stopping\n"
    refused = jobresults("cancel", queued, ended, str(uuid.uuid4()), exit_code=1)
    assert [line["outcome"] for line in lines(refused.stdout)] == ["canceled", "refused", "refused"]
    assert "already succeeded" in lines(refused.stdout)[1]["detail"]
    assert refused.stderr == "1 canceled, 2 refused\n"
    assert stack.ended(running)["state"] == "canceled"
    told = jobresults("cancel", queued, ended, "-o", "table", exit_code=1).stdout.splitlines()
    assert told[0] == f"{queued} canceled"
    assert told[1].startswith(f"{ended} refused: ")


def test_a_filter_changes_nothing_unless_it_is_meant(
    jobresults: Command, stack: Stack, customer: str
) -> None:
    ids = [stack.submit("unserved", customer=customer) for _ in range(2)]
    other = stack.submit("unserved", customer=f"{customer}-other")
    chosen = ("cancel", "--filter", f"customer={customer}", "--filter", "task=unserved")
    seen = jobresults(*chosen, "--dry-run")
    assert [job["job_id"] for job in lines(seen.stdout)] == ids[::-1]
    refused = jobresults(*chosen, exit_code=2)
    assert "2 jobs found: --yes to cancel" in refused.stderr
    assert {stack.job(job_id)["state"] for job_id in ids} == {"queued"}
    done = jobresults(*chosen, "--yes")
    assert done.stderr == "2 canceled\n"
    assert {stack.job(job_id)["state"] for job_id in ids} == {"canceled"}
    assert stack.job(other)["state"] == "queued"
    assert jobresults(*chosen).stderr == "no jobs\n"
    jobresults("cancel", other)


def test_failed_jobs_run_again_and_can_be_waited_for(
    jobresults: Command, stack: Stack, customer: str, gate: Path
) -> None:
    failed = [stack.run("fails_for_good", customer=customer) for _ in range(2)]
    good = stack.run("echo", {"value": 1}, customer=customer)
    again = jobresults("rerun", "--filter", f"customer={customer}", "--yes")
    assert {line["rerun_of"] for line in lines(again.stdout)} == set(failed)
    waited = lines(jobresults("wait", "-", text=again.stdout, exit_code=3).stdout)
    assert {line["job_id"] for line in waited} == {line["job_id"] for line in lines(again.stdout)}
    chosen = ("--filter", f"customer={customer}", "--filter", "state=succeeded")
    assert [job["job_id"] for job in lines(jobresults("rerun", *chosen, "--dry-run").stdout)] == [
        good
    ]
    running = stack.running(gate)
    mixed = jobresults("rerun", good, running, exit_code=1)
    accepted, refused = lines(mixed.stdout)
    assert accepted["rerun_of"] == good
    assert (refused["job_id"], refused["rerun_of"]) == (None, running)
    assert mixed.stderr == "1 accepted, 1 refused\n"
    told = jobresults("rerun", good, running, "-o", "table", exit_code=1).stdout.splitlines()
    assert told[0].startswith(f"{good} runs again as ")
    assert told[1].startswith(f"{running} refused: ")


def test_wrong_usage_exits_2(jobresults: Command) -> None:
    for arguments in (
        ["cancel"],
        ["cancel", str(uuid.uuid4()), "--filter", "task=echo"],
        ["cancel", "--filter", "color=red"],
        ["cancel", "--filter", "state=lost"],
        ["cancel", "--filter", "state=failed", "--yes"],
        ["cancel", "--filter", "task=a", "--filter", "task=b", "--yes"],
        ["rerun", "--filter", "state=running", "--yes"],
        ["rerun", "--filter", "since=soon", "--yes"],
    ):
        wrong = jobresults(*arguments, exit_code=2)
        assert wrong.stdout == ""
        assert wrong.stderr.startswith("Usage: ")
