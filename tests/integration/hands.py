"""A worker without processes: takes what Redis holds, begins what it may, and ends it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jobresults.database import Database
from jobresults.jobs.concurrency import Concurrency
from jobresults.jobs.dispatch import Dispatch, dispatch, parse_entry, queue_key
from jobresults.jobs.outcome import Ending
from jobresults.jobs.running import Claimed
from jobresults.settings import LimitsSettings, Settings
from jobresults.worker.admission import Admission
from jobresults.worker.attempts import Attempt, Words
from jobresults.worker.settlement import Settled, Settlement
from tests.integration.driver import CATALOG, TASKS, Driver


class Hands:
    """Those of one worker that serves the queue `default`."""

    def __init__(self, driver: Driver, name: str = "w", **limits: Any) -> None:
        self.driver = driver
        settings = Settings(limits=LimitsSettings(**limits))
        concurrency = Concurrency.of(settings.limits, CATALOG)
        database: Database = driver.database
        self.admission = Admission(database, settings, name, TASKS, concurrency)
        self._settlement = Settlement(database, settings, name, self.admission)

    def pop(self, most: int = 1) -> list[Dispatch]:
        """The next entries of the list."""
        found: Any = self.driver.redis.lpop(queue_key("default"), most)
        entries = [parse_entry(raw, "default") for raw in found or ()]
        return [entry for entry in entries if isinstance(entry, Dispatch)]

    def settle(
        self, taken: Sequence[Dispatch] = (), ended: Sequence[Claimed] = (), room: int = 0
    ) -> Settled:
        """One transaction, and what Redis is told of it."""
        attempts = [Attempt(job, ending=Ending(result=b"1")) for job in ended]
        settled = self._settlement.write(
            ended=attempts,
            words=Words(),
            unstarted=[],
            taken=taken,
            queues=["default"],
            room=room,
        )
        dispatch(self.driver.redis, settled.admitted.released)
        return settled

    def begin(self, most: int = 1, *, room: int = 0) -> list[Claimed]:
        """The jobs that begin now."""
        return self.settle(self.pop(most), room=room).admitted.begun

    def end(self, *jobs: Claimed) -> None:
        self.settle(ended=jobs)

    def work_off(self, most: int = 1_000) -> list[str]:
        """The ids of the jobs that run, one after the other, in their order."""
        done: list[str] = []
        while len(done) < most and (taken := self.pop()):
            begun = self.settle(taken).admitted.begun
            done += [job.id for job in begun]
            self.end(*begun)
        return done


def waiting_on(driver: Driver, job_id: str) -> str | None:
    """What the ledger says the job waits for."""
    word: str | None = driver.row(job_id).waiting_on
    return word


def held_by(driver: Driver, job_id: str) -> Any:
    """What the timeline says last."""
    return json.loads(json.dumps(driver.detail(job_id))).get("by")
