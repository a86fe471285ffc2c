"""Tasks that log errors."""

from __future__ import annotations

import logging
import os
import signal
import time

from jobresults import task

logger = logging.getLogger(__name__)


def _log(count: int) -> None:
    for number in range(count):
        try:
            raise ArithmeticError(f"no. {number}")
        except ArithmeticError:
            logger.exception("step %s failed", number)


@task(name="logs_errors")
def logs_errors(count: int) -> None:
    """The last line is an error, too."""
    _log(count)


@task(name="logs_errors_alone", isolation="process")
def logs_errors_alone(count: int) -> None:
    _log(count)


@task(name="logs_and_is_killed", max_attempts=1)
def logs_and_is_killed() -> None:
    logger.error("out of memory soon", extra={"alert_key": "last words"})
    os.kill(os.getpid(), signal.SIGKILL)


@task(name="logs_until_its_time_is_over", timeout_seconds=0.3, max_attempts=1)
def logs_until_its_time_is_over() -> None:
    until = time.monotonic() + 20
    number = 0
    while time.monotonic() < until:
        logger.error("still here, %s", number, extra={"alert_key": f"k{number % 3}"})
        number += 1
