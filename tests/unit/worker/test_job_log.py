"""The log of an attempt: what is kept, what is counted."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobresults.settings import JobsSettings, RedisSettings
from jobresults.telemetry.redaction import keep_secret
from jobresults.worker.board import Board
from jobresults.worker.frames import FrameBuffer
from jobresults.worker.job_log import JobLog
from jobresults.worker.report import HEAD, Report

CUT = "log limit of this job reached; not kept: {} more lines, {} bytes"


@dataclass
class Wired:
    """A log whose report comes out of a real pipe."""

    limits: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.board = Board()
        settings = JobsSettings.model_validate(self.limits)
        self.log = JobLog(Report(self.writing, 1, 0.0), self.board, settings)

    def lines(self) -> list[dict[str, Any]]:
        """All that has come since, in its order."""
        data = b""
        while True:
            try:
                data += os.read(self.reading, 1 << 20)
            except BlockingIOError:
                break
        return [json.loads(message[HEAD.size :]) for message in FrameBuffer().feed(data)]

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def wired() -> Iterator[Wired]:
    made = Wired({"max_log_lines": 5, "max_log_bytes": 100})
    yield made
    made.close()


def messages(lines: list[dict[str, Any]]) -> list[str]:
    return [line["message"] for line in lines]


@given(st.lists(st.text("ab\nä", max_size=6), max_size=12))
def test_lines_are_the_same_however_they_are_printed(pieces: list[str]) -> None:
    wired = Wired()
    for piece in pieces:
        wired.log.printed("stdout", piece)
    wired.log.close()
    assert messages(wired.lines()) == "".join(pieces).removesuffix("\n").split("\n") * any(pieces)
    wired.close()


@given(st.lists(st.text("ab\nä", max_size=6), max_size=12), st.integers(1, 6), st.integers(1, 9))
def test_every_line_is_kept_or_counted(pieces: list[str], lines: int, size_bytes: int) -> None:
    wired = Wired({"max_log_lines": lines, "max_log_bytes": size_bytes})
    for piece in pieces:
        wired.log.printed("stdout", piece)
    wired.log.close()
    text = "".join(pieces)
    printed = text.removesuffix("\n").split("\n") if text else []
    kept = messages(wired.lines())
    if printed != kept:
        words = kept.pop().split()
        assert int(words[-5]) == len(printed) - len(kept)
        rest = "".join(f"{line}\n" for line in printed[len(kept) :])
        assert 0 <= len(rest.encode()) - int(words[-2]) <= len(printed)
    assert kept == printed[: len(kept)]
    assert len(kept) < lines
    assert sum(len(line.encode()) for line in kept) <= size_bytes
    wired.close()


def test_a_message_that_has_no_room_ends_what_is_kept(wired: Wired) -> None:
    for size in (60, 60, 1):
        wired.log.logged(0, "INFO", "a", "x" * size)
    assert wired.board.cut == (2, 61)
    wired.log.close()
    assert messages(wired.lines()) == ["x" * 60, CUT.format(2, 61)]
    assert wired.board.cut == (0, 0)


def test_a_closed_log_keeps_nothing(wired: Wired) -> None:
    wired.log.close()
    wired.log.printed("stdout", "late\n")
    wired.log.logged(0, "INFO", "a", "late")
    wired.log.close()
    assert wired.lines() == []


@pytest.mark.parametrize(
    ("pieces", "line"),
    [
        (["\r1 %", "\r2 %", "\n"], "2 %"),
        (["1 %\r2 %\r\n"], "2 %"),
        (["1 %\r", "2 %"], "2 %"),
        (["dos\r", "\n"], "dos"),
        (["a long word\rshort\n"], "short"),
    ],
)
def test_a_carriage_return_begins_the_line_anew(wired: Wired, pieces: list[str], line: str) -> None:
    for piece in pieces:
        wired.log.printed("stdout", piece)
    wired.log.close()
    assert messages(wired.lines()) == [line]


def test_a_secret_at_the_cut_of_a_line_is_hidden() -> None:
    keep_secret(RedisSettings.model_validate({"url": "redis://me:canaryPassword@host/0"}))
    wired = Wired()
    wired.log.printed("stdout", "x" * 32_760 + "canaryPassword" + "y" * 50_000 + "\n")
    wired.log.close()
    keep_secret(RedisSettings())
    (line,) = wired.lines()
    assert "canary" not in line["message"]
    assert line["message"].endswith(" characters more)")
    wired.close()


def test_a_line_that_never_ends_takes_no_memory(wired: Wired) -> None:
    for _ in range(10_000):
        wired.log.printed("stdout", "x" * 100)
    (held,) = wired.log._held.values()
    assert len(held.text) < 40_000
    wired.log.close()
    assert messages(wired.lines()) == [CUT.format(1, 1_000_000)]


def test_a_forked_process_writes_nothing(wired: Wired) -> None:
    wired.log.printed("stdout", "the parent's ")
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with wired.log._lock:
            held.set()
            let_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child == 0:
        wired.log.printed("stdout", "the child's\n")
        wired.log.logged(0, "INFO", "a", "the child's")
        wired.log.close()
        os._exit(0)
    os.waitpid(child, 0)
    let_go.set()
    holder.join()
    assert wired.lines() == []
