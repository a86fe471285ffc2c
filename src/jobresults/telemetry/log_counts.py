"""Counting log records by level and logger."""

from __future__ import annotations

import logging
import os
from typing import Any

from jobresults.telemetry.metrics import LOG_RECORDS

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
# Loggers may be named after anything; series must not.
_MAX_LOGGERS = 100
_MAX_KNOWN = 1_000
_OTHER = "other"


class LogCounter(logging.Handler):
    """Counts the records that reach it in `jobresults_log_records_total`: no I/O, and no lock but
    the number's own.
    """

    counting = True

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[int, str], Any] = {}
        self._loggers: set[str] = set()

    def createLock(self) -> None:
        """There is none to inherit through a fork, or to wait for."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Count the record."""
        if LogCounter.counting:
            key = (record.levelno, record.name)
            counter = self._known.get(key)
            if counter is None:
                counter = self._counter(record)
                if len(self._known) < _MAX_KNOWN:
                    self._known[key] = counter
            counter.inc()
        return True

    def _counter(self, record: logging.LogRecord) -> Any:
        name = ".".join(record.name.split(".")[:2])
        if name not in self._loggers and len(self._loggers) >= _MAX_LOGGERS:
            name = _OTHER
        self._loggers.add(name)
        level = record.levelname if record.levelno in _LEVELS else _OTHER
        return LOG_RECORDS.labels(level, name)


def _stop_counting() -> None:
    LogCounter.counting = False


# Nobody scrapes an executor, and another thread may have held a number's lock when it was forked.
os.register_at_fork(after_in_child=_stop_counting)
