"""`jobresults populate` against the running service, as a shell and as its readers see it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from jobresults.cli.main import main
from jobresults.cli.populate import interrupts_counted
from jobresults.cli.populate_progress import Rates, line, table
from jobresults.populate.page import page_of
from jobresults.populate.run import Progress
from jobresults.populate.tally import Tally
from tests.e2e.up_process import COMMAND
from tests.services.process import eventually
from tests.services.stack import Stack


@pytest.fixture
def environ(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a shell has that loads the service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    return {**os.environ, "DESTINATION": stack.url, "JOBRESULTS_TOKEN": stack.key}


def populate(environ: dict[str, str], *arguments: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["populate", *arguments], env=environ)
    assert result.exit_code == exit_code, result.output
    return result


def test_a_load_of_all_kinds_is_verified_and_reported(
    environ: dict[str, str], tmp_path: Path
) -> None:
    files = ("--report-json", "report.json", "--report-html", "report.html")
    done = populate(environ, "--jobs", "150", "--seed", "3", *files, "-o", "table")
    assert "jobs in" in done.stdout
    assert "no wrong, lost or repeated answer" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["exit_code"] == 0
    accepted = 150 + report["latencies_ms"]["rerun"]["count"]
    assert report["jobs"]["accepted"] == report["audit"]["asked"] == accepted
    assert sum(report["jobs"]["ended"].values()) == accepted
    assert report["verified_answers"] > 150
    assert report["findings"] == {"counts": {}, "named": []}
    operations = {"submit", "submit and wait", "submit again", "bulk", "poll", "hold", "list"}
    assert operations | {"cancel", "rerun", "score", "result"} <= set(report["latencies_ms"])
    assert (
        sum(c for *_, c in report["latencies_ms"]["submit"]["histogram"])
        == (report["latencies_ms"]["submit"]["count"])
    )
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"(src|href)=|url\(|@import", page), "it needs nothing else"
    svgs = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len([ET.fromstring(svg) for svg in svgs]) == 3


def test_the_report_is_printed_for_programs_and_the_rate_is_kept(environ: dict[str, str]) -> None:
    arguments = ("--rate", "2000", "--duration", "50ms", "--mix", "bulk=0", "--mix", "cancel=0")
    assert "no duration" in populate(environ, *arguments, exit_code=2).stderr
    done = populate(environ, *arguments[:2], "--duration", "0.05", *arguments[4:], "-o", "json")
    report = json.loads(done.stdout)
    assert 100 <= report["jobs"]["accepted"] <= 101
    assert report["jobs"]["accepted"] == report["jobs"]["ended"]["succeeded"]
    assert "bulk" not in report["latencies_ms"]
    csv = populate(environ, "--jobs", "1", "--mix", "cancel=0", "-o", "csv").stdout
    assert csv.startswith("operation,count,mean,p50")


def test_what_cannot_be_loaded_is_told_before_any_load(environ: dict[str, str]) -> None:
    nobody = {**environ, "DESTINATION": "http://127.0.0.1:9"}
    unreachable = populate(nobody, "--wait-for", "1", exit_code=7)
    assert "trying again" in unreachable.stderr
    assert "Error: http://127.0.0.1:9: no answer: " in unreachable.stderr
    stranger = {**environ, "JOBRESULTS_TOKEN": "jr_wrong"}
    assert "Error:" in populate(stranger, "--jobs", "1", exit_code=4).stderr
    unknown = populate(environ, "--task", "no_such", "--jobs", "1", exit_code=1)
    assert "runs no task 'no_such', but " in unknown.stderr
    for wrong in (["--data", "[1]"], ["--mix", "nap=1"], [f"--mix={k}=0" for k in KINDS]):
        populate(environ, "--jobs", "1", *wrong, exit_code=2)


KINDS = ("wait", "poll", "hold", "bulk", "again", "cancel")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_load_ends_what_is_under_way_and_reports(
    environ: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    main_end, its_end = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "populate", "--rate", "50", "--report-json", "report.json"],
        cwd=tmp_path,
        env=environ | {"TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=its_end,
        text=True,
    ) as process:
        os.close(its_end)
        seen = b""

        def loads() -> bool:
            nonlocal seen
            seen += os.read(main_end, 65_536)
            return b"verified" in seen and b"succeeded" in seen

        try:
            eventually(loads, "a live table is shown")
            process.send_signal(number)
            # Else its writes to the terminal would block.
            with subprocess.Popen(["cat"], stdin=main_end, stdout=subprocess.DEVNULL) as drained:
                try:
                    stdout, _ = process.communicate(timeout=60)
                finally:
                    drained.kill()
        finally:
            process.kill()
            os.close(main_end)
    assert process.returncode == 130
    printed = json.loads(stdout)
    report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    assert printed == report
    assert report["interrupted"]
    assert report["audit"]["asked"] == report["jobs"]["accepted"] > 0
    assert report["audit"]["unfinished"] == 0
    assert report["jobs"]["accepted"] == sum(report["jobs"]["ended"].values())


def test_interrupts_are_counted_not_raised_until_there_is_nothing_left_to_end() -> None:
    with interrupts_counted() as interrupts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        assert interrupts() == 3
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_progress_is_a_line_or_a_table() -> None:
    tally = Tally()
    tally.accepted()
    tally.ended("succeeded")
    tally.took("result", 0.25)
    tally.erred("429 rate_limited")
    rates = Rates()
    rates.of(tally.figures())
    progress = Progress("load", tally.figures(), {"lost": 2})
    text = line(progress, rates)
    assert "1 accepted (0/s), 1 ended (0/s)" in text
    assert "result p50 250.0 p95 250.0 p99 250.0 ms, 1 errors, 2 wrong" in text
    console = Console(file=io.StringIO(), width=100)
    console.print(table(progress, rates))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("250.0", "1 succeeded", "1 429 rate_limited", "2 lost"):
        assert words in shown


def test_a_page_shows_findings_and_lets_no_markup_through() -> None:
    latency = {"count": 0}
    finding = {"kind": "wrong", "job_id": "j", "detail": "is <b>bold</b>"}
    report = {
        "verdict": "wrong answers: 1 wrong",
        "exit_code": 1,
        "destination": "http://x/<script>",
        "service_version": "1",
        "began_at": "2026-01-01T00:00:00Z",
        "options": {"rate": None, "mix": {"wait": 1}},
        "load_seconds": 1.0,
        "total_seconds": 1.0,
        "jobs": {"accepted": 1, "accepted_per_second": 1.0, "ended": {}},
        "requests_per_second": 1.0,
        "verified_answers": 0,
        "findings": {"counts": {"wrong": 1}, "named": [finding] * 101},
        "audit": {"complete": False, "asked": 0, "unfinished": 0},
        "errors": {"no answer": 1},
        "latencies_ms": {},
        "late_requests_ms": latency,
        "timeline": {"accepted": [], "ended": [], "errors": []},
    }
    page = page_of(report)
    assert "<script>" not in page
    assert "<b>bold" not in page
    assert "is &lt;b&gt;bold" in page
    assert "names 101" in page
    assert 'class="verdict bad"' in page
