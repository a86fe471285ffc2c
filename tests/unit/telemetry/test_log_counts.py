"""Log records are counted by level and logger."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from jobresults.telemetry import metrics
from jobresults.telemetry.log_counts import LogCounter


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The root of some loggers, counted."""
    logger = logging.getLogger("counted")
    counter = LogCounter()
    logger.addHandler(counter)
    logger.propagate = False
    yield logger
    logger.removeHandler(counter)


def count(level: str, logger: str) -> float:
    return metrics.LOG_RECORDS.labels(level, logger)._value.get()


def test_records_are_counted_by_level_and_the_first_two_names(log: logging.Logger) -> None:
    before = count("ERROR", "counted.part")
    for name in ("part", "part.detail", "part.detail.more"):
        log.getChild(name).error("x")
    log.getChild("part").info("below the level")
    assert count("ERROR", "counted.part") - before == 3
    assert count("INFO", "counted.part") == 0


def test_a_level_of_ones_own_makes_no_series(log: logging.Logger) -> None:
    before = count("other", "counted")
    for level in range(31, 40):
        log.log(level, "x")
    assert count("other", "counted") - before == 9


def test_loggers_beyond_a_hundred_are_others(log: logging.Logger) -> None:
    before = count("ERROR", "other")
    for number in range(150):
        log.getChild(f"made-up-{number}").error("x")
    assert count("ERROR", "other") - before == 50


def test_a_forked_process_counts_nothing(log: logging.Logger) -> None:
    before = count("ERROR", "counted")
    pid = os.fork()
    if pid == 0:
        log.error("x")
        os._exit(count("ERROR", "counted") != before)
    assert os.waitpid(pid, 0)[1] == 0
