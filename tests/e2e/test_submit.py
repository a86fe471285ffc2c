"""`jobresults submit` against the running service."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from jobresults.jobs.model import job as job_table
from tests.e2e.conftest import Command
from tests.services.stack import Stack


def test_it_prints_the_job_and_get_its_state(jobresults: Command, stack: Stack) -> None:
    submitted = jobresults("submit", "echo", "--data", '{"value": [1, "ß"]}', "--customer", "alice")
    job = json.loads(submitted.stdout)
    assert submitted.stderr == f"job {job['job_id']} accepted\n"
    stack.ended(job["job_id"])
    got = json.loads(jobresults("get", job["job_id"]).stdout)
    assert (got["result"], got["customer"]) == ([1, "ß"], "alice")


def test_with_wait_it_prints_the_result_alone(jobresults: Command) -> None:
    for result in ("null", "0", "false", '""', "[]", '{"a": 1}'):
        done = jobresults("submit", "echo", "-p", f"value={result}", "--wait")
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
        assert json.loads(done.stdout) == result


def test_parameters_are_typed_by_the_tasks_schema(jobresults: Command, stack: Stack) -> None:
    given = ["-p", 'items=[{"name": "a", "count": 1}]', "-p", "ratio=1.5", "--wait"]
    assert json.loads(jobresults("submit", "typed", *given).stdout) == [{"name": "a", "count": 1}]
    failed = jobresults(
        "submit", "fails", "-p", "message=007", "--max-attempts", "1", "--wait", exit_code=3
    )
    assert "007" in failed.stderr
    before = stack.count_jobs()
    wrong = jobresults("submit", "typed", "-p", "items=[]", "-p", "ratio=half", exit_code=2)
    assert "ratio wants number, not 'half'" in wrong.stderr
    assert stack.count_jobs() == before


def test_the_service_gets_all_that_is_asked_for(jobresults: Command, stack: Stack) -> None:
    options = ["--queue", "default", "--max-attempts", "2", "--timeout", "1.5m", "--delay", "1h"]
    tags = ["--tag", "nightly", "--tag", "ß"]
    url = ["--callback-url", "https://192.0.2.1/hook"]
    printed = jobresults("submit", "unserved", *options, *tags, "--customer", "c")
    job = json.loads(printed.stdout)
    assert (job["queue"], job["max_attempts"], job["tags"]) == ("default", 2, ["nightly", "ß"])
    assert (job["customer"], job["waiting_on"]) == ("c", "schedule")
    columns = (job_table.c.timeout_seconds, job_table.c.due_at_ms - job_table.c.created_at_ms)
    with stack.ledger.read() as connection:
        row = connection.execute(select(*columns).where(job_table.c.id == job["job_id"])).one()
    assert tuple(row) == (90, 3_600_000)
    refused = jobresults("submit", "unserved", *url, exit_code=1)
    assert "callback_url" in refused.stderr
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    later = json.loads(jobresults("submit", "unserved", "--run-at", tomorrow.isoformat()).stdout)
    assert later["waiting_on"] == "schedule"
    jobresults("cancel", job["job_id"], later["job_id"])


def test_the_same_idempotency_key_is_the_same_job(jobresults: Command) -> None:
    key = str(uuid.uuid4())
    first, second = (jobresults("submit", "echo", "--idempotency-key", key) for _ in range(2))
    assert json.loads(first.stdout)["job_id"] == json.loads(second.stdout)["job_id"]


def test_wrong_usage_exits_2(jobresults: Command) -> None:
    for arguments in (
        [],
        ["echo", "--data", "@missing.json"],
        ["echo", "--data", "{broken"],
        ["echo", "--data", "[1]", "-p", "value=1"],
        ["echo", "-p", "novalue"],
        ["echo", "--delay", "1h", "--run-at", "2030-01-01"],
        ["echo", "--wait-timeout", "1s"],
    ):
        wrong = jobresults("submit", *arguments, exit_code=2)
        assert wrong.stdout == ""
        assert wrong.stderr.startswith("Usage: ")


def test_what_the_service_refuses_exits_1_with_every_problem(jobresults: Command) -> None:
    refused = jobresults("submit", "typed", "-p", 'items=[{"name": 1, "count": -1}]', exit_code=1)
    assert refused.stdout == ""
    for path in ("params.items[0].name", "params.items[0].count", "params.ratio"):
        assert path in refused.stderr


def test_an_unknown_task_is_refused_by_the_service(jobresults: Command) -> None:
    refused = jobresults("submit", "ehco", "-p", "value=1", exit_code=1)
    assert "echo" in refused.stderr
