"""A process that logs errors at a rate, or as fast as it can: `python -m benchmarks.alert_storm`.

Prints JSON: how many it has logged, µs for each, and its memory early and late.
"""

from __future__ import annotations

import json
import logging
import sys
import time

import psutil

from jobresults.alerts import process
from jobresults.alerts.handler import AlertHandler
from jobresults.alerts.start import start_alerts
from jobresults.configuration import load_settings

_BURST_SECONDS = 0.01


def _raise_one(number: int) -> None:
    raise ValueError(f"bug {number}")


def log_one(log: logging.Logger, number: int) -> None:
    """One of three bugs."""
    try:
        if number % 3 == 0:
            raise KeyError(number)
        if number % 3 == 1:
            int("no number")
        _raise_one(number)
    except (KeyError, ValueError):
        log.exception("request %s failed", number)


def cost_us(handler: logging.Handler, count: int) -> float:
    """Of one `logger.exception` with this handler."""
    log = logging.getLogger("benchmark.cost")
    log.propagate, log.handlers = False, [handler]
    began = time.perf_counter()
    for number in range(count):
        log_one(log, number)
    return (time.perf_counter() - began) / count * 1e6


def storm(rate: float, seconds: float) -> dict[str, float]:
    """Log at a rate; memory after a tenth of the time and at the end."""
    log = logging.getLogger("benchmark.storm")
    log.propagate, log.handlers = False, [AlertHandler()]
    began, logged, early = time.monotonic(), 0, 0
    me = psutil.Process()
    while (elapsed := time.monotonic() - began) < seconds:
        while logged < elapsed * rate:
            log_one(log, logged)
            logged += 1
        if not early and elapsed > seconds / 10:
            early = me.memory_info().rss
        time.sleep(_BURST_SECONDS)
    late = me.memory_info().rss
    return {"logged": logged, "early_mib": early / 2**20, "late_mib": late / 2**20}


def main() -> None:
    rate, seconds = float(sys.argv[1]), float(sys.argv[2])
    start_alerts(load_settings())
    print(json.dumps(storm(rate, seconds)))
    if not process.alerts.flush(10):
        sys.exit("what was logged was not handed over")


if __name__ == "__main__":
    main()
