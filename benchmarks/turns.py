"""What taking turns costs, and what it gives: jobs a second of one customer and of many beside jobs
without a customer, and how long a single job waits behind another customer's 10,000.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from benchmarks.jobs import OurRate
from benchmarks.machine import Machine
from benchmarks.service import Service, sqlite_url

_BACKLOG = 10_000
_SETTINGS = {"with turns": "4", "without turns": "0"}
_CUSTOMERS = {"no customer": 0, "one customer": 1, "50 customers": 50}


def measure(machine: Machine) -> dict[str, Any]:
    """Both settings in turn, round by round; SQLite, one worker."""
    rates: dict[str, list[float]] = {}
    delays: dict[str, list[float]] = {}
    for _ in range(machine.rounds):
        for words, turn_jobs in _SETTINGS.items():
            url = sqlite_url(machine, f"turns-{turn_jobs}-{len(delays.get(words, []))}")
            with closing(Service(machine, url, JOBRESULTS_LIMITS__TURN_JOBS=turn_jobs)) as service:
                for whose, customers in _CUSTOMERS.items():
                    rate = OurRate(service, customers=customers)(1)
                    rates.setdefault(f"{whose}, {words}", []).append(rate)
                    print(f"  {whose}, {words}: {rate:,.0f} jobs/s", flush=True)
                delay = _delay_seconds(service)
                delays.setdefault(words, []).append(delay)
                print(f"  a single job, {words}: {delay * 1000:,.0f} ms", flush=True)
    return {"jobs_per_second": rates, "single_job_seconds": delays}


def _delay_seconds(service: Service) -> float:
    """From the submission of a single job until its result is there, while another customer's
    10,000 jobs wait and run.
    """
    with service.running("web", "maintenance", "worker") as processes:
        many = service.submit(_BACKLOG, customer="many")
        start = time.monotonic()
        (single,) = service.submit(1, customer="single")
        while not service.results([single]):
            time.sleep(0.001)
        delay = time.monotonic() - start
        service.run_until_done(many, *processes)
    return delay
