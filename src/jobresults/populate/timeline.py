"""Counts over time in bounded memory: once there are many slots, each two become one."""

from __future__ import annotations

from collections import Counter

_MOST_SLOTS = 600


class Timeline:
    """What was counted when, by name. Not safe to share between threads."""

    def __init__(self) -> None:
        self.slot_seconds = 1.0
        self._slots: list[Counter[str]] = []

    def add(self, at_seconds: float, name: str, amount: int = 1) -> None:
        """Count something so long after the start."""
        slot = int(max(0.0, at_seconds) / self.slot_seconds)
        while slot >= _MOST_SLOTS:
            self._halve()
            slot //= 2
        self._slots.extend(Counter() for _ in range(slot + 1 - len(self._slots)))
        self._slots[slot][name] += amount

    def rates(self, name: str, until_seconds: float) -> list[tuple[float, float]]:
        """`(when, how many a second)` for each slot, the last one as far as it has come."""
        found = []
        for number in range(int(until_seconds / self.slot_seconds) + 1):
            start = number * self.slot_seconds
            width = min(self.slot_seconds, until_seconds - start)
            counted = self._slots[number][name] if number < len(self._slots) else 0
            if width >= self.slot_seconds / 2:  # a sliver would tell of chance
                found.append((start + width / 2, counted / width))
        return found

    def copy(self) -> Timeline:
        """What it holds now."""
        twin = Timeline()
        twin.slot_seconds = self.slot_seconds
        twin._slots = [slot.copy() for slot in self._slots]
        return twin

    def _halve(self) -> None:
        pairs = zip(self._slots[::2], [*self._slots[1::2], Counter()], strict=False)
        self._slots = [first + second for first, second in pairs]
        self.slot_seconds *= 2
