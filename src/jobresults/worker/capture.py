"""What is set up in an executor so that all its tasks log, print and warn of is kept with their
jobs. What bypasses Python's streams (C code, other programs) goes to the worker's stdout alone.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from jobresults.settings import JobsSettings
from jobresults.worker.board import Board
from jobresults.worker.job_log import JobLog
from jobresults.worker.ownership import current_log, follow_threads, owned_by
from jobresults.worker.printed import Printed
from jobresults.worker.report import Report

_WARNINGS = "py.warnings"


class Capture:
    """One executor's. Nearly all of it is done once: a job that says nothing pays for a lock and a
    few assignments.
    """

    def __init__(self, settings: JobsSettings, board: Board) -> None:
        self._settings = settings
        self._board = board
        self._handler = JobLogHandler(logging.getLevelName(settings.log_level.upper()))

    def install(self) -> None:
        """Once, in the executor; the processes it forks have it, too."""
        follow_threads()
        self._stdout = _printed(sys.stdout, "stdout")
        self._stderr = _printed(sys.stderr, "stderr")
        logging.captureWarnings(True)
        _let_through(self._handler.level)
        for handler in logging.getLogger().handlers:
            _complain_to_nobody(handler)

    @contextmanager
    def of(self, report: Report) -> Iterator[None]:
        """What is said inside goes to this report, until that tells the outcome."""
        log = JobLog(report, self._board, self._settings)
        report.close_log = log.close
        # A task may have put others in their places, and forgotten them there.
        sys.stdout, sys.stderr = self._stdout, self._stderr
        root = logging.getLogger()
        if self._handler not in root.handlers:
            root.addHandler(self._handler)
        self._handler.show_warnings_again()
        with owned_by(log):
            yield
        log.close()


class JobLogHandler(logging.Handler):
    """Keeps what is logged with the job that logs it."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._has_warned = False

    def emit(self, record: logging.LogRecord) -> None:
        self._has_warned = self._has_warned or record.name == _WARNINGS
        log = current_log()
        if log is None:
            return
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - as logging's own: a bad line fails no task
            text = f"cannot be formatted: {record.msg!r:.1000} ({error})"
        at_ms = round(record.created * 1000)
        log.logged(at_ms, record.levelname[:10], record.name[:200], text.removesuffix("\n"))

    def show_warnings_again(self) -> None:
        """Python shows a warning once for each place in the code; here, once in each attempt."""
        if self._has_warned:
            self._has_warned = False
            with warnings.catch_warnings():
                pass  # leaving it invalidates what Python remembers, and changes no filter


def _printed(stream: TextIO | None, name: str) -> Printed:
    if isinstance(stream, Printed):
        return stream
    if stream is None:  # the worker was started with it closed
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for good
    return Printed(stream, name)


def _complain_to_nobody(handler: logging.Handler) -> None:
    """What logging prints of a record that cannot be formatted are a hundred lines of a stack: on
    the worker's stderr alone.
    """
    complain = handler.handleError

    def complain_to_nobody(record: logging.LogRecord) -> None:
        with owned_by(None):
            complain(record)

    handler.handleError = complain_to_nobody  # type: ignore[method-assign]


def _let_through(level: int) -> None:
    """Have records from this level up made, though the console wants less."""
    for logger in (logging.getLogger(), logging.getLogger("jobresults")):
        if logger.level > level:
            for handler in logging.getLogger().handlers:
                handler.setLevel(max(handler.level, logger.level))
            logger.setLevel(level)
