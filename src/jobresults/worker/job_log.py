"""What one attempt has said: kept line by line with its job, up to the configured count and bytes.
What has no room is counted, and the last line tells how much that was.
"""

from __future__ import annotations

import os
import threading
import time

from jobresults.jobs.running import LogLine
from jobresults.settings import JobsSettings
from jobresults.telemetry.control_characters import escape_but_lines
from jobresults.telemetry.redaction import hide
from jobresults.worker.board import Board
from jobresults.worker.report import Report

_LINE_CHARACTERS = 32_768
# So far beyond the cut of a line secrets are looked for, or half of one might be left before it.
_SECRET_CHARACTERS = 1_024
_HELD_CHARACTERS = _LINE_CHARACTERS + _SECRET_CHARACTERS

_PRINTED_LEVEL = "INFO"


class JobLog:
    """One attempt's. All its threads may write at once; processes it has forked write nothing."""

    __slots__ = (
        "_board",
        "_bytes_left",
        "_cut_bytes",
        "_cut_lines",
        "_held",
        "_lines_left",
        "_lock",
        "_pid",
        "_report",
        "is_open",
    )

    def __init__(self, report: Report, board: Board, settings: JobsSettings) -> None:
        self._report = report
        self._board = board
        self._lines_left = settings.max_log_lines - 1  # the last one tells what was cut
        self._bytes_left = settings.max_log_bytes
        self._cut_lines = self._cut_bytes = 0
        self._held: dict[tuple[int, str], _Beginning] = {}
        self._pid = report.pid
        self._lock = threading.RLock()
        self.is_open = True

    def logged(self, at_ms: int, level: str, logger: str, text: str) -> None:
        """Keep a message, whatever lines it has."""
        if os.getpid() != self._pid:
            return  # before the lock, which may never be released in a fork
        with self._lock:
            if self.is_open:
                self._keep(LogLine(at_ms, level, logger, text))

    def printed(self, stream: str, text: str) -> None:
        """Keep what was printed: each line once it is complete, each thread's for itself."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if not self.is_open:
                return
            key = threading.get_ident(), stream
            start = 0
            while self._lines_left > 0 and (end := text.find("\n", start)) >= 0:
                if end > start:
                    self._hold(key, text[start:end])
                self._complete(key)
                start = end + 1
            rest = text[start:]
            if rest and self._lines_left > 0:
                self._hold(key, rest)
            elif rest:
                self._count(key, rest)

    def close(self) -> None:
        """Keep nothing from now on. A line that has only begun is kept as it is."""
        if not self._held and not self._cut_lines:
            self.is_open = False
            return
        if os.getpid() != self._pid:
            return
        with self._lock:
            if not self.is_open:
                return
            for key in list(self._held):
                self._complete(key)
            self.is_open = False
            if self._cut_lines:
                self._report.log(cut_line(self._cut_lines, self._cut_bytes))
                self._board.note_cut(0, 0)

    def _hold(self, key: tuple[int, str], text: str) -> None:
        self._held.setdefault(key, _Beginning()).add(text)

    def _complete(self, key: tuple[int, str]) -> None:
        held = self._held.pop(key, None) or _Beginning()
        line = LogLine(time.time_ns() // 1_000_000, _PRINTED_LEVEL, key[1], held.text)
        self._keep(line, held.left_out)

    def _count(self, key: tuple[int, str], text: str) -> None:
        """What is printed when nothing is kept any more. Without looking at each line: there may be
        millions.
        """
        size_bytes = _size_bytes(text)
        newlines = text.count("\n")
        if newlines and (begun := self._held.pop(key, None)) is not None:
            size_bytes += _size_bytes(begun.text) + begun.left_out
        if text[-1] != "\n" and key not in self._held:
            self._held[key] = _Beginning()  # it counts once it ends
        self._cut(newlines, size_bytes)

    def _keep(self, line: LogLine, left_out: int = 0) -> None:
        if self._lines_left > 0:
            text = _presentable(line.message, left_out)
            size_bytes = _size_bytes(text)
            if size_bytes <= self._bytes_left:
                self._lines_left -= 1
                self._bytes_left -= size_bytes
                self._report.log(LogLine(line.at_ms, line.level, line.logger, text))
                return
            self._lines_left = 0  # what is kept has no gaps
        self._cut(1, _size_bytes(line.message) + left_out)

    def _cut(self, lines: int, size_bytes: int) -> None:
        self._cut_lines += lines
        self._cut_bytes += size_bytes
        # For the supervisor, should this process be killed.
        self._board.note_cut(self._cut_lines, self._cut_bytes)


class _Beginning:
    """Of a line that is being printed. A carriage return begins it anew, as on a terminal."""

    __slots__ = ("_characters", "_pieces", "left_out")

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._pieces: list[str] = []
        self._characters = self.left_out = 0

    @property
    def text(self) -> str:
        return "".join(self._pieces).removesuffix("\r")

    def add(self, text: str) -> None:
        """Go on; of a huge line the rest is left out."""
        returned = text.rfind("\r", 0, -1)
        if returned >= 0 or (self._pieces and self._pieces[-1].endswith("\r")):
            self._clear()
            text = text[returned + 1 :]
        room = _HELD_CHARACTERS - self._characters
        if room > 0:
            self._pieces.append(text[:room])
        self._characters += len(text)
        self.left_out += max(0, len(text) - max(0, room))


def cut_line(lines: int, size_bytes: int) -> LogLine:
    """The last line of a log that has been cut."""
    text = f"log limit of this job reached; not kept: {lines} more lines, {size_bytes} bytes"
    return LogLine(time.time_ns() // 1_000_000, "WARNING", "jobresults.worker", text)


def _presentable(text: str, left_out: int) -> str:
    """Without secrets and control characters, and of a length that can be read."""
    shown = hide(text[:_HELD_CHARACTERS])
    left_out += max(0, len(text) - _HELD_CHARACTERS)
    if left_out or len(shown) > _LINE_CHARACTERS:
        left_out += max(0, len(shown) - _LINE_CHARACTERS)
        shown = f"{shown[:_LINE_CHARACTERS]}… ({left_out} characters more)"
    return escape_but_lines(shown)


def _size_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
