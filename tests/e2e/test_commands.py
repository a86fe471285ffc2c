"""`jobresults submit`, `get` and `wait` against the running service."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from jobresults.jobs.states import State
from tests.e2e.up_process import COMMAND
from tests.services.process import Process, eventually
from tests.services.stack import Stack

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(stack: Stack) -> dict[str, str]:
    """What a shell has that calls the service."""
    return {**os.environ, "JOBRESULTS_URL": stack.url, "JOBRESULTS_TOKEN": stack.key}


@pytest.fixture
def jobresults(environ: dict[str, str], tmp_path: Path) -> Command:
    """Runs a command to its end."""

    def run(*arguments: str, text: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env={**environ, **changes},
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_submit_prints_the_job_and_get_its_state(jobresults: Command, stack: Stack) -> None:
    submitted = jobresults("submit", "echo", "--data", '{"value": [1, "ß"]}', "--customer", "alice")
    assert submitted.returncode == 0, submitted.stderr
    job = json.loads(submitted.stdout)
    assert submitted.stderr == f"job {job['job_id']} accepted\n"
    stack.ended(job["job_id"])
    got = jobresults("get", job["job_id"])
    assert got.returncode == 0
    assert json.loads(got.stdout)["result"] == [1, "ß"]
    assert json.loads(got.stdout)["customer"] == "alice"


@pytest.mark.parametrize("result", ["null", "0", "false", '""', "[]", '{"a":1}'])
def test_submit_and_wait_prints_the_result_alone(jobresults: Command, result: str) -> None:
    done = jobresults("submit", "echo", "-p", f"value={result}", "--wait")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(result)


def test_parameters_come_from_a_file_from_stdin_and_one_by_one(
    jobresults: Command, tmp_path: Path
) -> None:
    (tmp_path / "params.json").write_text('{"value": "of a file"}')
    for arguments, text, result in [
        (["--data", "@params.json"], "", "of a file"),
        (["--data", "-"], '{"value": "of stdin"}', "of stdin"),
        (["-p", "value=plain text"], "", "plain text"),
        (["--data", "@params.json", "-p", "value=7"], "", 7),
    ]:
        done = jobresults("submit", "echo", "--wait", *arguments, text=text)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == result


def test_the_same_idempotency_key_is_the_same_job(jobresults: Command) -> None:
    key = str(uuid.uuid4())
    first, second = (jobresults("submit", "echo", "--idempotency-key", key) for _ in range(2))
    assert json.loads(first.stdout)["job_id"] == json.loads(second.stdout)["job_id"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit"],
        ["submit", "echo", "--data", "@missing.json"],
        ["submit", "echo", "--data", "{broken"],
        ["submit", "echo", "--data", "[1]", "-p", "value=1"],
        ["submit", "echo", "-p", "novalue"],
        ["wait", "x", "--timeout", "-1"],
    ],
)
def test_wrong_usage_exits_2(jobresults: Command, arguments: list[str]) -> None:
    wrong = jobresults(*arguments)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("Usage: ")


def test_what_the_service_refuses_exits_1_with_every_problem(jobresults: Command) -> None:
    refused = jobresults("submit", "typed", "-p", 'items=[{"name": 1, "count": -1}]')
    assert (refused.returncode, refused.stdout) == (1, "")
    for path in ("params.items[0].name", "params.items[0].count", "params.ratio"):
        assert path in refused.stderr


def test_a_failed_job_exits_3_with_its_reason(jobresults: Command) -> None:
    failed = jobresults("submit", "fails_for_good", "--wait")
    assert (failed.returncode, failed.stdout) == (3, "")
    assert "the account is closed" in failed.stderr


def test_a_canceled_job_exits_3(jobresults: Command, stack: Stack) -> None:
    job_id = stack.submit("unserved")
    stack.request("POST", f"/v1/jobs/{job_id}/cancel")
    assert jobresults("wait", job_id).returncode == 3


def test_a_wrong_token_exits_4(jobresults: Command) -> None:
    assert jobresults("get", str(uuid.uuid4()), JOBRESULTS_TOKEN="wrong").returncode == 4


def test_a_job_that_takes_longer_exits_5_and_goes_on(
    jobresults: Command, stack: Stack, gate: Path
) -> None:
    job_id = stack.running(gate)
    waited = jobresults("wait", job_id, "--timeout", "0.1")
    assert (waited.returncode, waited.stdout) == (5, "")
    assert stack.job(job_id)["state"] == State.RUNNING


@pytest.mark.parametrize("command", ["get", "wait"])
def test_an_unknown_job_exits_6(jobresults: Command, command: str) -> None:
    assert jobresults(command, str(uuid.uuid4())).returncode == 6


def test_an_expired_job_exits_6(jobresults: Command, stack: Stack) -> None:
    job_id = stack.run("short_lived")
    eventually(lambda: stack.request("GET", f"/v1/jobs/{job_id}/result").status_code == 410, "gone")
    assert jobresults("wait", job_id).returncode == 6


def test_ctrl_c_exits_130_and_tells_how_to_come_back(
    environ: dict[str, str], stack: Stack, gate: Path, tmp_path: Path
) -> None:
    job_id = stack.running(gate)
    as_users_run_it = {name: text for name, text in environ.items() if not name.startswith("COV")}
    waiting = Process("wait", [*COMMAND, "wait", job_id], tmp_path, as_users_run_it)
    eventually(lambda: "running" in waiting.log(), "it waits")
    assert waiting.stop(signal.SIGINT) == 130
    assert f"job continues: jobresults wait {job_id}" in waiting.log()


def test_without_a_terminal_progress_is_one_line_per_change(
    environ: dict[str, str], stack: Stack, gate: Path, tmp_path: Path
) -> None:
    job_id = stack.running(gate)
    waiting = Process("wait", [*COMMAND, "wait", job_id], tmp_path, environ)
    eventually(lambda: "running" in waiting.log(), "it waits")
    gate.touch()
    assert waiting.end() == 0
    lines = waiting.log().splitlines()
    assert len(lines) == len(set(lines))


def test_on_a_terminal_there_is_a_bar_and_stdout_stays_data(
    environ: dict[str, str], stack: Stack, gate: Path, tmp_path: Path
) -> None:
    job_id = stack.running(gate)
    terminal, other_end = pty.openpty()
    waiting = subprocess.Popen(
        [*COMMAND, "wait", job_id],
        cwd=tmp_path,
        env={**environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=other_end,
    )
    os.close(other_end)
    shown = b""
    while b"running" not in shown:
        shown += os.read(terminal, 4096)
    gate.touch()
    out, _ = waiting.communicate(timeout=60)
    os.close(terminal)
    assert waiting.returncode == 0
    json.loads(out)
