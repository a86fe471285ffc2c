"""One run: load until it is over, then an end to what is under way, then the audit."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jobresults.populate.accepted import Accepted
from jobresults.populate.asking import Asking, GaveUp
from jobresults.populate.audit import Audit, audit
from jobresults.populate.caller import Caller
from jobresults.populate.checks import Checks
from jobresults.populate.findings import Finding, Findings
from jobresults.populate.journeys import Journeys
from jobresults.populate.orders import SCORE, Orders
from jobresults.populate.pace import MIX, Pace
from jobresults.populate.pool import Pool
from jobresults.populate.tally import Figures, Tally

_SHOW_SECONDS = 0.25


@dataclass(frozen=True)
class Options:
    """What load there is to be. `rate` in jobs a second, None: as fast as the service allows;
    `jobs`, reruns not counted, and `duration_seconds` end it, whichever comes first; the `patience`
    is that of one request, the `drain` what is under way has at the end.
    """

    seed: int
    rate: float | None = None
    jobs: int | None = None
    duration_seconds: float | None = None
    concurrency: int = 16
    customers: int = 50
    task: str = SCORE
    params: dict[str, Any] | None = None
    mix: Mapping[str, int] = field(default_factory=lambda: dict(MIX))
    patience_seconds: float = 60.0
    drain_seconds: float = 60.0


@dataclass(frozen=True)
class Progress:
    """A run as it is shown meanwhile."""

    phase: str
    figures: Figures
    findings: Mapping[str, int]


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `failure` is what ended it early, `interrupted` that somebody did."""

    destination: str
    version: str
    options: Options
    began_at: datetime
    load_seconds: float
    figures: Figures
    finding_counts: Mapping[str, int]
    findings: list[Finding]
    audit: Audit
    interrupted: bool
    failure: BaseException | None


def run(
    caller: Caller,
    version: str,
    options: Options,
    show: Callable[[Progress], object],
    interrupts: Callable[[], int] = lambda: 0,
) -> Outcome:
    """Load the service. Each of the `interrupts` there were ends what goes on: the load, the wait
    for what is under way, the audit.
    """
    return _Run(caller, version, options, show, interrupts).go()


class _Run:
    def __init__(
        self,
        caller: Caller,
        version: str,
        options: Options,
        show: Callable[[Progress], object],
        interrupts: Callable[[], int],
    ) -> None:
        self._caller, self._version, self._options = caller, version, options
        self._show = show
        self._interrupts, self._heeded = interrupts, 0
        self._tally, self._findings, self._accepted = Tally(), Findings(), Accepted()
        self._pace = Pace(
            Orders(options.seed, options.customers, options.task, options.params),
            seed=options.seed,
            rate=options.rate,
            jobs=options.jobs,
            duration_seconds=options.duration_seconds,
            mix=options.mix,
        )
        self._asking = Asking(caller, self._tally, options.patience_seconds, self._pace.hold)
        checks = Checks(self._tally, self._findings, self._accepted)
        journeys = Journeys(self._asking, checks, uuid.uuid4().hex[:12])
        self._pool = Pool(self._pace, journeys.go, self._gave_up, options.concurrency)
        self._audit = Audit()

    def go(self) -> Outcome:
        began_at, began = datetime.now(UTC), time.monotonic()
        self._load()
        load_seconds = time.monotonic() - began
        self._pool.stop()
        deadline = self._drain(time.monotonic() + self._options.drain_seconds)
        self._pool.abandon()
        self._tally.stop()
        failure = self._pool.failure
        try:
            self._check_all(deadline)
        except Exception as error:  # noqa: BLE001 - the report says so
            failure = failure or error
        return Outcome(
            self._caller.base_url,
            self._version,
            self._options,
            began_at,
            load_seconds,
            self._tally.figures(),
            self._findings.counts,
            self._findings.named,
            self._audit,
            self._interrupts() > 0,
            failure,
        )

    def _load(self) -> None:
        self._pool.start()
        while not (self._pool.comes_no_more or self._is_to_end()):
            self._tell("load")
            time.sleep(_SHOW_SECONDS)

    def _drain(self, deadline: float) -> float:
        """Until when jobs have to end, which is now if somebody does not want to wait."""
        while not self._pool.join(_SHOW_SECONDS) and time.monotonic() < deadline:
            if self._is_to_end():
                return time.monotonic()
            self._tell("waiting for what is under way")
        return deadline

    def _check_all(self, deadline: float) -> None:
        self._tell("audit")
        audit(self._audit, self._asking, self._accepted, self._findings, deadline, self._is_to_end)

    def _is_to_end(self) -> bool:
        """Whether somebody wants what goes on to end; each interrupt is heeded once."""
        if self._heeded == self._interrupts():
            return False
        self._heeded += 1
        return True

    def _gave_up(self, reason: GaveUp) -> None:
        self._tally.erred("gave up")

    def _tell(self, phase: str) -> None:
        self._show(Progress(phase, self._tally.figures(), self._findings.counts))
