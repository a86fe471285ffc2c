"""The job commands as people see them, on a terminal."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.up_process import COMMAND
from tests.services.process import Process, eventually
from tests.services.stack import Stack
from tests.support.terminal import CTRL_C, Terminal

OnTerminal = Callable[..., Terminal]
_NOT_OF_USERS = {"NO_COLOR", "FORCE_COLOR"}


@pytest.fixture
def on_terminal(shell: dict[str, str], tmp_path: Path) -> Iterator[OnTerminal]:
    """Runs a command on a terminal of its own."""
    with ExitStack() as open_terminals:

        def run(*arguments: str, **changes: str) -> Terminal:
            environ = {name: text for name, text in shell.items() if name not in _NOT_OF_USERS}
            terminal = Terminal([*COMMAND, *arguments], tmp_path, environ, **changes)
            return open_terminals.enter_context(terminal)

        yield run


def test_a_bar_is_drawn_and_gone_before_the_result(
    on_terminal: OnTerminal, stack: Stack, gate: Path
) -> None:
    waiting = on_terminal("wait", stack.running(gate))
    waiting.shows("running 1/2: waiting")
    gate.touch()
    assert waiting.end() == 0
    assert "━" in waiting.shown
    assert "\x1b[38;5" in waiting.shown or "\x1b[3" in waiting.shown
    assert waiting.text.endswith('"found"\n')


@pytest.mark.parametrize("changes", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_no_colors_or_cannot_draw_gets_plain_text(
    on_terminal: OnTerminal, stack: Stack, gate: Path, changes: dict[str, str]
) -> None:
    waiting = on_terminal("wait", stack.running(gate), **changes)
    waiting.shows("running 1/2: waiting")
    gate.touch()
    assert waiting.end() == 0
    assert "\x1b[3" not in waiting.shown
    if "TERM" in changes:
        assert "\x1b" not in waiting.shown


def test_many_jobs_share_the_screen_and_are_printed_after(
    on_terminal: OnTerminal, stack: Stack, gate: Path
) -> None:
    running, ended = stack.running(gate), stack.run("fails_for_good")
    waiting = on_terminal("wait", running, ended)
    waiting.shows("1 of 2 jobs ended, 1 without result")
    waiting.shows(f"{running} running 1/2: waiting")
    gate.touch()
    assert waiting.end() == 3
    last = [json.loads(line) for line in waiting.text.splitlines()[-2:]]
    assert [line["state"] for line in last] == ["failed", "succeeded"]


def test_only_data_goes_to_stdout(
    shell: dict[str, str], on_terminal: OnTerminal, stack: Stack, gate: Path, tmp_path: Path
) -> None:
    running, ended = stack.running(gate), stack.run("echo", {"value": 1})
    script = f"{' '.join(COMMAND)} wait {running} {ended} > result"
    with Terminal(["/bin/sh", "-c", script], tmp_path, shell) as terminal:
        terminal.shows("running 1/2: waiting")
        gate.touch()
        assert terminal.end() == 0
    lines = (tmp_path / "result").read_text().splitlines()
    assert [json.loads(line)["result"] for line in lines] == [1, "found"]


def test_without_a_terminal_progress_is_one_line_per_change(
    shell: dict[str, str], stack: Stack, gate: Path, tmp_path: Path
) -> None:
    waiting = Process("wait", [*COMMAND, "wait", stack.running(gate)], tmp_path, shell)
    eventually(lambda: "running" in waiting.log(), "it waits")
    gate.touch()
    assert waiting.end() == 0
    lines = waiting.log().splitlines()
    assert len(lines) == len(set(lines))


def test_ctrl_c_exits_130_and_tells_how_to_come_back(
    on_terminal: OnTerminal, stack: Stack, gate: Path
) -> None:
    job_id, other = stack.running(gate), stack.submit("unserved")
    ways = {
        ("wait", job_id): f"job continues: jobresults wait {job_id}\n",
        ("wait", job_id, other): f"2 jobs continue: jobresults wait {job_id} {other}\n",
        ("logs", "-f", job_id): f"job continues: jobresults wait {job_id}\n",
    }
    for arguments, hint in ways.items():
        waiting = on_terminal(*arguments)
        waiting.shows("waiting")
        waiting.types(CTRL_C)
        assert waiting.end() == 130
        assert waiting.text.endswith(hint)
        assert "Traceback" not in waiting.text
    stack.request("POST", f"/v1/jobs/{other}/cancel")


def test_logs_are_followed_as_text(on_terminal: OnTerminal, stack: Stack, gate: Path) -> None:
    following = on_terminal("logs", "-f", stack.running(gate))
    following.shows("INFO    waiting for a file\n")
    gate.touch()
    assert following.end() == 0
    assert "WARNING the file is there\n" in following.text
    assert "\x1b[33mWARNING" in following.shown


def test_answers_are_tables_and_cards(on_terminal: OnTerminal, stack: Stack) -> None:
    customer = str(uuid.uuid4())
    job_id = stack.run("echo", {"value": {"a": 1}}, customer=customer)
    listed = on_terminal("list", "--customer", customer)
    assert listed.end() == 0
    header, row = listed.text.splitlines()
    assert header.startswith("job id")
    assert row.startswith(job_id)
    assert "\x1b[32msucceeded" in listed.shown
    got = on_terminal("get", job_id)
    assert got.end() == 0
    assert got.text.endswith('result      {\n              "a": 1\n            }\n')


def test_a_filter_is_asked_about(on_terminal: OnTerminal, stack: Stack) -> None:
    customer = str(uuid.uuid4())
    job_id = stack.submit("unserved", customer=customer)
    for answer, exit_code in (("n\n", 1), (CTRL_C, 130), ("y\n", 0)):
        assert stack.job(job_id)["state"] == "queued"
        asking = on_terminal("cancel", "--filter", f"customer={customer}")
        asking.shows("cancel 1 job? [y/N]")
        asking.types(answer)
        assert asking.end() == exit_code
    assert stack.job(job_id)["state"] == "canceled"
