"""`jobresults list`, `logs` and `tasks` against the running service."""

from __future__ import annotations

import csv
import io
import json
import shlex
import uuid
from dataclasses import dataclass

import pytest

from tests.e2e.conftest import Command
from tests.services.stack import Stack


@dataclass(frozen=True)
class Jobs:
    """One job of each kind, all of one customer nobody else has."""

    customer: str
    succeeded: str
    failed: str


@pytest.fixture(scope="module")
def made() -> dict[int, Jobs]:
    return {}


@pytest.fixture
def jobs(stack: Stack, made: dict[int, Jobs]) -> Jobs:
    if stack.port not in made:
        customer = f"looks-{uuid.uuid4()}"
        made[stack.port] = Jobs(
            customer,
            succeeded=stack.run("echo", {"value": 1}, customer=customer, tags=["even"]),
            failed=stack.run("fails_for_good", customer=customer),
        )
    return made[stack.port]


def test_every_filter_reaches_the_service(jobresults: Command, jobs: Jobs) -> None:
    def found(*arguments: str) -> list[str]:
        printed = jobresults("list", "--customer", jobs.customer, *arguments)
        assert printed.stderr == ""
        return [json.loads(line)["job_id"] for line in printed.stdout.splitlines()]

    assert found() == [jobs.failed, jobs.succeeded]
    assert found("--state", "failed") == [jobs.failed]
    assert found("--state", "failed", "--state", "succeeded") == [jobs.failed, jobs.succeeded]
    assert found("--task", "echo") == [jobs.succeeded]
    assert found("--tag", "even") == [jobs.succeeded]
    assert found("-q", "account is closed") == [jobs.failed]
    assert found("--id", jobs.succeeded) == [jobs.succeeded]
    assert found("--since", "1h") == [jobs.failed, jobs.succeeded]
    assert found("--since", "2999-01-01") == []
    assert found("--until", "1h") == []


def test_there_are_no_more_than_the_limit_and_that_is_told(jobresults: Command, jobs: Jobs) -> None:
    printed = jobresults("list", "--customer", jobs.customer, "--limit", "1", "-o", "json")
    assert [job["job_id"] for job in json.loads(printed.stdout)] == [jobs.failed]
    assert printed.stderr == "there are more; --limit 10 shows them\n"
    assert jobresults("list", "--customer", jobs.customer, "--limit", "2").stderr == ""


def test_csv_and_a_table_have_a_row_for_each(jobresults: Command, jobs: Jobs) -> None:
    choice = ("list", "--customer", jobs.customer, "-o")
    rows = list(csv.DictReader(io.StringIO(jobresults(*choice, "csv").stdout)))
    assert [(row["job_id"], row["state"]) for row in rows] == [
        (jobs.failed, "failed"),
        (jobs.succeeded, "succeeded"),
    ]
    assert rows[1]["tags"] == '["even"]'
    header, *table = jobresults(*choice, "table").stdout.splitlines()
    assert header.split() == ["job", "id", "task", "customer", "state", "age", "tags", "progress"]
    assert [line.split()[0] for line in table] == [jobs.failed, jobs.succeeded]


def test_wrong_usage_exits_2(jobresults: Command) -> None:
    for arguments in (["--state", "lost"], ["--since", "soon"], ["--limit", "0"], ["-o", "xml"]):
        jobresults("list", *arguments, exit_code=2)


def test_a_card_tells_all_that_is_known(jobresults: Command, stack: Stack, jobs: Jobs) -> None:
    card = jobresults("get", jobs.failed, "-o", "table").stdout
    for text in (
        jobs.failed,
        jobs.customer,
        "(ran ",
        "1 of 3",
        "account is closed",
        "will not help",
    ):
        assert text in card
    assert "result      1\n" in jobresults("get", jobs.succeeded, "-o", "table").stdout
    rerun = json.loads(jobresults("rerun", jobs.succeeded).stdout)["job_id"]
    stack.ended(rerun)
    assert f"rerun of    {jobs.succeeded}\n" in jobresults("get", rerun, "-o", "table").stdout
    waiting = stack.submit("unserved", tags=["a\x9b", "b"])
    assert "queued, waiting on worker" in jobresults("get", waiting, "-o", "table").stdout
    assert "\x9b" not in jobresults("get", waiting).stdout
    jobresults("cancel", waiting)


def test_log_lines_come_page_by_page(jobresults: Command, stack: Stack) -> None:
    job_id = stack.run("talks", {"lines": 510})
    lines = [json.loads(line) for line in jobresults("logs", job_id).stdout.splitlines()]
    assert [line["message"] for line in lines] == [f"line {number}" for number in range(1, 511)]
    text = jobresults("logs", job_id, "-f", "-o", "table").stdout.splitlines()
    assert len(text) == 510
    assert text[0].split(maxsplit=2)[2] == "INFO    line 1"
    (header, *_) = jobresults("logs", job_id, "-o", "csv").stdout.splitlines()
    assert header == "seq,at,attempt,level,logger,message"


def test_tasks_are_listed_and_shown_with_an_example_that_works(jobresults: Command) -> None:
    names = [json.loads(line)["name"] for line in jobresults("tasks").stdout.splitlines()]
    assert {"echo", "score", "typed"} <= set(names)
    listed = jobresults("tasks", "-o", "table").stdout
    assert "Return the items." in listed
    for name in ("typed", "fails_for_good", "talks"):
        card = jobresults("tasks", name, "-o", "table").stdout
        *_, example = card.splitlines()
        program, *arguments = shlex.split(example)
        assert program == "jobresults"
        jobresults(*arguments, exit_code=3 if name == "fails_for_good" else 0)
    typed = jobresults("tasks", "typed", "-o", "table").stdout
    for line in (
        "items  list of Item  required",
        "count  integer >= 0  required",
        "Returns list of Item.",
    ):
        assert line in typed
    assert json.loads(jobresults("tasks", "typed").stdout)["params_schema"]["required"]
    unknown = jobresults("tasks", "type", exit_code=2)
    assert "did you mean typed?" in unknown.stderr
