"""When the next caller comes, and what for."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from jobresults.populate.orders import Order, Orders

MIX = {"wait": 3, "poll": 2, "hold": 3, "bulk": 1, "again": 1, "cancel": 1}
"""How often each kind of caller comes, see `journeys`."""

_LARGEST_BULK = 20


@dataclass(frozen=True)
class Start:
    """A caller that comes: its number, what it does, with which orders, when it is due."""

    number: int
    kind: str
    orders: tuple[Order, ...]
    chance: random.Random
    due: float

    @property
    def order(self) -> Order:
        """The only one."""
        return self.orders[0]


class Pace:
    """Callers one after the other: as the rate says, or without one whenever there is room.

    Not safe to share between threads, but for `hold`.
    """

    def __init__(
        self,
        orders: Orders,
        *,
        seed: int,
        rate: float | None,
        jobs: int | None,
        duration_seconds: float | None,
        mix: Mapping[str, int] = MIX,
    ) -> None:
        self._orders = orders
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable load  # nosec B311
        self._rate = rate
        self._left = jobs
        self._mix = mix
        self._began = time.monotonic()
        self._until = None if duration_seconds is None else self._began + duration_seconds
        self._number = 0
        self._handed_in = 0
        self._held_until = 0.0

    @property
    def is_open_loop(self) -> bool:
        """Whether callers come however busy the service is."""
        return self._rate is not None

    def hold(self, until: float) -> None:
        """Let nobody come before then, if they come as fast as they may."""
        self._held_until = max(self._held_until, until)

    def due(self) -> float | None:
        """When the next one comes; None: nobody comes any more."""
        if self._rate is None:
            due = max(time.monotonic(), self._held_until)
        else:
            due = self._began + self._handed_in / self._rate
        is_over = self._left == 0 or (self._until is not None and due >= self._until)
        return None if is_over else due

    def next(self, due: float) -> Start:
        """The one that is due."""
        kinds = list(self._mix)
        kind = self._chance.choices(kinds, [self._mix[each] for each in kinds])[0]
        jobs = self._chance.randint(2, _LARGEST_BULK) if kind == "bulk" else 1
        if self._left is not None:
            jobs = min(jobs, self._left)
            self._left -= jobs
        orders = tuple(self._orders.draw(self._chance) for _ in range(jobs))
        self._number += 1
        self._handed_in += jobs
        chance = random.Random(self._chance.random())  # noqa: S311  # nosec B311
        return Start(self._number, kind, orders, chance, due)
