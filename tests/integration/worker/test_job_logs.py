"""Whatever a task logs, prints and warns of is kept with its job, and with no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobresults.jobs.states import State
from tests.integration.driver import on_sqlite
from tests.integration.worker.service import MAX_LOG_LINES, Service, log_lines
from tests.services.process import eventually

pytestmark = on_sqlite
in_both = pytest.mark.parametrize("task", ["talks_by", "talks_alone_by"])


def said(service: Service, how: str, argument: str = "", task: str = "talks_by") -> list[Any]:
    """The log of a job that has talked in that way."""
    row = service.run(task, how=how, argument=argument)
    assert row.state == State.SUCCEEDED, row.error
    return log_lines(service, row.id)


def messages(lines: list[Any]) -> list[str]:
    return [line["message"] for line in lines]


@in_both
def test_what_is_printed_is_kept_line_by_line(shared_service: Service, task: str) -> None:
    lines = said(shared_service, "prints", task=task)
    assert [(line["logger"], line["level"], line["message"]) for line in lines] == [
        ("stdout", "INFO", "to stdout"),
        ("stderr", "INFO", "to stderr"),
        ("stdout", "INFO", "two pieces"),
        ("stdout", "INFO", ""),
        ("stdout", "INFO", "without an end"),
    ]
    worker = shared_service.processes[0]
    assert "to stdout" in worker.log(10_000)


def test_what_any_logger_says_is_kept_without_secrets(shared_service: Service) -> None:
    lines = said(shared_service, "logs")
    assert [(line["logger"], line["level"], line["message"]) for line in lines] == [
        ("some.library", "INFO", "password=[hidden]"),
        ("some.library", "WARNING", "two\nlines"),
    ]


@in_both
def test_each_attempt_sees_its_warnings_again(shared_service: Service, task: str) -> None:
    for _ in range(2):  # Python remembers it of the first one
        lines = said(shared_service, "warns", task=task)
        assert [(line["attempt"], line["logger"], line["level"]) for line in lines] == [
            (1, "py.warnings", "WARNING"),
            (2, "py.warnings", "WARNING"),
        ]
        assert "UserWarning: this is old" in lines[0]["message"]


def test_junk_is_made_visible_and_huge_lines_are_cut(shared_service: Service) -> None:
    *junk, huge = messages(said(shared_service, "prints_junk"))
    assert junk == [
        r"\xff\x00ä",
        "\\x1b[31mred\\x1b[0m\ttab",
        r"\x1b]0;title\x07\u202e",
        "2 %",
        "dos",
    ]
    assert huge == "x" * 32_768 + "… (967232 characters more)"


def test_threads_of_a_task_print_whole_lines(shared_service: Service) -> None:
    found = messages(said(shared_service, "prints_from_threads"))
    assert sorted(found) == [f"thread {n} line {i}" for n in range(4) for i in range(3)]


def test_what_a_pool_does_belongs_to_the_job_that_asks_for_it(shared_service: Service) -> None:
    for text in ("of the first job", "of the second"):
        assert messages(said(shared_service, "prints_in_pool", text)) == [text]


def test_what_a_thread_says_after_its_job_belongs_to_nobody(
    shared_service: Service, tmp_path: Path
) -> None:
    first = shared_service.run("talks_by", how="leaves_a_thread", argument=str(tmp_path))
    assert messages(said(shared_service, "waits_for_late_words", str(tmp_path))) == ["mine"]
    assert messages(log_lines(shared_service, first.id)) == ["started"]
    assert "late words" in shared_service.processes[0].log(10_000)


def test_what_bypasses_python_goes_to_the_worker_alone(shared_service: Service) -> None:
    assert messages(said(shared_service, "bypasses_python")) == ["by Python"]
    log = shared_service.processes[0].log(10_000)
    assert all(f"by {what}" in log for what in ("its descriptor", "a program", "a fork"))


@in_both
def test_the_log_of_a_killed_job_tells_what_was_cut(shared_service: Service, task: str) -> None:
    row = shared_service.run(task, how="is_killed_talking")
    lines = log_lines(shared_service, row.id)
    assert [line["attempt"] for line in lines] == [1] * MAX_LOG_LINES + [2] * MAX_LOG_LINES
    # "line 39" to "line 99", each with its line feed.
    cut = 101 - MAX_LOG_LINES
    assert lines[-1]["message"] == (
        f"log limit of this job reached; not kept: {cut} more lines, {cut * 8} bytes"
    )


def test_a_handler_that_prints_does_not_go_round_in_circles(shared_service: Service) -> None:
    found = messages(said(shared_service, "has_a_handler_that_prints"))
    assert sorted(found) == ["handled: once", "once"]


def test_a_task_that_spoils_its_streams_spoils_no_other_job(shared_service: Service) -> None:
    assert messages(said(shared_service, "spoils_its_streams")) == ["before"]
    assert messages(said(shared_service, "prints"))[0] == "to stdout"
    assert len(said(shared_service, "logs")) == 2


def test_a_hundred_thousand_lines_are_counted(shared_service: Service) -> None:
    lines = said(shared_service, "prints_much", "100000")
    assert len(lines) == MAX_LOG_LINES
    kept = MAX_LOG_LINES - 1
    size_bytes = sum(len(f"line {number}\n") for number in range(kept, 100_000))
    text = f"not kept: {100_000 - kept} more lines, {size_bytes} bytes"
    assert lines[-1]["message"].endswith(text)


def test_less_may_be_kept_and_the_console_is_independent_of_it(service: Service) -> None:
    quiet = {"LOGGING__LEVEL": "error"}
    worker = service.start("worker", quiet)
    assert len(said(service, "logs")) == 2
    assert "some.library" not in worker.log()
    worker.stop()
    service.start("worker", {"JOBS__LOG_LEVEL": "warning"})
    eventually(lambda: service.registered_workers == 1, "the other one serves")
    assert messages(said(service, "logs")) == ["two\nlines"]
