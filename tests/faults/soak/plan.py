"""What a soak will do, all of it drawn from one seed: which jobs come, and what is broken when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from tests.services.stack import SETTINGS

JOBS_PER_SECOND = 7.0
LEASE_SECONDS = float(SETTINGS["WORKER__LEASE_SECONDS"])
MAX_ATTEMPTS = 3

Action = Literal["kill", "terminate", "stop", "flush"]
Victim = Literal["worker", "executor", "web", "web worker", "maintenance", "redis", "ledger"]

# One of each, the usual ones more often; shuffled anew whenever it is used up.
_DECK: tuple[tuple[Victim, Action], ...] = (
    *(("worker", "kill"),) * 3,
    ("worker", "terminate"),
    ("worker", "stop"),
    *(("executor", "kill"),) * 2,
    ("web", "kill"),
    ("web", "terminate"),
    *(("web worker", "kill"),) * 2,
    ("web worker", "stop"),
    ("maintenance", "kill"),
    ("maintenance", "terminate"),
    ("maintenance", "stop"),
    ("redis", "kill"),
    ("redis", "flush"),
    ("redis", "stop"),
    ("ledger", "kill"),
)


@dataclass(frozen=True)
class Fault:
    """One blow. `seconds`: until the victim is started again, or goes on."""

    at_seconds: float
    victim: Victim
    action: Action
    seconds: float
    choice: float


@dataclass(frozen=True)
class Work:
    """One job to hand in."""

    key: str
    at_seconds: float
    seconds: float
    failures: int
    permanent: bool

    @property
    def ends_well(self) -> bool:
        """Whether the task itself lets it succeed."""
        return not self.permanent and self.failures < MAX_ATTEMPTS


@dataclass(frozen=True)
class Plan:
    """A soak. Which process a fault hits depends on what is there then; all else is fixed."""

    seed: int
    work: tuple[Work, ...]
    faults: tuple[Fault, ...]


def make_plan(jobs: int, kills: int, seed: int, *, ledger_dies: bool) -> Plan:
    """So many jobs, and at least so many kills among the faults."""
    chance = random.Random(seed)
    work = tuple(_work(chance, seed, number) for number in range(jobs))
    deck = [card for card in _DECK if ledger_dies or card[0] != "ledger"]
    cards: list[tuple[Victim, Action]] = []
    while sum(action in ("kill", "terminate") for _, action in cards) < kills:
        if len(cards) % len(deck) == 0:
            chance.shuffle(deck)
        cards.append(deck[len(cards) % len(deck)])
    pace = jobs / JOBS_PER_SECOND / max(1, len(cards))
    faults = tuple(
        Fault(
            at_seconds=(number + chance.random()) * pace,
            victim=victim,
            action=action,
            seconds=_seconds(chance, victim, action),
            choice=chance.random(),
        )
        for number, (victim, action) in enumerate(cards)
    )
    return Plan(seed, work, faults)


def _work(chance: random.Random, seed: int, number: int) -> Work:
    longest = chance.choices((0.2, 0.6, 1.5), weights=(70, 20, 10))[0]
    failures, permanent = chance.choices(
        ((0, False), (1, False), (MAX_ATTEMPTS, False), (0, True)), weights=(80, 12, 3, 5)
    )[0]
    return Work(
        key=f"soak-{seed}-{number}",
        at_seconds=number / JOBS_PER_SECOND,
        seconds=round(chance.uniform(0, longest), 3),
        failures=failures,
        permanent=permanent,
    )


def _seconds(chance: random.Random, victim: Victim, action: Action) -> float:
    if action != "stop":
        return chance.uniform(0.2, 2.0)
    return LEASE_SECONDS + chance.uniform(0.5, 2.0) if victim == "worker" else 3.0
