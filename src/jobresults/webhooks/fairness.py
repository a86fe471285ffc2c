"""Who is served next: a slow or dead target, or a client with many of them, must not keep others
waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

_MOST_REMEMBERED = 10_000


@dataclass
class Slots:
    """The deliveries that one process may make at once, and those it is making."""

    total: int
    per_target: int
    _by_target: Counter[str] = field(default_factory=Counter)
    _by_client: Counter[str] = field(default_factory=Counter)
    _failing: set[str] = field(default_factory=set)

    @property
    def free(self) -> int:
        return self.total - self._by_target.total()

    def share_out(self, targets: Sequence[str]) -> dict[str, int]:
        """How many callbacks of each target to take, one after the other in their order, until
        nobody may have more or no slot is free. One that failed last has one slot, one client half
        of all.
        """
        given: Counter[str] = Counter()
        clients = Counter(self._by_client)
        left, waiting = self.free, list(targets)
        while waiting and left:
            served = []
            for target in waiting[:left]:
                client = client_of(target)
                if self._may_have(target, given[target], clients[client]):
                    given[target] += 1
                    clients[client] += 1
                    served.append(target)
            waiting = [*waiting[left:], *served]
            left -= len(served)
        return dict(given)

    def take(self, target: str) -> None:
        """A delivery begins."""
        self._by_target[target] += 1
        self._by_client[client_of(target)] += 1

    def give_back(self, target: str, *, ok: bool) -> None:
        """It has ended."""
        for counter, key in ((self._by_target, target), (self._by_client, client_of(target))):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
        if ok:
            self._failing.discard(target)
        elif len(self._failing) < _MOST_REMEMBERED:
            self._failing.add(target)

    def _may_have(self, target: str, given: int, of_client: int) -> bool:
        most = 1 if target in self._failing else self.per_target
        return self._by_target[target] + given < most and of_client < max(1, self.total // 2)


def client_of(target: str) -> str:
    """The client in `jobs.outbox.target_of`."""
    return target.rpartition(" ")[0]
