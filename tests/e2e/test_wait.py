"""`jobresults wait`, and what commands exit with."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from jobresults.jobs.states import State
from tests.e2e.conftest import Command
from tests.e2e.up_process import COMMAND
from tests.services.process import eventually
from tests.services.stack import Stack


def lines(text: str) -> dict[str, dict[str, Any]]:
    """Printed outcomes by the job's id."""
    return {line["job_id"]: line for line in map(json.loads, text.splitlines())}


def test_a_failed_job_exits_3_with_its_reason(jobresults: Command) -> None:
    failed = jobresults("submit", "fails_for_good", "--wait", exit_code=3)
    assert failed.stdout == ""
    assert "the account is closed" in failed.stderr


def test_a_canceled_job_exits_3(jobresults: Command, stack: Stack) -> None:
    job_id = stack.submit("unserved")
    stack.request("POST", f"/v1/jobs/{job_id}/cancel")
    jobresults("wait", job_id, exit_code=3)


def test_a_wrong_token_exits_4(jobresults: Command) -> None:
    jobresults("get", str(uuid.uuid4()), JOBRESULTS_TOKEN="wrong", exit_code=4)


def test_a_job_that_takes_longer_exits_5_and_goes_on(
    jobresults: Command, stack: Stack, gate: Path
) -> None:
    job_id = stack.running(gate)
    eventually(lambda: stack.job(job_id)["progress"], "it has said how far it is")
    assert jobresults("wait", job_id, "--timeout", "0.1", exit_code=5).stdout == ""
    many = jobresults("wait", job_id, job_id, "--timeout", "0.1s", exit_code=5)
    assert lines(many.stdout) == {job_id: {"job_id": job_id, "state": "running"}}
    assert many.stderr == "running 1/2: waiting\n"
    assert stack.job(job_id)["state"] == State.RUNNING


def test_an_unknown_job_exits_6(jobresults: Command) -> None:
    for command in ("get", "wait", "logs", "cancel", "rerun"):
        jobresults(command, str(uuid.uuid4()), exit_code=6)


def test_an_expired_job_exits_6(jobresults: Command, stack: Stack) -> None:
    job_id = stack.run("short_lived")
    eventually(lambda: stack.request("GET", f"/v1/jobs/{job_id}/result").status_code == 410, "gone")
    jobresults("wait", job_id, exit_code=6)
    outcome = lines(jobresults("wait", "-", text=job_id, exit_code=6).stdout)[job_id]
    assert outcome["error"]["code"] == "result_expired"


def test_wrong_usage_exits_2(jobresults: Command) -> None:
    for arguments in ([], ["x"], [str(uuid.uuid4()), "--timeout", "-1"]):
        wrong = jobresults("wait", *arguments, exit_code=2)
        assert wrong.stdout == ""
        assert wrong.stderr.startswith("Usage: ")


def test_of_many_jobs_each_is_a_line_and_the_worst_is_the_exit_code(
    jobresults: Command, stack: Stack
) -> None:
    good, bad, unknown = (
        stack.submit("echo", {"value": 0}),
        stack.submit("fails_for_good"),
        str(uuid.uuid4()),
    )
    waited = lines(jobresults("wait", good, bad, exit_code=3).stdout)
    assert waited[good] == {"job_id": good, "state": "succeeded", "result": 0}
    assert waited[bad]["state"] == "failed"
    assert waited[bad]["error"]["detail"] == "PermanentError: the account is closed"
    waited = lines(jobresults("wait", good, unknown, "-", text=f"{bad}\n", exit_code=6).stdout)
    assert list(waited) == [good, unknown, bad]
    assert waited[unknown]["error"]["code"] == "not_found"
    many = [stack.submit("echo", {"value": value}) for value in range(60)]
    waited = lines(jobresults("wait", *many).stdout)
    assert [waited[job_id]["result"] for job_id in many] == list(range(60))


def test_any_is_content_with_the_first_that_ends(
    jobresults: Command, stack: Stack, gate: Path
) -> None:
    runs, ends = stack.running(gate), stack.submit("fails_for_good")
    waited = jobresults("wait", "--any", runs, ends, exit_code=3)
    assert list(lines(waited.stdout)) == [ends]
    assert stack.job(runs)["state"] == State.RUNNING


def test_commands_pipe_jobs_into_it(jobresults: Command, stack: Stack) -> None:
    customer = f"pipes-{uuid.uuid4()}"
    ids = {stack.submit("echo", {"value": 1}, customer=customer) for _ in range(3)}
    listed = jobresults("list", "--customer", customer).stdout
    assert set(lines(jobresults("wait", "-", text=listed).stdout)) == ids
    assert jobresults("wait", "-").stdout == ""


@pytest.mark.parametrize("output", ["jsonl", "csv"])
def test_a_reader_that_goes_away_causes_no_traceback(
    shell: dict[str, str], stack: Stack, output: str
) -> None:
    for _ in range(2):
        stack.submit("echo")
    listing = subprocess.Popen(
        [*COMMAND, "list", "-o", output], env=shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert listing.stdout is not None
    listing.stdout.close()
    _, said = listing.communicate(timeout=60)
    assert (listing.returncode, said) == (1, b"")
