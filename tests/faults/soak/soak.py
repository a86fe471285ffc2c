"""One soak from start to verdict."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from jobresults.database import Database
from jobresults.errors import LedgerUnavailable
from jobresults.jobs.model import job
from jobresults.jobs.states import TERMINAL
from tests.faults.soak.audit import (
    RECOVERY_LIMIT_SECONDS,
    Recovery,
    Story,
    audit,
    keys_of,
    orphans,
    read_stories,
    recoveries,
    taken_from_living,
)
from tests.faults.soak.callers import Callers
from tests.faults.soak.plan import Plan
from tests.faults.soak.supervisor import Mark, Supervisor
from tests.services.stack import Shape, Stack, reserved_port

SHAPE = Shape(
    settings={
        "TASKS__MODULES": '["jobresults.tasks.score", "tests.faults.soak.tasks"]',
        "WEBHOOKS__SOURCES": "[]",
    }
)
_DRAIN_SECONDS = 120.0


@dataclass(frozen=True)
class Verdict:
    """What a soak found. Nothing is wrong if there are no violations."""

    plan: Plan
    seconds: float
    violations: Sequence[str]
    marks: Sequence[Mark]
    stories: dict[str, Story]
    recoveries: Sequence[Recovery]
    taken_from_living: Sequence[str]
    refusals: int
    answers: int
    longest_submit_seconds: float

    def summary(self) -> str:
        """For a terminal."""
        states = Counter(story.row.state for story in self.stories.values())
        starts = sum(len(story.starts) for story in self.stories.values())
        effects = sum(len(story.effects) for story in self.stories.values())
        faults = Counter(f"{fault.victim} {fault.action}" for fault in self.plan.faults)
        kills = sum(fault.action in ("kill", "terminate") for fault in self.plan.faults)
        return "\n".join(
            (
                f"jobs      {len(self.stories)} accepted: {_counts(states)}; "
                f"{starts} starts, {effects} effects",
                f"faults    {len(self.plan.faults)}, of them {kills} kills: {_counts(faults)}",
                *(self._recovered(of) for of in ("worker", "executor")),
                f"leases    {len(self.taken_from_living)} taken from workers that nobody had hit",
                f"callers   {self.answers} reads answered; {self.refusals} requests refused or "
                f"unanswered and repeated; at most {self.longest_submit_seconds:.1f} s to a 202",
                f"took      {self.seconds:.0f} s",
                *(f"VIOLATION {violation}" for violation in self.violations),
                f"verdict   {len(self.violations)} violations",
            )
        )

    def _recovered(self, of: str) -> str:
        mine = [recovery for recovery in self.recoveries if recovery.of == of]
        back = [recovery.given_back_after_ms for recovery in mine]
        again = [r.started_after_ms for r in mine if r.started_after_ms is not None]
        return (
            f"recovery  {len(mine)} jobs of a killed {of}: given back after {_spread(back)}, "
            f"running again after {_spread(again)}"
        )


def run(stack: Stack, plan: Plan) -> Verdict:
    """Do as planned on a stack that was started in SHAPE."""
    begin = time.monotonic()
    effects = stack.directory / "effects"
    with reserved_port() as second_port:
        supervisor = Supervisor(stack, second_port)
        callers = Callers(supervisor.urls, stack.key, effects)
        callers.start(plan.work)
        drained = _drained(stack.ledger, callers)
        supervisor.inflict(plan.faults, goes_on=lambda: not drained())
    callers.stop()
    supervisor.look_for_orphans()
    stories = read_stories(stack.ledger, effects.read_text().splitlines())
    recovered = recoveries(stories, supervisor.marks)
    return Verdict(
        plan=plan,
        seconds=time.monotonic() - begin,
        violations=[
            *supervisor.violations,
            *callers.violations,
            *orphans(stories, supervisor.marks),
            *audit(plan, callers.accepted, keys_of(stack.ledger), stories),
            *(
                f"{late.job_id}: given back {late.given_back_after_ms / 1000:.1f} s after its "
                f"{late.of} was killed\n{stories[late.job_id].told()}"
                for late in recovered
                if late.given_back_after_ms > RECOVERY_LIMIT_SECONDS * 1000
            ),
        ],
        marks=supervisor.marks,
        stories=stories,
        recoveries=recovered,
        taken_from_living=taken_from_living(stories, supervisor.marks),
        refusals=callers.refusals,
        answers=callers.answers,
        longest_submit_seconds=max(acceptance.seconds for acceptance in callers.accepted),
    )


def _drained(ledger: Database, callers: Callers) -> Callable[[], bool]:
    """Tells whether every job has ended, or they have had their time."""
    submitted_at: float | None = None
    ask_at = 0.0

    def drained() -> bool:
        nonlocal submitted_at, ask_at
        now = time.monotonic()
        if callers.are_submitting or now < ask_at:
            return False
        submitted_at, ask_at = submitted_at or now, now + 0.5
        return now > submitted_at + _DRAIN_SECONDS or _unfinished(ledger) == 0

    return drained


def _unfinished(ledger: Database) -> int | None:
    """How many jobs have not ended; None while nobody knows."""
    count = select(func.count()).select_from(job).where(job.c.state.not_in(TERMINAL))
    try:
        with ledger.read() as connection:
            return int(connection.execute(count).scalar_one())
    except LedgerUnavailable:
        return None


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))


def _spread(milliseconds: Sequence[int]) -> str:
    if not milliseconds:
        return "-"
    seconds = [value / 1000 for value in milliseconds]
    return f"p50 {statistics.median(seconds):.1f} s, max {max(seconds):.1f} s"
